//! Comparison with upstream's own planner: the same epics, tracking and files give the same keys, order and statuses.
//!
//! Needs the npm package `bmad-method` and Python with `ruamel.yaml`. `DAMASCUS_BMAD_METHOD_DIR` names a folder that
//! holds `node_modules/bmad-method`, and `python/` if the Python package was installed there with `pip install
//! --target`. Deliberate differences are listed in the crate's documentation; what is generated here stays clear of
//! them.
#![expect(clippy::expect_used, reason = "a failure here is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use damascus_bmad::Scan;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::project::{EPICS, Project, STORIES, TRACKING, scan_fixture, statuses};

/// Three runs of Python each.
const CASES: u32 = 24;

fn method_dir() -> PathBuf {
    std::env::var_os("DAMASCUS_BMAD_METHOD_DIR")
        .map(PathBuf::from)
        .expect("DAMASCUS_BMAD_METHOD_DIR must name a folder that holds node_modules/bmad-method")
}

/// Finds the planner, wherever this version of the package keeps it.
fn planner(below: &Path) -> PathBuf {
    let mut open = vec![below.join("node_modules/bmad-method/src")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("bmad-method is installed") {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name == "sprint_plan.py") {
                return path;
            }
        }
    }
    unreachable!("no sprint_plan.py below {}", below.display())
}

fn run(arguments: &[&str]) -> Value {
    let home = method_dir();
    let output = Command::new("python3")
        .arg(planner(&home))
        .args(arguments)
        .env("PYTHONPATH", home.join("python"))
        .env("PYTHONUTF8", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| unreachable!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Upstream's stories with their statuses, in its order. It writes the tracking file anew; ours is read before that.
fn upstream(root: &Path) -> Vec<(String, String)> {
    let (epics, tracking, stories) = (root.join(EPICS), root.join(TRACKING), root.join(STORIES));
    let result = run(&[
        "generate",
        "--epic-file",
        epics.to_str().unwrap(),
        "--status-file",
        tracking.to_str().unwrap(),
        "--stories-dir",
        stories.to_str().unwrap(),
        "--project",
        "x",
        "--date",
        "01-02-2026 03:04",
    ]);
    assert_eq!(result["ok"], true, "{result}");
    let written = std::fs::read_to_string(&tracking).unwrap();
    let lines = written.lines().skip_while(|line| *line != "development_status:").skip(1);
    let entries = lines.filter_map(|line| line.trim().split_once(": "));
    let stories = entries.filter(|(key, _)| key.starts_with(|c: char| c.is_ascii_digit()));
    stories.map(|(key, status)| (key.to_owned(), status.to_owned())).collect()
}

fn ours(scan: &Scan) -> Vec<(String, String)> {
    statuses(scan).into_iter().map(|(key, status)| (key.to_owned(), status.as_str().to_owned())).collect()
}

fn agree(project: &Project) {
    let ours = ours(&project.scan());
    assert_eq!(ours, upstream(project.path()));
    // What upstream wrote is read as it was meant, and upstream finds it in order.
    assert_eq!(ours, self::ours(&project.scan()));
    let tracking = project.path().join(TRACKING);
    assert_eq!(run(&["validate", "--status-file", tracking.to_str().unwrap()])["valid"], true);
}

#[test]
fn the_fixture() {
    let project = Project::copy_of("classic");
    let file = project.path().join(STORIES).join("1-2-sign-in.md");
    // Upstream does not look into the file; without its status line both know the same.
    let text = std::fs::read_to_string(&file).unwrap().replace("Status: review\n", "");
    std::fs::write(&file, text).unwrap();
    agree(&project);
    assert_eq!(scan_fixture("classic").stories.len(), 5);
}

#[test]
fn titles_of_every_kind() {
    let titles = [
        "User Login & Sign-up!",
        "Größe_ändern — jetzt",
        "用户 登录",
        "कि हिन्दी",
        "🚀",
        "…",
        "İstanbul ΑΣ",
        "C#",
        "a #",
        "x".repeat(80).as_str(),
        "½ and ² and Ⅷ",
        "ⓐ circled",
        "tab\there",
        "e\u{301}galité",
        "ﬁn ß ẞ",
        "-- dashes --",
        "(AC: 1)",
        "a_b__c",
        "١٢٣",
        "",
        ": colon",
    ]
    .map(str::to_owned);
    let mut epics = "## Epic 1: One\n".to_owned();
    for (number, title) in (1..).zip(&titles) {
        epics.push_str(&format!("### Story 1.{number}: {title}\n"));
    }
    agree(&Project::with_epics(&epics).tracked("  epic-1: backlog\n"));
}

#[test]
fn headings_of_every_form() {
    let epics = "# Plan\n## Epic List\n### Epic 2: Two\n### Epic 1: One\n# epic 03 Three ##\n##Epic 1:One\n#### Story 1.2 Second\n\
        ### STORY  1.1 : First\n##story 1.1a: Split\n### Story 3.01: Zero\n### Story 2.1: Under another epic\n```\n### Story 1.9: Code\n```\n\
        ### Story 1.10: Ten\n### Story 1.1 : First\n   ### Story 1.8: Indented\n##### Story 1.7: Too deep\n";
    agree(&Project::with_epics(epics).tracked("  epic-1: backlog\n"));
}

#[test]
fn a_missing_tracking_file_means_backlog() {
    agree(
        &Project::with_epics("## Epic 1: One\n### Story 1.1: A\n### Story 1.2: B\n")
            .story_file("1-2-b.md", "# Story 1.2: B\n"),
    );
}

fn title() -> impl Strategy<Value = String> {
    let word = prop_oneof![3 => "[A-Za-z0-9_]{1,8}", 1 => "[äöüßéñ中文字кл]{1,5}", 1 => "[-&/()',.!?]{1,3}"];
    prop::collection::vec(word, 1..6).prop_map(|words| words.join(" "))
}

/// A story: its number, its title, its tracked status, whether it has a file.
fn planned() -> impl Strategy<Value = ((u32, u32, &'static str), String, Option<&'static str>, bool)> {
    let suffix = select(vec!["", "", "", "a", "b"]);
    let status = prop::option::of(select(vec![
        "backlog",
        "ready-for-dev",
        "in-progress",
        "review",
        "done",
        "drafted",
        "contexted",
    ]));
    ((1..4_u32, 1..12_u32, suffix), title(), status, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_plans(stories in prop::collection::vec(planned(), 1..12)) {
        // The first pass asks upstream for its keys, so that tracking and files can name them.
        let mut epics = "# Plan\n\n## Epic List\n\n### Epic 2: Two\n".to_owned();
        let mut numbers = std::collections::BTreeSet::new();
        let mut kept = Vec::new();
        for ((epic, story, suffix), title, status, filed) in stories {
            if numbers.insert((epic, story, suffix)) {
                epics.push_str(&format!("\n## Epic {epic}: E\n\n### Story {epic}.{story}{suffix}: {title}\n\nText.\n"));
                kept.push((format!("{epic}-{story}{suffix}-"), status, filed));
            }
        }
        let keys: Vec<_> = upstream(Project::with_epics(&epics).path()).into_iter().map(|(key, _)| key).collect();
        let mut project = Project::with_epics(&epics);
        let mut tracking = String::new();
        for (prefix, status, filed) in kept {
            let key = keys.iter().find(|key| key.starts_with(&prefix)).unwrap();
            if let Some(status) = status {
                tracking.push_str(&format!("  {key}: {status}\n"));
            }
            if filed {
                project = project.story_file(&format!("{key}.md"), "# Story\n\n## Story\n\nText.\n");
            }
        }
        agree(&project.tracked(&tracking));
    }
}

//! `stories.yaml` beside a `SPEC.md`.

use damascus_bmad::{Code, FileRole, HumanGate, StoryStatus};

use crate::project::{Project, edges, keys, message, places, scan_fixture, statuses, story};

const FOLDER: &str = "_bmad-output/specs/spec-limiter";

fn with_list(list: &str) -> Project {
    Project::new().file(&format!("{FOLDER}/SPEC.md"), "# Spec\n").file(&format!("{FOLDER}/stories.yaml"), list)
}

fn entry(id: &str) -> String {
    format!("- id: \"{id}\"\n  title: Story {id}\n  description: Text.\n")
}

#[test]
fn the_plain_case() {
    let scan = scan_fixture("specs");
    let expected = [
        ("spec-limiter_1", StoryStatus::Done),
        ("spec-limiter_2", StoryStatus::Backlog),
        ("spec-limiter_3", StoryStatus::Backlog),
        ("spec-limiter_4", StoryStatus::Blocked),
        ("spec-limiter_5", StoryStatus::Backlog),
        ("spec-limiter_10", StoryStatus::Review),
    ];
    assert_eq!(statuses(&scan), expected);
    let first = story(&scan, "spec-limiter_1");
    assert_eq!(first.title, "Count requests of each client");
    assert_eq!(first.source.to_string(), format!("{FOLDER}/stories.yaml:2"));
    assert!(first.body.starts_with("Keep a counter per client in memory, as the capability CAP-1 asks."));
    assert!(first.body.contains("## Tasks & Acceptance") && !first.body.contains("status:"));
    assert_eq!(first.acceptance.len(), 2);
    assert_eq!(first.tasks.iter().map(|task| task.done).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn checkpoints_are_human_gates() {
    let scan = scan_fixture("specs");
    assert_eq!(story(&scan, "spec-limiter_1").human_gates, []);
    assert_eq!(story(&scan, "spec-limiter_2").human_gates, [HumanGate::SpecCheckpoint]);
    assert_eq!(story(&scan, "spec-limiter_2").instructions.as_deref(), Some("Reuse the clock that is there."));
    assert_eq!(story(&scan, "spec-limiter_3").human_gates, [HumanGate::DoneCheckpoint], "`yes` is no boolean: ask");
    assert!(places(&scan, Code::UnexpectedValue).contains(&format!("{FOLDER}/stories.yaml:16")));
}

#[test]
fn list_order_is_execution_order() {
    let scan = scan_fixture("specs");
    let expected: Vec<_> =
        scan.stories.windows(2).map(|pair| format!("{} <- {} order", pair[1].key, pair[0].key)).collect();
    assert_eq!(edges(&scan), expected);
}

#[test]
fn what_is_left_out_says_why() {
    let scan = scan_fixture("specs");
    let list = |line: u32| format!("{FOLDER}/stories.yaml:{line}");
    assert_eq!(places(&scan, Code::UnknownStatus), [format!("{FOLDER}/stories/6-strange.md:3")]);
    assert_eq!(places(&scan, Code::AmbiguousStoryFile), ["a", "b"].map(|name| format!("{FOLDER}/stories/7-{name}.md")));
    assert_eq!(places(&scan, Code::InvalidEntry), [list(31), list(33)]);
    assert_eq!(places(&scan, Code::OrphanStoryFile), [format!("{FOLDER}/stories/99-retired.md")]);
    assert_eq!(places(&scan, Code::UnquotedId), [list(13)]);
    assert_eq!(places(&scan, Code::UnknownField), [list(17)]);
    assert_eq!(places(&scan, Code::StatusFieldIgnored), [list(24)]);
    assert_eq!(places(&scan, Code::SpecWithoutStories), ["_bmad-output/specs/spec-empty/SPEC.md"]);
}

#[test]
fn the_specification_and_its_companions_belong_to_each_story() {
    let scan = scan_fixture("specs");
    let related = &story(&scan, "spec-limiter_2").related;
    let expected = [(FileRole::Spec, "SPEC.md"), (FileRole::Companion, "glossary.md")];
    let found: Vec<_> = related.iter().map(|file| (file.role, file.path.rsplit('/').next().unwrap())).collect();
    assert_eq!(found, expected);
    assert_eq!(places(&scan, Code::ConfigPathRefused), [format!("{FOLDER}/SPEC.md:6")]);
}

#[test]
fn ids_that_begin_one_another_are_refused() {
    let scan = with_list(&[entry("3"), entry("3-2"), entry("4"), entry("30")].concat()).scan();
    assert_eq!(keys(&scan), ["spec-limiter_4", "spec-limiter_30"]);
    assert_eq!(places(&scan, Code::IdNotPrefixFree).len(), 2);
}

#[test]
fn an_id_twice_is_taken_once() {
    let scan = with_list(&[entry("1"), entry("1")].concat()).scan();
    assert_eq!(keys(&scan), ["spec-limiter_1"]);
    assert_eq!(places(&scan, Code::KeyCollision), [format!("{FOLDER}/stories.yaml:4")]);
}

#[test]
fn two_specifications_share_no_key() {
    let project = with_list(&entry("1"))
        .file("_bmad-output/specs/spec-other/SPEC.md", "# Spec\n")
        .file("_bmad-output/specs/spec-other/stories.yaml", entry("1"));
    let scan = project.scan();
    assert_eq!(keys(&scan), ["spec-limiter_1", "spec-other_1"]);
    assert!(scan.dependencies.is_empty(), "order binds within one list only");
}

#[test]
fn a_list_without_its_specification_is_not_read() {
    let project = with_list(&entry("1")).file("_bmad-output/specs/spec-lost/stories.yaml", entry("1"));
    let scan = project.scan();
    assert_eq!(keys(&scan), ["spec-limiter_1"]);
    assert_eq!(places(&scan, Code::StoriesWithoutSpec), ["_bmad-output/specs/spec-lost/stories.yaml"]);
}

#[test]
fn a_list_that_does_not_parse_is_an_error_with_its_line() {
    let scan = with_list("- id: \"1\"\n  title: {project-root}/x\n  description: y\n").scan();
    assert!(scan.stories.is_empty());
    assert_eq!(places(&scan, Code::YamlUnparseable), [format!("{FOLDER}/stories.yaml:2")]);
    let scan = with_list("stories: none\n").scan();
    assert!(message(&scan, Code::InvalidEntry).contains("not a list"));
}

#[test]
fn a_story_file_without_a_status_is_left_out_as_upstream_halts() {
    let scan = with_list(&entry("1")).file(&format!("{FOLDER}/stories/1-x.md"), "# No front matter\n").scan();
    assert!(scan.stories.is_empty());
    assert_eq!(places(&scan, Code::UnknownStatus), [format!("{FOLDER}/stories/1-x.md")]);
}

#[test]
fn a_superseded_story_file_is_not_the_storys() {
    let scan = with_list(&entry("1"))
        .file(&format!("{FOLDER}/stories/1-new.md"), "---\nstatus: draft\n---\nNew.\n")
        .file(&format!("{FOLDER}/stories/1-old.superseded.md"), "---\nstatus: done\n---\nOld.\n")
        .scan();
    assert_eq!(statuses(&scan), [("spec-limiter_1", StoryStatus::Backlog)]);
    assert_eq!(places(&scan, Code::SupersededFile), [format!("{FOLDER}/stories/1-old.superseded.md")]);
}

#[test]
fn a_changed_checkpoint_changes_the_hash() {
    let hash = |list: &str| with_list(list).scan().stories[0].content_sha256.clone();
    let plain = hash(&entry("1"));
    assert_ne!(plain, hash(&format!("{}  done_checkpoint: true\n", entry("1"))));
    assert_ne!(plain, hash(&format!("{}  invoke_dev_with: more\n", entry("1"))));
    assert_eq!(plain, hash(&format!("# a comment\n{}", entry("1"))));
}

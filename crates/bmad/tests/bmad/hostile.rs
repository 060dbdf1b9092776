//! Input that means harm, or is merely too much.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use damascus_bmad::{Code, Limits, StoryStatus};

use crate::project::{EPICS, Project, STORIES, TRACKING, TWO, keys, message, places, story};

/// Far above what a loaded machine needs, and far below what reading the input, or reading it in quadratic time, would
/// take.
const AT_ONCE: Duration = Duration::from_secs(60);

fn link(project: &Project, path: &str, target: &std::path::Path) {
    let path = project.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

#[test]
fn a_huge_story_file_is_refused_unread() {
    let project = Project::with_epics(TWO).story_file("1-1-first.md", "");
    let file = std::fs::File::create(project.path().join(STORIES).join("1-1-first.md")).unwrap();
    for size in [1_u64 << 30, 1 << 40] {
        file.set_len(size).unwrap();
        let begin = Instant::now();
        let scan = project.scan();
        assert!(begin.elapsed() < AT_ONCE);
        assert_eq!(places(&scan, Code::TooLarge), [format!("{STORIES}/1-1-first.md")]);
        assert!(message(&scan, Code::TooLarge).contains(&format!("{size} bytes")));
        assert_eq!(keys(&scan), ["1-1-first", "1-2-second"], "the rest is read");
    }
}

#[test]
fn a_file_of_exactly_the_bound_is_read() {
    let text = |size: usize| format!("# Story 1.1: First\n\nStatus: done\n{}", "x".repeat(size - 33));
    let max = usize::try_from(Limits::default().max_story_bytes).unwrap();
    for (size, status) in [(max, StoryStatus::Done), (max + 1, StoryStatus::Backlog)] {
        let scan = Project::with_epics(TWO).story_file("1-1-first.md", &text(size)).scan();
        assert_eq!((text(size).len(), story(&scan, "1-1-first").status), (size, status));
    }
}

#[test]
fn large_epics_and_tracking_are_refused() {
    let project = Project::with_epics(TWO).tracked("  1-1-first: done\n");
    for path in [EPICS, TRACKING] {
        std::fs::File::options().write(true).open(project.path().join(path)).unwrap().set_len(1 << 30).unwrap();
    }
    let scan = project.scan();
    assert_eq!(places(&scan, Code::TooLarge), [TRACKING, EPICS]);
}

#[test]
fn links_inside_are_followed_and_links_out_are_not() {
    let outside = Project::new().file("1-1-first.md", "# Story 1.1: First\n\nStatus: done\n");
    let project = Project::with_epics(TWO).file("elsewhere/1-2-second.md", "# Story 1.2: Second\n\nStatus: review\n");
    link(&project, &format!("{STORIES}/1-1-first.md"), &outside.path().join("1-1-first.md"));
    link(&project, &format!("{STORIES}/1-2-second.md"), "../../elsewhere/1-2-second.md".as_ref());
    let scan = project.scan();
    assert_eq!(story(&scan, "1-2-second").status, StoryStatus::Review);
    assert_eq!(story(&scan, "1-1-first").status, StoryStatus::Backlog);
    assert_eq!(places(&scan, Code::LeavesRepository), [format!("{STORIES}/1-1-first.md")]);
}

#[test]
fn linked_folders() {
    let outside = Project::new().file("1-1-first.md", "# Story 1.1: First\n\nStatus: done\n");
    let project = Project::with_epics(TWO).file("real/1-2-second.md", "# Story 1.2: Second\n\nStatus: review\n");
    link(&project, &format!("{STORIES}/out"), outside.path());
    link(&project, &format!("{STORIES}/in"), &project.path().join("real"));
    let scan = project.scan();
    assert_eq!(
        story(&scan, "1-2-second").status,
        StoryStatus::Review,
        "an absolute link into the repository is one inside"
    );
    assert_eq!(story(&scan, "1-1-first").status, StoryStatus::Backlog);
    assert_eq!(places(&scan, Code::LeavesRepository), [format!("{STORIES}/out")]);
}

#[test]
fn an_artifacts_folder_outside_is_not_entered() {
    let outside = Project::new().file("epics.md", TWO);
    let project = Project::new().story_file("1-1-first.md", "# Story 1.1: First\n");
    link(&project, "_bmad-output/planning-artifacts", outside.path());
    let scan = project.scan();
    assert_eq!(keys(&scan), ["1-1-first"]);
    assert!(!places(&scan, Code::LeavesRepository).is_empty());
}

#[test]
fn links_in_circles() {
    let project = Project::with_epics(TWO);
    link(&project, &format!("{STORIES}/1-1-first.md"), "1-2-second.md".as_ref());
    link(&project, &format!("{STORIES}/1-2-second.md"), "1-1-first.md".as_ref());
    link(&project, &format!("{STORIES}/again"), ".".as_ref());
    link(&project, &format!("{STORIES}/nowhere.md"), "gone".as_ref());
    let scan = project.scan();
    assert_eq!(
        places(&scan, Code::SymlinkLoop),
        [format!("{STORIES}/1-1-first.md"), format!("{STORIES}/1-2-second.md")]
    );
    assert_eq!(places(&scan, Code::Unreadable), [format!("{STORIES}/nowhere.md")]);
    assert!(places(&scan, Code::TooDeep).is_empty(), "a folder that contains itself is entered once");
}

#[test]
fn a_fifo_does_not_block_and_a_device_is_not_opened() {
    let project = Project::with_epics(TWO).story_file("x.txt", "");
    let path = project.path().join(STORIES).join("1-1-first.md");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let folder = project.path().join(STORIES).join("1-2-second.md");
    std::fs::create_dir(folder).unwrap();
    let begin = Instant::now();
    let scan = project.scan();
    assert!(begin.elapsed() < AT_ONCE);
    assert_eq!(places(&scan, Code::NotRegular), [format!("{STORIES}/1-1-first.md")]);
    let device = Project::with_epics(TWO);
    link(&device, TRACKING, "/dev/zero".as_ref());
    assert_eq!(places(&device.scan(), Code::LeavesRepository), [TRACKING]);
}

#[test]
fn a_yaml_bomb_is_refused_with_its_line() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    let project = Project::with_epics(TWO).file(TRACKING, format!("{bomb}development_status: *a19\n"));
    let begin = Instant::now();
    let scan = project.scan();
    assert!(begin.elapsed() < AT_ONCE);
    assert_eq!(places(&scan, Code::YamlTooComplex), [format!("{TRACKING}:5")]);
    assert_eq!(scan.stories.len(), 2);
}

#[test]
fn yaml_with_more_nodes_or_levels_than_allowed() {
    let many = format!("development_status: [{}]\n", "x,".repeat(200_000));
    let deep = format!("development_status: {}\n", "[".repeat(5_000));
    for text in [many, deep] {
        let scan = Project::with_epics(TWO).file(TRACKING, &text).scan();
        let refused = places(&scan, Code::YamlTooComplex).len() + places(&scan, Code::YamlUnparseable).len();
        assert_eq!((refused, scan.stories.len()), (1, 2));
    }
}

#[test]
fn toml_nested_without_end_is_refused() {
    let deep = [
        format!("a = {}", "[".repeat(400_000)),
        format!("{}a = 1", "a.".repeat(400_000)),
        format!("[{}a]", "a.".repeat(400_000)),
    ];
    for text in deep {
        let scan = Project::with_epics(TWO).file("_bmad/config.toml", &text).scan();
        assert_eq!((places(&scan, Code::TomlUnparseable).len(), scan.stories.len()), (1, 2), "{}", &text[..20]);
    }
}

#[test]
fn yaml_that_is_slow_to_read_elsewhere_takes_no_time() {
    let size = usize::try_from(Limits::default().max_yaml_bytes / 4).unwrap();
    for unit in [
        "? ", "- ", "[", "{", "\"", "'", "a: ", "a: [b, ", "&a ", "*a ", "!x ", "a\n", "#\n", "\n", "a: b\n", "{a: ",
        "|\n", "--- \n", "%x\n", ": ",
    ] {
        let project = Project::with_epics(TWO).file(TRACKING, unit.repeat(size / unit.len()));
        let begin = Instant::now();
        assert_eq!(project.scan().stories.len(), 2, "{unit:?}");
        assert!(begin.elapsed() < AT_ONCE, "{unit:?}: {:?}", begin.elapsed());
    }
}

#[test]
fn folders_nested_too_deeply() {
    let deep = "d/".repeat(30);
    let scan = Project::with_epics(TWO)
        .story_file(&format!("{deep}1-1-first.md"), "# Story 1.1: First\n\nStatus: done\n")
        .scan();
    assert_eq!(story(&scan, "1-1-first").status, StoryStatus::Backlog);
    assert_eq!(places(&scan, Code::TooDeep).len(), 1);
}

#[test]
fn more_files_stories_text_or_findings_than_allowed() {
    let project = Project::with_epics(TWO);
    for number in 0..30 {
        project.write(&format!("{STORIES}/note-{number}.md"), "# x");
    }
    let scan = project.scan_within(Limits { max_files: 20, ..Limits::default() });
    assert_eq!(places(&scan, Code::TooManyFiles), [STORIES]);
    let scan = project.scan_within(Limits { max_findings: 5, ..Limits::default() });
    assert_eq!(scan.findings.len(), 6);
    assert!(message(&scan, Code::TooManyFindings).contains("25 more"));
    let scan = project.scan_within(Limits { max_stories: 1, ..Limits::default() });
    assert_eq!(keys(&scan), ["1-1-first"]);
    assert_eq!(places(&scan, Code::TooManyStories), [format!("{EPICS}:7")]);
    let project = project.story_file("1-1-first.md", &"x".repeat(5_000));
    let scan = project.scan_within(Limits { max_total_bytes: 1_000, ..Limits::default() });
    assert_eq!(places(&scan, Code::TooMuchText), [format!("{STORIES}/1-1-first.md")]);
}

#[test]
fn a_great_many_headings_take_no_time() {
    let mut epics = "## Epic 1: One\n".to_owned();
    for number in 0..100_000 {
        epics.push_str(&format!("### Story 1.{number}: S\n"));
    }
    let begin = Instant::now();
    let scan = Project::with_epics(&epics).scan();
    assert_eq!(scan.stories.len(), Limits::default().max_stories);
    assert!(begin.elapsed() < AT_ONCE, "{:?}", begin.elapsed());
}

#[test]
fn control_characters_and_escapes_do_not_get_through() {
    let evil = "## Epic 1: O\u{1b}[31mne\n### Story 1.1: Ti\u{202e}tle\u{1b}]0;pwned\u{7} here\n\nBody\u{1b}[2J\twith\u{0}\u{200b} text.\u{9b}5m\n";
    let project = Project::with_epics(evil)
        .story_file("1-2-x.md", "# Story 1.2: \u{1b}[1mBold\u{1b}[0m\n\nStatus: do\u{7}ne\n")
        .story_file("1-3-\u{1b}[2Jevil.md", "# Story 1.3: x\n");
    let scan = project.scan();
    let first = &scan.stories[0];
    assert_eq!((first.title.as_str(), first.body.as_str()), ("Title here", "Body\twith text."));
    assert_eq!(first.epic_title.as_deref(), Some("One"));
    assert_eq!(story(&scan, "1-2-x").title, "Bold");
    assert_eq!(places(&scan, Code::ControlCharacters), [format!("{STORIES}/1-2-x.md:1"), format!("{EPICS}:1")]);
    assert_eq!(places(&scan, Code::UnsafeName), [format!("{STORIES}/1-3-evil.md")]);
    let shown = serde_json::to_string(&scan).unwrap();
    for hidden in ["\\u001b", "\u{202e}", "\u{200b}", "\\u0007", "\u{9b}", "\\u0000"] {
        assert!(!shown.contains(hidden), "{hidden:?}");
    }
}

#[test]
fn escapes_written_as_yaml_escapes_do_not_get_through_either() {
    let folder = "_bmad-output/specs/spec-x";
    let project = Project::new().file(&format!("{folder}/SPEC.md"), "# x\n").file(
        &format!("{folder}/stories.yaml"),
        "- id: \"1\"\n  title: \"a\\e[31mred\\u202e\\nb\"\n  description: \"line\\e[2J one\\nline two\"\n  invoke_dev_with: \"x\\a\"\n  \"odd\\e]0;k\\a\": 1\n",
    );
    let scan = project.scan();
    assert_eq!((scan.stories[0].title.as_str(), scan.stories[0].body.as_str()), ("ared b", "line one\nline two"));
    assert!(!serde_json::to_string(&scan).unwrap().contains("\\u001b"));
    assert_eq!(places(&scan, Code::ControlCharacters), [format!("{folder}/stories.yaml:1")]);
}

#[test]
fn keys_that_are_paths_are_refused_and_lead_nowhere() {
    let outside = Project::new().file("evil.md", "# Story 1.1: Evil\n\nStatus: done\n");
    let name = outside.path().join("evil").display().to_string();
    let project =
        Project::with_epics(TWO).tracked(&format!("  ../../evil: done\n  1-1-../../x: done\n  {name}: done\n"));
    let scan = project.scan();
    assert_eq!(places(&scan, Code::UnsafeKey).len(), 3);
    assert_eq!(keys(&scan), ["1-1-first", "1-2-second"]);
}

#[test]
fn what_is_not_utf8_is_refused_with_its_line() {
    let project = Project::with_epics(TWO)
        .file(&format!("{STORIES}/1-1-first.md"), b"# Story 1.1: First\n\nStatus: done\n\nCaf\xe9\n")
        .file(&format!("{STORIES}/1-2-second.md"), b"\xff\xfe#\0 \0S\0");
    let scan = project.scan();
    assert_eq!(
        places(&scan, Code::NotUtf8),
        [format!("{STORIES}/1-1-first.md:5"), format!("{STORIES}/1-2-second.md:1")]
    );
    assert!(scan.findings.iter().any(|finding| finding.message.starts_with("UTF-16")));
}

#[test]
fn a_long_title_is_cut() {
    let scan = Project::with_epics(&format!("## Epic 1: One\n### Story 1.1: {}\n", "é".repeat(5_000))).scan();
    assert_eq!(scan.stories[0].title.chars().count(), Limits::default().max_title_chars);
    assert_eq!(places(&scan, Code::TitleTruncated), [format!("{EPICS}:2")]);
    assert!(scan.stories[0].key.chars().count() < 70);
}

#[test]
fn more_criteria_than_allowed() {
    let list = "1. x\n".repeat(2_000);
    let scan =
        Project::with_epics(&format!("## Epic 1: One\n### Story 1.1: A\n**Acceptance Criteria:**\n{list}")).scan();
    assert_eq!(scan.stories[0].acceptance.len(), Limits::default().max_list_items);
    assert_eq!(places(&scan, Code::ListTruncated), [format!("{EPICS}:1004")]);
}

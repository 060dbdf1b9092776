//! `sprint-status.yaml`: keys, statuses, and YAML that does not parse.

use damascus_bmad::{Code, StoryStatus};

use crate::project::{Project, STORIES, TRACKING, TWO, keys, message, places, scan_fixture, statuses, story};

#[test]
fn unknown_statuses_are_left_out_with_their_line() {
    let scan = scan_fixture("odd");
    let at = |line: u32| format!("{TRACKING}:{line}");
    // pending, superseded, completed, deferred, descoped, retired, `superseded (was: done)`.
    assert_eq!(places(&scan, Code::UnknownStatus), (6..=12).map(at).collect::<Vec<_>>());
    for number in ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8"] {
        assert!(!scan.stories.iter().any(|story| story.number.as_deref() == Some(number)), "{number}");
    }
}

#[test]
fn keys_outside_the_grammar() {
    let scan = scan_fixture("odd");
    let at = |lines: &[u32]| lines.iter().map(|line| format!("{TRACKING}:{line}")).collect::<Vec<_>>();
    assert_eq!(places(&scan, Code::UnrecognizedKey), at(&[13, 16, 18, 21]), "1-8.1-x, 1a-1-x, epic-3-5, epic-orch-1");
    assert_eq!(places(&scan, Code::OddKey), at(&[22]));
    assert_eq!(places(&scan, Code::UnsafeKey), at(&[24]));
    assert_eq!(places(&scan, Code::StatusWithoutStory), at(&[23]));
    let orchestrate = story(&scan, "orch-1-1-x");
    assert_eq!((orchestrate.number.as_deref(), orchestrate.status), (None, StoryStatus::ReadyForDev));
    assert_eq!(orchestrate.epic.as_deref(), Some("orch-1"), "by the key above it");
}

#[test]
fn an_odd_key_with_a_file_is_taken_in_its_place() {
    let project = Project::with_epics(TWO)
        .tracked("  epic-1: in-progress\n  1-1-first: done\n  1-1.5-between: backlog\n  1-2-second: backlog\n")
        .story_file("1-1.5-between.md", "# Between\n\nText.\n");
    let scan = project.scan();
    assert_eq!(keys(&scan), ["1-1-first", "1-1.5-between", "1-2-second"]);
    assert_eq!(story(&scan, "1-1.5-between").epic.as_deref(), Some("1"));
}

#[test]
fn yaml_that_does_not_parse_is_read_line_by_line() {
    let scan = scan_fixture("odd");
    let found: Vec<_> = places(&scan, Code::YamlReadByLine);
    assert!(found.contains(&format!("{TRACKING}:2")), "{found:?}");
    assert_eq!(story(&scan, "1-1-old-title").status, StoryStatus::Done);
    let said =
        scan.findings.iter().find(|finding| finding.code == Code::YamlReadByLine && finding.source.path == TRACKING);
    assert!(said.is_some_and(|finding| finding.message.contains("cross_dependencies were not")));
}

#[test]
fn yaml_that_cannot_be_read_at_all_is_an_error_and_the_epics_stay() {
    let project = Project::with_epics(TWO).file(TRACKING, "development_status: [\n  oops: {\n");
    let scan = project.scan();
    assert_eq!(scan.stories.len(), 2);
    assert_eq!(places(&scan, Code::YamlUnparseable).len(), 1);
}

#[test]
fn a_tracking_file_of_another_shape_is_an_error() {
    let other = "epics:\n  epic-1:\n    status: done\n    stories:\n      1.1:\n        status: done\n";
    for text in [other, "development_status:\n  - 1-1-first: done\n", "just text\n"] {
        let scan = Project::with_epics(TWO).file(TRACKING, text).scan();
        assert_eq!(places(&scan, Code::NoStatuses), [format!("{TRACKING}:1")], "{text}");
    }
    let empty = Project::with_epics(TWO).file(TRACKING, "project: x\ndevelopment_status:\n").scan();
    assert!(places(&empty, Code::NoStatuses).is_empty());
}

#[test]
fn a_key_that_appears_twice_keeps_the_further_status() {
    let project = Project::with_epics(TWO)
        .tracked("  1-1-first: review\n  1-1-first: backlog\n  1-2-second: done\n  1-2-second: gone\n");
    let scan = project.scan();
    assert_eq!(
        statuses(&scan),
        [("1-1-first", StoryStatus::Review)],
        "an unknown status outranks a known one: it is reported"
    );
    assert_eq!(places(&scan, Code::DuplicateKey), [format!("{TRACKING}:4"), format!("{TRACKING}:6")]);
    let scan = Project::with_epics(TWO).tracked("  1-1-first: gone\n  1-1-first: done\n").scan();
    assert_eq!(keys(&scan), ["1-2-second"]);
}

#[test]
fn legacy_statuses_mean_what_they_mean_today() {
    let scan = Project::with_epics(TWO).tracked("  1-1-first: drafted\n  1-2-second: contexted\n").scan();
    assert_eq!(statuses(&scan), [("1-1-first", StoryStatus::ReadyForDev), ("1-2-second", StoryStatus::InProgress)]);
    assert_eq!(places(&scan, Code::LegacyStatus).len(), 2);
}

#[test]
fn values_of_another_kind() {
    let project = Project::with_epics(TWO).tracked("  epic-1: paused\n  1-1-first: [done]\n  1-2-second:\n");
    let scan = project.scan();
    assert!(scan.stories.is_empty());
    assert_eq!(places(&scan, Code::UnknownStatus), [format!("{TRACKING}:4"), format!("{TRACKING}:5")]);
    assert!(message(&scan, Code::UnexpectedValue).contains("epic-1"));
}

#[test]
fn the_tracked_story_location_is_followed_inside_the_repository_only() {
    let inside = Project::with_epics(TWO)
        .file(TRACKING, "story_location: \"{project-root}/elsewhere\"\ndevelopment_status:\n  1-1-first: backlog\n")
        .file("elsewhere/1-1-first.md", "# Story 1.1: First\n");
    assert_eq!(story(&inside.scan(), "1-1-first").story_file.as_deref(), Some("elsewhere/1-1-first.md"));
    let outside =
        Project::with_epics(TWO).file(TRACKING, "story_location: /home/someone/stories\ndevelopment_status: {}\n");
    assert_eq!(places(&outside.scan(), Code::UnexpectedValue), [format!("{TRACKING}:1")]);
}

#[test]
fn keys_that_differ_only_in_case_collide() {
    let project = Project::with_epics(TWO)
        .tracked("  orch-1-x: backlog\n  Orch-1-x: backlog\n")
        .story_file("orch-1-x.md", "# One\n")
        .story_file("Orch-1-x.md", "# Two\n");
    let scan = project.scan();
    assert_eq!(places(&scan, Code::KeyCollision).len(), 1);
    assert_eq!(keys(&scan).iter().filter(|key| key.eq_ignore_ascii_case("orch-1-x")).count(), 1);
    assert!(places(&scan, Code::KeyCollision)[0].starts_with(STORIES));
}

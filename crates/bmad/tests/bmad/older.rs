//! Version 4, and version 6 before its release.

use damascus_bmad::{Code, Layout, StoryStatus};

use crate::project::{Project, TWO, keys, places, scan_fixture, statuses, story};

#[test]
fn version_4() {
    let scan = scan_fixture("v4");
    let expected = [
        ("1.1.story", StoryStatus::Done),
        ("1.2.write-files", StoryStatus::InProgress),
        ("1.10.story", StoryStatus::Backlog),
        ("2.1.story", StoryStatus::ReadyForDev),
        ("2.2.story", StoryStatus::Review),
        ("2.4.story", StoryStatus::Backlog),
    ];
    assert_eq!(statuses(&scan), expected);
    let write = story(&scan, "1.2.write-files");
    assert_eq!((write.title.as_str(), write.number.as_deref()), ("Write files", Some("1.2")));
    assert_eq!(write.acceptance, ["It works.", "It keeps working."]);
    assert_eq!(write.tasks[0].acceptance, ["1", "2"]);
    assert_eq!(places(&scan, Code::NotAStory), ["docs/stories/architecture.md"]);
    assert_eq!(places(&scan, Code::SupersededFile), ["docs/stories/1.2.write-files.superseded.md"]);
    assert_eq!(places(&scan, Code::UnknownStatus), ["docs/stories/epic-2/2.3.story.md:5"]);
    assert_eq!(places(&scan, Code::MissingStatus), ["docs/stories/epic-2/2.4.story.md"]);
}

#[test]
fn version_4_where_the_configuration_says_so() {
    let project = Project::new()
        .file(".bmad-core/core-config.yaml", "devStoryLocation: work/stories\n")
        .file("work/stories/3.1.story.md", "# Story 3.1: Here\n\n## Status\nDraft\n");
    assert_eq!(keys(&project.scan()), ["3.1.story"]);
}

#[test]
fn a_status_section_counts_wherever_it_is() {
    let story = |text: &str| Project::copy_of("v4").file("docs/stories/9.1.story.md", text).scan();
    for text in [
        "# Story 9.1: X\n\n## Story\n\nText.\n\n## Status\n\n**Review**\n",
        "# Story 9.1: X\n\n## Status: Review\n",
        "# Story 9.1: X\n- **Status**: Review\n",
    ] {
        assert_eq!(statuses(&story(text)).last(), Some(&("9.1.story", StoryStatus::Review)), "{text}");
    }
    let elsewhere = story("# Story 9.1: X\n\n## Story\n\n### Status\n\nDone\n\nStatus: Done\n");
    assert_eq!(statuses(&elsewhere).last(), Some(&("9.1.story", StoryStatus::Backlog)));
}

#[test]
fn version_4_with_one_number_twice() {
    let project =
        Project::copy_of("v4").file("docs/stories/1.1.again.md", "# Story 1.1: Again\n\n## Status\n\nDraft\n");
    assert_eq!(places(&project.scan(), Code::DuplicateNumber), ["docs/stories/1.1.story.md"]);
}

#[test]
fn before_the_release_of_6() {
    let scan = scan_fixture("alpha");
    let expected = [
        ("1-1-switch-on", StoryStatus::Done),
        ("1-2-dim", StoryStatus::InProgress),
        ("1-3-colour", StoryStatus::ReadyForDev),
    ];
    assert_eq!(statuses(&scan), expected);
    let dim = story(&scan, "1-2-dim");
    assert_eq!(dim.story_file.as_deref(), Some("docs/stories/1-2-dim.md"));
    assert!(
        !dim.body.contains('\r') && dim.body.starts_with("# Story 1.2: Dim"),
        "no byte-order mark, no carriage return"
    );
    assert_eq!(dim.related[0].path, "docs/stories/1-2-dim.context.xml");
    assert_eq!(places(&scan, Code::NotAStory), ["docs/stories/8-8-gone.context.xml"]);
}

#[test]
fn a_file_of_epics_alone_needs_a_sign_of_bmad() {
    let project = Project::new().file("docs/epics.md", TWO);
    assert!(project.try_scan(&damascus_bmad::ScanOptions::default()).is_err());
    project.write("bmad/bmm/config.yaml", "output_folder: docs\n");
    assert_eq!(project.scan().layout, Layout::V6Alpha);
}

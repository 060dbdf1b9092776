//! Version 6: headings, story files, and how they are joined.

use damascus_bmad::{Code, FileRole, StoryStatus};

use crate::project::{EPICS, Project, STORIES, TWO, keys, message, places, scan_fixture, statuses, story};

#[test]
fn the_plain_case() {
    let scan = scan_fixture("classic");
    let expected = [
        ("1-1-sign-up", StoryStatus::Done),
        ("1-2-sign-in", StoryStatus::Review),
        ("1-2a-sign-in-with-größe-co", StoryStatus::ReadyForDev),
        ("2-1-add-to-basket", StoryStatus::Backlog),
        ("2-2-購入する", StoryStatus::Backlog),
    ];
    assert_eq!(statuses(&scan), expected);
    assert_eq!(scan.stories.iter().map(|story| story.order).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let sign_in = story(&scan, "1-2-sign-in");
    assert_eq!(sign_in.title, "Sign In");
    assert_eq!((sign_in.number.as_deref(), sign_in.epic.as_deref()), (Some("1.2"), Some("1")));
    assert_eq!(sign_in.epic_title.as_deref(), Some("Accounts"));
    assert_eq!(sign_in.source.to_string(), format!("{EPICS}:32"));
    assert_eq!(sign_in.story_file.as_deref(), Some("_bmad-output/implementation-artifacts/1-2-sign-in.md"));
    assert!(sign_in.body.contains("## Dev Notes"), "the file outranks the epics' section");
    assert_eq!(sign_in.related.iter().map(|file| file.role).collect::<Vec<_>>(), [FileRole::Context]);
}

#[test]
fn criteria_and_tasks() {
    let scan = scan_fixture("classic");
    assert_eq!(
        story(&scan, "1-1-sign-up").acceptance,
        [
            "Given a visitor\nWhen they sign up\nThen an account exists\nAnd a mail is sent",
            "Given a taken address\nWhen they sign up\nThen they are told so"
        ]
    );
    let sign_in = story(&scan, "1-2-sign-in");
    assert_eq!(
        sign_in.acceptance,
        [
            "A wrong password is refused.\nThe reason is not told.",
            "Given a right password\nWhen it is sent\nThen a session opens"
        ]
    );
    let tasks: Vec<_> = sign_in
        .tasks
        .iter()
        .map(|task| (task.text.as_str(), task.done, task.depth, task.acceptance.join(",")))
        .collect();
    let expected = [("Form", true, 0, "1"), ("Error text", false, 1, "1,2"), ("Session", false, 0, "2")];
    assert_eq!(tasks, expected.map(|(text, done, depth, criteria)| (text, done, depth, criteria.to_owned())));
}

#[test]
fn headings_in_fences_and_comments_are_none() {
    let epics = "## Epic 1: One\n\n````md\n```\n### Story 1.8: Fenced\n```\n````\n\n<!--\n### Story 1.9: Hidden\n-->\n### Story 1.1: Real\n~~~\n### Story 1.7: Fenced\n~~~\n";
    assert_eq!(keys(&Project::with_epics(epics).scan()), ["1-1-real"]);
}

#[test]
fn an_unclosed_fence_is_reported_where_it_opens() {
    let scan = Project::with_epics("## Epic 1: One\n### Story 1.1: Real\n```\n### Story 1.2: Swallowed\n").scan();
    assert_eq!(keys(&scan), ["1-1-real"]);
    assert_eq!(places(&scan, Code::UnclosedFence), [format!("{EPICS}:3")]);
}

#[test]
fn odd_headings() {
    let scan = scan_fixture("odd");
    let at = |lines: &[u32]| lines.iter().map(|line| format!("{EPICS}:{line}")).collect::<Vec<_>>();
    assert_eq!(places(&scan, Code::UnparsedHeading), at(&[35, 47]), "[DONE], and a story without a number");
    assert_eq!(places(&scan, Code::Candidate), at(&[31]));
    assert_eq!(places(&scan, Code::Withdrawn), at(&[37, 39]), "the epic and its story");
    assert_eq!(places(&scan, Code::NonstandardHeading), at(&[45]));
    assert_eq!(story(&scan, "10-1-dashed").title, "Dashed");
    assert_eq!(
        story(&scan, "4-2-was-finished-before").status,
        StoryStatus::Done,
        "finished work of a struck epic stays"
    );
    assert!(!keys(&scan).iter().any(|key| key.starts_with("3-4") || key.starts_with("4-1") || key.starts_with("3-6")));
}

#[test]
fn a_repeated_heading_keeps_its_place_and_the_fuller_text() {
    let epics =
        "## Epic 1: One\n### Story 1.1: Twice\nShort.\n### Story 1.2: Other\n### Story 1.1: Twice\nMuch longer text.\n";
    let scan = Project::with_epics(epics).scan();
    assert_eq!(keys(&scan), ["1-1-twice", "1-2-other"]);
    assert_eq!(scan.stories[0].body, "Much longer text.");
    assert_eq!(places(&scan, Code::RepeatedHeading), [format!("{EPICS}:5")]);
}

#[test]
fn two_titles_with_one_number() {
    let scan = Project::with_epics("## Epic 1: One\n### Story 1.1: This\n### Story 1.1: That\n").scan();
    assert_eq!(keys(&scan), ["1-1-this", "1-1-that"]);
    assert_eq!(places(&scan, Code::DuplicateNumber), [format!("{EPICS}:3")]);
}

#[test]
fn a_file_floors_the_status_and_its_own_line_raises_it() {
    let project = Project::with_epics(TWO)
        .tracked("  1-1-first: backlog\n  1-2-second: backlog\n")
        .story_file("1-1-first.md", "# Story 1.1: First\n")
        .story_file("1-2-second.md", "# Story 1.2: Second\n\n**Status:** in-progress\n");
    let scan = project.scan();
    assert_eq!(statuses(&scan), [("1-1-first", StoryStatus::ReadyForDev), ("1-2-second", StoryStatus::InProgress)]);
    assert_eq!(places(&scan, Code::StatusConflict), [format!("{STORIES}/1-2-second.md:3")]);
}

#[test]
fn the_tracking_is_not_lowered_by_a_file() {
    let project = Project::with_epics(TWO)
        .tracked("  1-1-first: done\n")
        .story_file("1-1-first.md", "# Story 1.1: First\n\nStatus: ready-for-dev\n");
    assert_eq!(story(&project.scan(), "1-1-first").status, StoryStatus::Done);
}

#[test]
fn a_status_further_down_is_none() {
    let text = "# Story 1.1: First\n\n## Story\n\nStatus: done\n\n## Auto Run Result\n\nStatus: done\n";
    let scan = Project::with_epics(TWO).story_file("1-1-first.md", text).scan();
    assert_eq!(story(&scan, "1-1-first").status, StoryStatus::ReadyForDev);
}

#[test]
fn a_quoted_status_is_one() {
    let text = "# Story 1.1: First\n\n> **Epic:** One\n> **Status:** PLANNED\n";
    let scan = Project::with_epics(TWO).story_file("1-1-first.md", text).scan();
    assert_eq!(places(&scan, Code::UnknownStatus), [format!("{STORIES}/1-1-first.md:4")]);
}

#[test]
fn an_odd_status_in_a_file_is_never_guessed() {
    let odd = "# Story 1.1: First\n\nStatus: ✅ Approved — done\n";
    let tracked = Project::with_epics(TWO).tracked("  1-1-first: review\n").story_file("1-1-first.md", odd).scan();
    assert_eq!(story(&tracked, "1-1-first").status, StoryStatus::Review);
    assert_eq!(places(&tracked, Code::UnreadStatus), [format!("{STORIES}/1-1-first.md:3")]);
    let alone = Project::with_epics(TWO).story_file("1-1-first.md", odd).scan();
    assert_eq!(keys(&alone), ["1-2-second"]);
    assert_eq!(places(&alone, Code::UnknownStatus), [format!("{STORIES}/1-1-first.md:3")]);
    let withdrawn = "# Story 1.1: First\n\nStatus: Superseded (was: done)\n";
    let scan = Project::with_epics(TWO).tracked("  1-1-first: backlog\n").story_file("1-1-first.md", withdrawn).scan();
    assert_eq!(keys(&scan), ["1-2-second"], "a story taken back in its own file is not built");
}

#[test]
fn nested_superseded_stray_and_second_files() {
    let project = Project::with_epics(TWO)
        .story_file("stories/epic-1/1-1-first.md", "# Story 1.1: First\n\nNested.\n")
        .story_file("stories/epic-1/deeper/1-1-first.md", "# Story 1.1: First\n\nCopy.\n")
        .story_file("1-2-second.superseded.md", "# Story 1.2: Second\n\nStatus: done\n")
        .story_file("architecture.md", "# Architecture\n")
        .story_file("1-2-notes.md", "# Notes of a meeting\n");
    let scan = project.scan();
    assert_eq!(story(&scan, "1-1-first").body, "# Story 1.1: First\n\nNested.");
    assert_eq!(story(&scan, "1-2-second").status, StoryStatus::Backlog);
    assert_eq!(places(&scan, Code::DuplicateStoryFile), [format!("{STORIES}/stories/epic-1/deeper/1-1-first.md")]);
    assert_eq!(places(&scan, Code::SupersededFile), [format!("{STORIES}/1-2-second.superseded.md")]);
    assert_eq!(
        places(&scan, Code::NotAStory),
        [format!("{STORIES}/1-2-notes.md"), format!("{STORIES}/architecture.md")]
    );
}

#[test]
fn a_changed_title_is_found_by_its_number() {
    let project = Project::with_epics(TWO)
        .tracked("  1-1-former-name: review\n  1-2-second: backlog\n")
        .story_file("1-1-former-name.md", "# Story 1.1: Former name\n");
    let scan = project.scan();
    assert_eq!(keys(&scan), ["1-1-former-name", "1-2-second"]);
    let first = story(&scan, "1-1-former-name");
    assert_eq!((first.title.as_str(), first.status), ("First", StoryStatus::Review));
    assert!(first.story_file.is_some());
    assert!(message(&scan, Code::RenamedStory).contains("1-1-first"));
}

#[test]
fn an_ambiguous_number_is_not_matched() {
    let project = Project::with_epics(TWO).tracked("  1-1-a: done\n  1-1-b: review\n");
    let scan = project.scan();
    assert_eq!(statuses(&scan)[0], ("1-1-first", StoryStatus::Backlog));
    assert_eq!(places(&scan, Code::StatusWithoutStory).len(), 2);
}

#[test]
fn a_number_that_two_headings_share_is_not_matched_either() {
    let project = Project::with_epics("## Epic 1: One\n### Story 1.1: A\n### Story 1.1: B\n")
        .tracked("  1-1-c: done\n")
        .story_file("1-1-d.md", "# Story 1.1: D\n");
    let scan = project.scan();
    assert_eq!(scan.stories.iter().map(|story| story.story_file.is_some()).collect::<Vec<_>>(), [false, false, true]);
    assert!(scan.stories.iter().all(|story| story.status != StoryStatus::Done));
    assert!(places(&scan, Code::RenamedStory).is_empty());
}

#[test]
fn stories_without_a_heading_come_in_their_place() {
    let project = Project::with_epics("## Epic 1: One\n### Story 1.1: First\n### Story 1.4: Fourth\n")
        .tracked("  1-1-first: done\n  1-2-tracked: backlog\n  1-4-fourth: backlog\n")
        .story_file("1-2-tracked.md", "# Story 1.2: Tracked\n")
        .story_file("1-3-found.md", "# Story 1.3: Found\n\nStatus: review\n");
    let scan = project.scan();
    assert_eq!(keys(&scan), ["1-1-first", "1-2-tracked", "1-3-found", "1-4-fourth"]);
    assert_eq!(story(&scan, "1-3-found").status, StoryStatus::Review);
    assert_eq!(places(&scan, Code::UntrackedStoryFile), [format!("{STORIES}/1-3-found.md")]);
}

#[test]
fn an_implementation_specification_raises_the_status() {
    let project = Project::with_epics(TWO)
        .tracked("  1-1-first: in-progress\n")
        .story_file("spec-1-1-first.md", "---\ntitle: 'x'\nstatus: 'in-review'\n---\n## Intent\n")
        .story_file("spec-9-9-nobody.md", "---\nstatus: done\n---\n");
    let scan = project.scan();
    let first = story(&scan, "1-1-first");
    assert_eq!(first.status, StoryStatus::Review);
    assert_eq!(first.related.iter().map(|file| file.role).collect::<Vec<_>>(), [FileRole::Spec]);
    assert_eq!(places(&scan, Code::NotAStory), [format!("{STORIES}/spec-9-9-nobody.md")]);
}

#[test]
fn the_hash_follows_the_text_and_not_the_status() {
    let with = |text: &str| {
        let project = Project::with_epics(TWO).story_file("1-1-first.md", text);
        story(&project.scan(), "1-1-first").content_sha256.clone()
    };
    let before = with("# Story 1.1: First\n\nStatus: review\n\n## Story\n\nText.\n");
    assert_eq!(before, with("# Story 1.1: First\n\nStatus: done\n\n## Story\n\nText.\n"));
    assert_eq!(before, with("# Story 1.1: First\r\n\r\nStatus: done\r\n\r\n## Story\r\n\r\nText.\r\n"));
    assert_ne!(before, with("# Story 1.1: First\n\nStatus: review\n\n## Story\n\nOther text.\n"));
    assert_eq!(before.len(), 64);
}

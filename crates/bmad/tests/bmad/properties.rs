//! Properties that hold for any input: no panic, the same result each time, keys and statuses kept.

use std::collections::BTreeSet;

use damascus_bmad::{Limits, Scan, Severity, StoryStatus, parse_story_markdown};
use proptest::prelude::*;
use proptest::sample::select;

use crate::project::{EPICS, Project, STORIES, TRACKING, story};

const CASES: u32 = 128;
const WORDS: [&str; 6] = ["backlog", "ready-for-dev", "in-progress", "review", "done", "drafted"];

/// Lines that mean something to the reader, and noise.
fn line() -> impl Strategy<Value = String> {
    let known = select(vec![
        "## Epic 1: One",
        "### Story 1.1: A",
        "### Story 1.2: B",
        "### Story 2-1: C",
        "### ~~Epic 2: X~~ — DELETED",
        "```",
        "~~~~",
        "<!--",
        "-->",
        "---",
        "Status: done",
        "**Acceptance Criteria:**",
        "**Given** a",
        "1. x",
        "- [ ] t (AC: 1)",
        "**Dependencies:** Story 1.2",
        "**Dependencies:** Story 1.1",
        "## Tasks",
        "## Status",
        "development_status:",
        "  1-1-a: done",
        "  1-2-b: review",
        "  ../x: done",
        "cross_dependencies:",
        "  - {blocker: 1-1-a, blocked: 1-2-b}",
        "- id: \"1\"",
        "  title: &a x",
        "  description: *a",
        "a: [",
        "? b",
        "\t",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..40).prop_map(|lines| lines.join("\n"))
}

fn project(epics: &[u8], tracking: &[u8], story: &[u8], list: &[u8]) -> Project {
    Project::new()
        .file(EPICS, epics)
        .file(TRACKING, tracking)
        .file(&format!("{STORIES}/1-1-a.md"), story)
        .file("_bmad-output/specs/spec-x/SPEC.md", story)
        .file("_bmad-output/specs/spec-x/stories.yaml", list)
        .file("_bmad/config.toml", list)
        .file("_bmad/bmm/config.yaml", tracking)
        .file(".bmad-core/core-config.yaml", tracking)
        .file("docs/stories/1.1.story.md", story)
}

/// What holds of every scan.
fn sound(scan: &Scan) {
    let folded: BTreeSet<_> = scan.stories.iter().map(|story| story.key.to_lowercase()).collect();
    assert_eq!(folded.len(), scan.stories.len(), "keys are unique");
    let place = |key: &str| scan.stories.iter().position(|story| story.key == key);
    for (at, story) in scan.stories.iter().enumerate() {
        assert_eq!(usize::try_from(story.order).unwrap(), at + 1);
        assert!(!story.key.contains(['/', '\\', ' ']) && !story.key.contains("..") && !story.title.contains('\n'));
        let visible = |text: &str| text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
        assert!(visible(&story.title) && visible(&story.body) && story.acceptance.iter().all(|text| visible(text)));
    }
    // No cycle: taking away what nothing is waited for, again and again, leaves nothing.
    let mut open: Vec<_> = scan
        .dependencies
        .iter()
        .map(|edge| (place(&edge.downstream).unwrap(), place(&edge.upstream).unwrap()))
        .collect();
    loop {
        let waiting: BTreeSet<_> = open.iter().map(|(downstream, _)| *downstream).collect();
        let before = open.len();
        open.retain(|(_, upstream)| waiting.contains(upstream));
        if open.len() == before {
            break;
        }
    }
    assert!(open.is_empty(), "a cycle: {open:?}");
    assert!(scan.findings.is_sorted_by_key(|finding| finding.source.clone()));
    assert!(scan.findings.iter().all(|finding| !finding.message.chars().any(char::is_control)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let project = project(&bytes, &bytes, &bytes, &bytes);
        for layout in damascus_bmad::Layout::ALL {
            if let Ok(scan) = project.scan_as(layout) {
                sound(&scan);
            }
        }
        let _ = parse_story_markdown(&String::from_utf8_lossy(&bytes), &Limits::default());
    }

    #[test]
    fn no_text_makes_it_panic_and_each_scan_is_the_same(epics in text(), tracking in text(), file in text(), list in text()) {
        let project = project(epics.as_bytes(), tracking.as_bytes(), file.as_bytes(), list.as_bytes());
        for layout in damascus_bmad::Layout::ALL {
            let first = project.scan_as(layout);
            let second = project.scan_as(layout);
            if let (Ok(first), Ok(second)) = (&first, &second) {
                prop_assert_eq!(first, second);
                sound(first);
            }
            prop_assert_eq!(first.is_ok(), second.is_ok());
        }
    }

    #[test]
    fn a_parsed_text_is_clean_and_parses_to_itself(text in text()) {
        if let Ok(parsed) = parse_story_markdown(&text, &Limits::default()) {
            prop_assert!(!parsed.title.is_empty() && !parsed.title.chars().any(char::is_control));
            prop_assert!(parsed.body.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            prop_assert_eq!(&parsed, &parse_story_markdown(&text, &Limits::default()).unwrap());
        }
    }

    #[test]
    fn a_status_is_never_lowered(tracked in select(&WORDS[..]), own in select(&WORDS[..]), has_file: bool) {
        let epics = "## Epic 1: One\n### Story 1.1: A\n";
        let mut project = Project::with_epics(epics).tracked(&format!("  1-1-a: {tracked}\n"));
        if has_file {
            project = project.story_file("1-1-a.md", &format!("# Story 1.1: A\n\nStatus: {own}\n"));
        }
        let scan = project.scan();
        let status = story(&scan, "1-1-a").status;
        prop_assert!(status >= meaning(tracked));
        prop_assert!(!has_file || status >= meaning(own).max(StoryStatus::ReadyForDev));
        prop_assert!(status <= meaning(tracked).max(meaning(own)).max(StoryStatus::ReadyForDev), "nor raised beyond what was said");
    }

    #[test]
    fn any_other_status_leaves_the_story_out(word in "[a-z✅ ()-]{1,20}") {
        prop_assume!(!WORDS.contains(&word.trim().replace(' ', "-").as_str()) && !word.contains("contexted"));
        let quoted = serde_json::to_string(&word).unwrap();
        let scan = Project::with_epics("## Epic 1: One\n### Story 1.1: A\n").tracked(&format!("  1-1-a: {quoted}\n")).scan();
        let normal: Vec<_> = word.split([' ', '-']).filter(|part| !part.is_empty()).collect();
        prop_assume!(!WORDS.contains(&normal.join("-").as_str()));
        prop_assert!(scan.stories.is_empty());
        prop_assert!(scan.findings.iter().any(|finding| finding.severity == Severity::Skipped && finding.source.line == Some(3)));
    }
}

fn meaning(word: &str) -> StoryStatus {
    match word {
        "ready-for-dev" | "drafted" => StoryStatus::ReadyForDev,
        "in-progress" => StoryStatus::InProgress,
        "review" => StoryStatus::Review,
        "done" => StoryStatus::Done,
        _ => StoryStatus::Backlog,
    }
}

//! One story from a text.

use damascus_bmad::{Code, Limits, StoryStatus, StoryTextError, parse_story_markdown};

fn parse(text: &str) -> damascus_bmad::ParsedStory {
    parse_story_markdown(text, &Limits::default()).unwrap()
}

#[test]
fn a_plain_text() {
    let story = parse(
        "# Add a health check\n\nReturn 200 from /healthz.\n\n## Acceptance Criteria\n\n- It answers.\n- Within a second.\n\nDependencies: Story 1.2\n",
    );
    assert_eq!(story.title, "Add a health check");
    assert_eq!(story.acceptance, ["It answers.", "Within a second."]);
    assert_eq!(story.dependencies[0].reference.to_string(), "1.2");
    assert_eq!((story.dependencies[0].line, story.dependencies[0].text.as_str()), (10, "Story 1.2"));
    assert_eq!((story.number, story.status), (None, None));
    assert!(story.findings.is_empty());
}

#[test]
fn a_bmad_story() {
    let story = parse(
        "\u{feff}# Story 2.3a: Sign in\r\n\r\nStatus: drafted\r\n\r\n## Tasks / Subtasks\r\n- [x] One (AC: 1)\r\n",
    );
    assert_eq!(story.title, "Sign in");
    assert_eq!(story.number.map(|number| number.to_string()).as_deref(), Some("2.3a"));
    assert_eq!(story.status, Some(StoryStatus::ReadyForDev));
    assert_eq!((story.tasks[0].text.as_str(), story.tasks[0].done), ("One", true));
}

#[test]
fn front_matter_gives_title_and_status() {
    let story = parse("---\ntitle: 'From above'\nstatus: in-review\n---\n\nText without a heading.\n");
    assert_eq!((story.title.as_str(), story.status), ("From above", Some(StoryStatus::Review)));
    assert_eq!(story.body, "Text without a heading.");
    let broken = parse("---\ntitle: From above\ncontext: {project-root}/x\n---\nText.\n");
    assert_eq!(broken.title, "From above");
    assert_eq!(broken.findings[0].code, Code::YamlReadByLine);
}

#[test]
fn what_is_no_story() {
    let limits = Limits { max_story_bytes: 10, ..Limits::default() };
    assert_eq!(parse_story_markdown("", &limits), Err(StoryTextError::Empty));
    assert_eq!(parse_story_markdown(" \n\t\n", &limits), Err(StoryTextError::Empty));
    assert_eq!(parse_story_markdown("text", &limits), Err(StoryTextError::NoTitle));
    assert_eq!(parse_story_markdown("# \u{7}", &limits), Err(StoryTextError::NoTitle));
    assert_eq!(parse_story_markdown("# 123456789", &limits), Err(StoryTextError::TooLarge { size: 11, limit: 10 }));
    assert!(StoryTextError::NoTitle.to_string().contains("# Title"));
}

#[test]
fn what_is_cleaned_is_said() {
    let story = parse("# A\u{1b}[31m red\u{202e} title\n\nStatus: shipped\n\nText\u{7}\n");
    assert_eq!(
        (story.title.as_str(), story.body.as_str()),
        ("A red title", "# A red title\n\nStatus: shipped\n\nText")
    );
    let codes: Vec<_> = story.findings.iter().map(|finding| (finding.code, finding.source.line)).collect();
    assert_eq!(codes, [(Code::ControlCharacters, Some(1)), (Code::UnknownStatus, Some(3))]);
    assert_eq!(story.status, None);
}

#[test]
fn criteria_in_every_form() {
    let cases: [(&str, &[&str]); 9] = [
        ("1. One\n2. Two\n   more\n", &["One", "Two\nmore"]),
        ("1. One\n<!--\n2. hidden\n-->\n2. Two\n", &["One", "Two"]),
        ("- [ ] One\n- [x] Two\n", &["One", "Two"]),
        (
            "**Given** a\n**When** b\n**Then** c\n\n**Given** d\n**Then** e\n",
            &["Given a\nWhen b\nThen c", "Given d\nThen e"],
        ),
        ("- **Given** a\n- **When** b\n- **Then** c\n- **Given** d\n", &["Given a\nWhen b\nThen c", "Given d"]),
        ("**AC1: Name**\n- Given a\n", &["AC1: Name", "Given a"]),
        ("1. **Name**\n   - detail\n   - detail\n2. Next\n", &["Name\ndetail\ndetail", "Next"]),
        ("1. Run\n```sh\n2. not one\n```\n", &["Run\n```sh\n2. not one\n```"]),
        ("### AC1: Heading\n\nText.\n\n### AC2: Other\n", &["AC1: Heading", "Text.", "AC2: Other"]),
    ];
    for (text, expected) in cases {
        let story = parse(&format!("# T\n\n## Acceptance Criteria\n\n{text}\n## Dev Notes\n\n1. no criterion\n"));
        assert_eq!(story.acceptance, expected, "{text}");
    }
}

#[test]
fn the_shape_is_stable() {
    let story = parse(
        "# Story 1.2: T\n\nStatus: done\n\n**Dependencies:** Stories 1.1-1.3, Epic 2\n\n## Tasks\n- [ ] x (AC: 1)\n",
    );
    insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => "../snapshots"}, {
        insta::assert_json_snapshot!("text", story);
    });
}

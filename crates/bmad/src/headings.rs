//! Headings of epics and stories.
//!
//! Invariant: what upstream's patterns take is taken with the same number and the same slug; what they would pass over
//! is taken only where its meaning is beyond doubt, and then marked; anything else that mentions an epic or a story is
//! suspect.

use crate::key::{self, StoryNumber};
use crate::markdown::{Line, LineKind, without_closing};

/// A heading that concerns epics or stories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heading<'a> {
    /// An epic.
    Epic { number: u32, title: String, form: Form },
    /// A story.
    Story { heading: StoryHeading<'a>, form: Form },
    /// Mentions one and follows no known form.
    Suspect,
}

/// A story's heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoryHeading<'a> {
    /// Its number.
    pub(crate) number: StoryNumber,
    /// Its number in the epic as written: the key keeps leading zeros.
    pub(crate) written: &'a str,
    /// What upstream makes the slug of.
    pub(crate) slug_title: &'a str,
    /// What people see.
    pub(crate) title: String,
}

impl StoryHeading<'_> {
    /// Upstream's key.
    pub(crate) fn key(&self) -> String {
        key::from_heading(self.number.epic, self.written, self.slug_title)
    }
}

/// How a heading is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// By upstream's patterns.
    Standard,
    /// Not by the patterns, but clear.
    Nonstandard,
    /// Struck out or marked as deleted.
    Withdrawn,
    /// Marked as a candidate.
    Candidate,
}

/// Words after a dash or in brackets that take a heading back.
const WITHDRAWN_MARKERS: [&str; 11] = [
    "DELETED",
    "REMOVED",
    "SUPERSEDED",
    "RETIRED",
    "DROPPED",
    "DESCOPED",
    "DEFERRED",
    "CANCELLED",
    "CANCELED",
    "OBSOLETE",
    "DEPRECATED",
];
/// Words in brackets before a heading that leave it undecided.
const CANDIDATE_MARKERS: [&str; 5] = ["CANDIDATE", "PROPOSED", "OPTIONAL", "IDEA", "TBD"];

/// Reads a line as such a heading; `None` if it is no heading, or mentions neither.
pub(crate) fn read<'a>(line: &Line<'a>) -> Option<Heading<'a>> {
    let Some((level, text)) = line.heading() else { return bold_story(line).then_some(Heading::Suspect) };
    if (1..=3).contains(&level)
        && let Some((number, title)) = epic(text)
    {
        return Some(Heading::Epic { number, title: display(title), form: withdrawn_or(title, Form::Standard) });
    }
    if (2..=4).contains(&level)
        && let Some(heading) = story(text, &['.'])
    {
        let form = withdrawn_or(heading.slug_title, Form::Standard);
        return Some(Heading::Story { heading, form });
    }
    // Upstream asks for white space here: `#story` is a tag, not a heading.
    line.strict_heading()?;
    if level > 4 || !mentions(text) || is_of_the_template(text) {
        return None;
    }
    Some(tolerant(text).unwrap_or(Heading::Suspect))
}

fn tolerant(text: &str) -> Option<Heading<'_>> {
    let mut form = Form::Nonstandard;
    let mut rest = text.trim_start_matches(['*', '_', ' ']);
    if let Some(struck) = rest.strip_prefix("~~") {
        struck.contains("~~").then_some(())?;
        form = Form::Withdrawn;
        rest = struck.trim_start();
    } else if let Some(tagged) = rest.strip_prefix('[') {
        let (tag, after) = tagged.split_once(']')?;
        form = tag_form(tag)?;
        rest = after.trim_start();
    }
    if let Some((number, title)) = epic(rest) {
        return Some(Heading::Epic { number, title: display(title), form: withdrawn_or(title, form) });
    }
    let heading = story(rest, &['.', '-'])?;
    let form = withdrawn_or(heading.slug_title, form);
    Some(Heading::Story { heading, form })
}

fn tag_form(tag: &str) -> Option<Form> {
    let tag = tag.trim().to_ascii_uppercase();
    if CANDIDATE_MARKERS.contains(&tag.as_str()) {
        Some(Form::Candidate)
    } else if WITHDRAWN_MARKERS.contains(&tag.as_str()) {
        Some(Form::Withdrawn)
    } else {
        None
    }
}

/// `Epic N: Title`.
fn epic(text: &str) -> Option<(u32, &str)> {
    let rest = word(text, "epic")?;
    let (number, rest) = key::take_number(rest)?;
    Some((number, after_colon(rest)))
}

/// `Story N.M: Title`.
fn story<'a>(text: &'a str, separators: &[char]) -> Option<StoryHeading<'a>> {
    let rest = word(text, "story")?;
    let (number, after) = key::leading_number(rest, separators)?;
    let written = rest.get(..rest.len() - after.len())?.split_once(separators)?.1;
    let slug_title = after_colon(after);
    Some(StoryHeading { number, written, slug_title, title: display(slug_title) })
}

fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = text.get(word.len()..)?;
    (head.eq_ignore_ascii_case(word) && rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

/// The title as upstream's pattern captures it: one colon and any closing `#`s are no part of it.
fn after_colon(rest: &str) -> &str {
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    rest.trim_end().trim_end_matches('#').trim_end()
}

/// The title as people write it: without the dash that some put for the colon, and without strike-through.
fn display(title: &str) -> String {
    let bare = without_closing(title).trim_start_matches(['-', '–', '—', ':', ' ']);
    bare.replace("~~", "").trim().to_owned()
}

fn withdrawn_or(title: &str, form: Form) -> Form {
    let struck = title.strip_prefix("~~").is_some_and(|rest| rest.contains("~~"));
    let bare = title.trim_end_matches([')', ']', '*', '_', ' ', '~']);
    let marked = WITHDRAWN_MARKERS.iter().any(|marker| {
        bare.strip_suffix(marker).is_some_and(|before| {
            before.trim_end_matches([' ', '*', '_']).ends_with(['—', '–', '-', '(', '[', ':', '~'])
        })
    });
    if struck || marked { Form::Withdrawn } else { form }
}

/// A whole line `**Story 1.2: Title**`: meant as a heading, and none.
fn bold_story(line: &Line<'_>) -> bool {
    let bold = line.text.trim().strip_prefix("**").and_then(|rest| rest.strip_suffix("**"));
    line.kind == LineKind::Text && bold.is_some_and(|text| story(text, &['.', '-']).is_some())
}

/// Headings that upstream's own template of epics has: a warning about these in every project would hide the others.
fn is_of_the_template(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower == "epic list" || lower.ends_with("epic breakdown")
}

/// Whether a heading holds one of the words by itself.
fn mentions(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| matches!(word, "epic" | "story"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Heading<'_>> {
        read(&Line { number: 1, text, kind: LineKind::Text })
    }

    fn story_of(text: &str) -> Option<(String, String, Form)> {
        match of(text)? {
            Heading::Story { heading, form } => Some((heading.key(), heading.title, form)),
            Heading::Epic { .. } | Heading::Suspect => None,
        }
    }

    fn epic_of(text: &str) -> Option<(u32, String, Form)> {
        match of(text)? {
            Heading::Epic { number, title, form } => Some((number, title, form)),
            Heading::Story { .. } | Heading::Suspect => None,
        }
    }

    #[test]
    fn standard_headings() {
        let standard = |key: &str, title: &str| Some((key.to_owned(), title.to_owned(), Form::Standard));
        assert_eq!(story_of("### Story 1.2: User Login"), standard("1-2-user-login", "User Login"));
        assert_eq!(story_of("##story 1.2a User Login ##"), standard("1-2a-user-login", "User Login"));
        assert_eq!(story_of("#### STORY 01.02 — Dash"), standard("1-02-dash", "Dash"));
        assert_eq!(epic_of("## Epic 3: Pay"), Some((3, "Pay".to_owned(), Form::Standard)));
        assert_eq!(epic_of("#Epic 3"), Some((3, String::new(), Form::Standard)));
    }

    #[test]
    fn odd_headings() {
        assert_eq!(
            epic_of("### ~~Epic 4: Old things~~ — DELETED").map(|epic| (epic.0, epic.2)),
            Some((4, Form::Withdrawn))
        );
        assert_eq!(story_of("### Story 4.1: Gone — DELETED").map(|story| story.2), Some(Form::Withdrawn));
        assert_eq!(story_of("### Story 4.1: ~~Gone~~").map(|story| story.2), Some(Form::Withdrawn));
        assert_eq!(story_of("### Story 4.1: Show DELETED rows").map(|story| story.2), Some(Form::Standard));
        let candidate = ("3-4-maybe".to_owned(), "Maybe".to_owned(), Form::Candidate);
        assert_eq!(story_of("### [CANDIDATE] Story 3.4: Maybe"), Some(candidate));
        let dashed = ("10-1-dashed".to_owned(), "Dashed".to_owned(), Form::Nonstandard);
        assert_eq!(story_of("### Story 10-1: Dashed"), Some(dashed));
    }

    #[test]
    fn suspects() {
        for text in [
            "## Story map",
            "### [DONE] Story 1.1: x",
            "## The epic list",
            "# Story A.1: x",
            "## Story 99999999999.1: x",
            "**Story 1.3: Bold**",
        ] {
            assert_eq!(of(text), Some(Heading::Suspect), "{text}");
        }
        for text in [
            "## Epic List",
            "# Shop - Epic Breakdown",
            "## History",
            "**Story 1.3** is a prerequisite",
            "##### Story 1.1: x",
            "Story 1.1: x",
            "#story",
            "## Epics",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

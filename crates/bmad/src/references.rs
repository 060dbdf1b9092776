//! What a line about dependencies refers to.
//!
//! Invariant: a number counts as a story only where the text says so (`Story 1.2`), or where the line holds nothing but
//! numbers; `React 18.2` is never one. What was not understood is returned, not dropped.

use serde::{Serialize, Serializer};

use crate::key::{self, StoryNumber};

/// What a story says that it depends on. Serialised as text: `1.2`, `1.2-1.4`, `epic 1`, `1-2-slug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A story by its number.
    Story(StoryNumber),
    /// All stories of one epic from one number to another.
    Range(StoryNumber, StoryNumber),
    /// All stories of an epic.
    Epic(u32),
    /// A story by its key.
    Key(String),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Story(number) => number.fmt(f),
            Self::Range(from, to) => write!(f, "{from}-{to}"),
            Self::Epic(number) => write!(f, "epic {number}"),
            Self::Key(key) => f.write_str(key),
        }
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What was found in a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// In the order of the text, without repetition.
    pub(crate) references: Vec<Reference>,
    /// Words that are neither references nor filling.
    pub(crate) rest: String,
}

const LABELS: [&str; 8] = [
    "dependencies",
    "dependency",
    "depends on",
    "prerequisites",
    "prerequisite",
    "pre-requisites",
    "blocked by",
    "story dependencies",
];
/// Texts that say that there is nothing.
const NOTHING: [&str; 9] = ["none", "n/a", "na", "nil", "nothing", "-", "–", "—", "no"];
/// Words around references that carry nothing more.
const FILLING: [&str; 22] = [
    "and",
    "or",
    "plus",
    "the",
    "must",
    "be",
    "is",
    "are",
    "done",
    "complete",
    "completed",
    "merged",
    "finished",
    "required",
    "requires",
    "needs",
    "on",
    "depends",
    "after",
    "first",
    "all",
    "both",
];

/// Whether a label (without its colon) announces dependencies.
pub(crate) fn is_label(label: &str) -> bool {
    LABELS.iter().any(|known| label.trim().eq_ignore_ascii_case(known))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Unsaid,
    Story,
    Epic,
}

/// Finds the references in what follows such a label. `bare_numbers` lets `1.2` stand for a story where nothing else is
/// said.
pub(crate) fn find(text: &str, bare_numbers: bool) -> Found {
    let text = outside_parentheses(text);
    let mut found = Found::default();
    let mut bare = Vec::new();
    let mut rest = Vec::new();
    let mut mode = Mode::Unsaid;
    let mut range_open = false;
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '&' | '+' | '|')) {
        let word = word.trim_matches(['.', ':', '*', '`', '"', '\'', '#', '[', ']', '_', '!']);
        let word = match after_story_prefix(word) {
            Some(number) => {
                mode = Mode::Story;
                number
            }
            None => word,
        };
        let lower = word.to_lowercase();
        match lower.as_str() {
            "" => continue,
            "story" | "stories" => mode = Mode::Story,
            "epic" | "epics" => mode = Mode::Epic,
            "-" | "–" | "—" | "to" | "through" | "until" if !found.references.is_empty() => {
                range_open = true;
                continue;
            }
            _ => match read(word, mode) {
                Some(reference) if mode == Mode::Unsaid && !matches!(reference, Reference::Key(_)) => {
                    bare.push((reference, word))
                }
                Some(reference) => push(&mut found.references, reference, range_open),
                None if FILLING.contains(&lower.as_str()) || NOTHING.contains(&lower.as_str()) => {}
                None => {
                    mode = Mode::Unsaid;
                    rest.push(word);
                }
            },
        }
        range_open = false;
    }
    if bare_numbers && rest.is_empty() && found.references.is_empty() {
        found.references = bare.into_iter().map(|(reference, _)| reference).collect();
    } else {
        rest.extend(bare.iter().map(|(_, word)| *word));
    }
    found.rest = rest.join(" ");
    found
}

/// `STORY-10.8` says by itself what it is.
fn after_story_prefix(word: &str) -> Option<&str> {
    let (prefix, rest) = word.split_once('-')?;
    (prefix.eq_ignore_ascii_case("story") && rest.starts_with(|c: char| c.is_ascii_digit())).then_some(rest)
}

fn push(references: &mut Vec<Reference>, reference: Reference, range_open: bool) {
    let start = references.last().filter(|_| range_open);
    if let (Some(Reference::Story(from)), Reference::Story(to)) = (start, &reference)
        && from.epic == to.epic
        && from < to
    {
        let range = Reference::Range(*from, *to);
        references.pop();
        references.push(range);
        return;
    }
    if !references.contains(&reference) {
        references.push(reference);
    }
}

fn read(word: &str, mode: Mode) -> Option<Reference> {
    if let Some(number) = number_with_dot(word) {
        return Some(Reference::Story(number));
    }
    for dash in ['-', '–', '—'] {
        if let Some((from, to)) = word.split_once(dash)
            && let (Some(from), Some(to)) = (number_with_dot(from), number_with_dot(to))
        {
            return (from.epic == to.epic && from < to).then_some(Reference::Range(from, to));
        }
    }
    if key::number_of_key(word).is_some() {
        return Some(Reference::Key(word.to_owned()));
    }
    match mode {
        Mode::Story => key::number_of_text(word).map(Reference::Story),
        Mode::Epic => key::take_number(word).filter(|(_, rest)| rest.is_empty()).map(|(epic, _)| Reference::Epic(epic)),
        Mode::Unsaid => None,
    }
}

fn number_with_dot(word: &str) -> Option<StoryNumber> {
    key::leading_number(word, &['.']).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number)
}

/// What stands in parentheses explains a reference and is none: `Story 1.2 (the login of 1.1)`.
fn outside_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' => {
                depth = depth.saturating_sub(1);
                false
            }
            _ => depth == 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> (Vec<String>, String) {
        let found = find(text, true);
        (found.references.iter().map(Reference::to_string).collect(), found.rest)
    }

    fn all(references: &[&str]) -> (Vec<String>, String) {
        (references.iter().map(|&text| text.to_owned()).collect(), String::new())
    }

    #[test]
    fn forms_seen_in_the_wild() {
        assert_eq!(texts("Story 1.2"), all(&["1.2"]));
        assert_eq!(texts("Story 1.1, Story 1.2"), all(&["1.1", "1.2"]));
        assert_eq!(texts("Stories 1.1, 1.2 and 1.3b."), all(&["1.1", "1.2", "1.3b"]));
        assert_eq!(texts("Story 1.2 (User Login, see 3.4), Story 2-1 must be complete"), all(&["1.2", "2.1"]));
        assert_eq!(texts("1.1, 1.2"), all(&["1.1", "1.2"]));
        assert_eq!(texts("Epic 1, Story 2.1"), all(&["epic 1", "2.1"]));
        assert_eq!(texts("Stories 1.1-1.4"), all(&["1.1-1.4"]));
        assert_eq!(texts("Story 1.1 through 1.4"), all(&["1.1-1.4"]));
        assert_eq!(texts("`1-2-user-login`"), all(&["1-2-user-login"]));
        assert_eq!(texts("STORY-10.8, story-1-2"), all(&["10.8", "1.2"]));
        assert_eq!(texts("None"), all(&[]));
        assert_eq!(texts("N/A"), all(&[]));
    }

    #[test]
    fn versions_are_no_stories() {
        assert_eq!(texts("React 18.2, Node 22.1"), (vec![], "React Node 18.2 22.1".to_owned()));
        assert_eq!(texts("Story 1.2, React 18.2").0, ["1.2"]);
        assert_eq!(find("1.2", false).references, []);
    }
}

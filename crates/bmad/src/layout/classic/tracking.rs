//! `sprint-status.yaml`.
//!
//! Invariant: the order of the map is kept, statuses stay as written (what they mean is decided where everything about
//! a story is known), and of a key that appears twice the further status counts.

use std::collections::BTreeMap;

use crate::draft::Cross;
use crate::finding::{Code, SourceRef};
use crate::key::{self, KeyKind, StoryNumber};
use crate::model::FileRole;
use crate::status::{StatusWord, Vocabulary, read_status};
use crate::survey::{ReadYaml, Survey};
use crate::text;
use crate::yaml::{Node, Value};
use crate::yaml_lines;

const STATUSES: &str = "development_status";

/// What is tracked.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    pub(crate) path: String,
    /// Stories, in the order of the file.
    pub(crate) stories: Vec<Tracked>,
    pub(crate) cross: Vec<Cross>,
    /// Where the tracking file says that the stories are, and its line.
    pub(crate) story_location: Option<(String, u32)>,
}

/// A tracked story.
#[derive(Debug, Clone)]
pub(crate) struct Tracked {
    pub(crate) key: String,
    /// `None` for a key outside the grammar.
    pub(crate) number: Option<StoryNumber>,
    /// As written; empty if it is no text.
    pub(crate) status: String,
    pub(crate) source: SourceRef,
    /// The last `epic-…` key above it, without its beginning.
    pub(crate) epic: Option<String>,
    /// Its place in the file.
    pub(crate) index: usize,
}

/// Reads the tracking file.
pub(crate) fn read(survey: &mut Survey<'_>, path: &str) -> Tracking {
    let mut tracking = Tracking { path: path.to_owned(), ..Tracking::default() };
    let entries: Vec<(String, String, u32)> = match survey.yaml(path, FileRole::SprintStatus) {
        Some(ReadYaml::Tree(root)) => {
            let root = root.unwrap_or(Node { line: 1, value: Value::List(Vec::new()) });
            tracking.story_location =
                root.get("story_location").and_then(|node| Some((node.as_str()?.to_owned(), node.line)));
            read_cross(survey, &mut tracking, &root);
            let statuses = root.get(STATUSES).filter(|node| matches!(node.value, Value::Map(_)) || node.is_null());
            if statuses.is_none() {
                // A file of somebody's own shape: its stories must not pass for untouched without a word.
                let message = format!("has no map `{STATUSES}`; no status was read");
                survey.find(Code::NoStatuses, SourceRef::line(path, root.line), message);
            }
            let entries = statuses.map(Node::entries).unwrap_or_default();
            entries
                .iter()
                .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), scalar(value), key.line))
                .collect()
        }
        Some(ReadYaml::Broken { text, line, message }) => {
            let entries = yaml_lines::section(&text, STATUSES);
            let (code, rest) = if entries.is_empty() {
                (Code::YamlUnparseable, "no status could be read")
            } else {
                (Code::YamlReadByLine, "the statuses were read line by line, cross_dependencies were not")
            };
            survey.find(
                code,
                SourceRef::line(path, line),
                format!("does not parse: {}; {rest}", text::quote(&message)),
            );
            let location = yaml_lines::top_level(&text).into_iter().find(|entry| entry.key == "story_location");
            tracking.story_location = location.map(|entry| (entry.value, entry.line));
            entries.into_iter().map(|entry| (entry.key, entry.value, entry.line)).collect()
        }
        None => Vec::new(),
    };
    take_entries(survey, &mut tracking, entries);
    tracking
}

fn scalar(node: &Node) -> String {
    if node.is_null() { String::new() } else { node.as_str().unwrap_or_default().to_owned() }
}

fn take_entries(survey: &mut Survey<'_>, tracking: &mut Tracking, entries: Vec<(String, String, u32)>) {
    let mut epic = None;
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (index, (key, status, line)) in entries.into_iter().enumerate() {
        let source = SourceRef::line(&tracking.path, line);
        let number = match key::classify(&key, survey.limits.max_key_chars) {
            KeyKind::Epic => {
                check_epic_status(survey, &key, &status, &source);
                epic = key.strip_prefix("epic-").map(str::to_owned);
                continue;
            }
            KeyKind::Retrospective => continue,
            KeyKind::Unsafe => {
                let message =
                    format!("the key {} could be a path, or holds characters that keys may not", text::quote(&key));
                survey.find(Code::UnsafeKey, source, message);
                continue;
            }
            KeyKind::Story(number) => Some(number),
            KeyKind::Odd => {
                // `epic-orch-1` heads the keys below it all the same.
                epic = key.strip_prefix("epic-").map(str::to_owned).or(epic);
                None
            }
        };
        if let Some(first) = places.get(&key).and_then(|place| tracking.stories.get_mut(*place)) {
            survey.find(Code::DuplicateKey, source, format!("{key} is also at {}", first.source));
            first.status = further(std::mem::take(&mut first.status), status);
            continue;
        }
        if tracking.stories.len() >= survey.limits.max_stories {
            let message =
                format!("more than {} stories; this one and those after it were left out", survey.limits.max_stories);
            return survey.find(Code::TooManyStories, source, message);
        }
        places.insert(key.clone(), tracking.stories.len());
        tracking.stories.push(Tracked { key, number, status, source, epic: epic.clone(), index });
    }
}

/// The further of two written statuses. One that is not in the vocabulary wins: it has to be reported, not outvoted.
fn further(a: String, b: String) -> String {
    let known = |raw: &str| match read_status(raw, Vocabulary::Tracking) {
        StatusWord::Known(status) | StatusWord::Legacy(status) => Some(status),
        StatusWord::Withdrawn | StatusWord::Unknown => None,
    };
    match (known(&a), known(&b)) {
        (None, _) => a,
        (_, None) => b,
        (Some(first), Some(second)) => {
            if second > first {
                b
            } else {
                a
            }
        }
    }
}

fn check_epic_status(survey: &mut Survey<'_>, key: &str, status: &str, source: &SourceRef) {
    if !matches!(status, "backlog" | "in-progress" | "done" | "drafted" | "contexted") {
        let message = format!("{key} has the status {}; its stories follow their own", text::quote(status));
        survey.find(Code::UnexpectedValue, source.clone(), message);
    }
}

fn read_cross(survey: &mut Survey<'_>, tracking: &mut Tracking, root: &Node) {
    for item in root.get("cross_dependencies").map(Node::items).unwrap_or_default() {
        let source = SourceRef::line(&tracking.path, item.line);
        let (blockers, blocked) = (names(item, "blocker"), names(item, "blocked"));
        if blockers.is_empty() || blocked.is_empty() {
            survey.find(Code::UnexpectedValue, source, "an entry of cross_dependencies without blocker or blocked");
            continue;
        }
        let note = item.get("note").and_then(Node::as_str).map(|note| text::clean_line(note).0);
        for blocker in &blockers {
            for blocked in &blocked {
                if tracking.cross.len() >= survey.limits.max_dependencies {
                    let message = format!("more than {} cross_dependencies", survey.limits.max_dependencies);
                    return survey.find(Code::TooManyDependencies, source, message);
                }
                let (blocker, blocked) = (blocker.clone(), blocked.clone());
                tracking.cross.push(Cross { blocker, blocked, note: note.clone(), source: source.clone() });
            }
        }
    }
}

fn names(item: &Node, field: &str) -> Vec<String> {
    let Some(node) = item.get(field) else { return Vec::new() };
    let own = std::slice::from_ref(node).iter().chain(node.items());
    own.filter_map(Node::as_str).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

//! Version 6.11 and later: `stories.yaml` beside a `SPEC.md`.
//!
//! Invariant: the list gives identity and order, a story's own file gives its status. Where upstream halts rather than
//! choose (two files for one id, a status that it does not know), the story is left out.

use std::collections::BTreeMap;

use crate::config::{self, Locations};
use crate::draft::{Draft, Drafts};
use crate::finding::{Code, SourceRef};
use crate::key;
use crate::markdown::split_front_matter;
use crate::model::{FileRole, HumanGate, TakenFile};
use crate::status::{StatusWord, StoryStatus, Vocabulary, read_status};
use crate::story_text::StoryText;
use crate::survey::{ReadYaml, Survey, join};
use crate::text;
use crate::yaml::{self, Node, Value};

const LIST: &str = "stories.yaml";
const SPEC: &str = "SPEC.md";
const KNOWN_FIELDS: [&str; 6] = ["id", "title", "description", "spec_checkpoint", "done_checkpoint", "invoke_dev_with"];

/// The first folder that shows the layout.
pub(crate) fn evidence(survey: &mut Survey<'_>, locations: &Locations) -> Option<String> {
    let specs = join(&locations.output, "specs");
    survey.names(&specs).into_iter().map(|name| join(&specs, &name)).find_map(|folder| {
        let list = join(&folder, LIST);
        (survey.is_file(&list) && survey.is_file(&join(&folder, SPEC))).then_some(list)
    })
}

/// Reads every specification that has stories, by name.
pub(crate) fn read(survey: &mut Survey<'_>, locations: &Locations) -> Drafts {
    let mut drafts = Drafts::default();
    let specs = join(&locations.output, "specs");
    for name in survey.names(&specs) {
        let folder = join(&specs, &name);
        if !survey.is_folder(&folder) {
            continue;
        }
        match (survey.is_file(&join(&folder, LIST)), survey.is_file(&join(&folder, SPEC))) {
            (true, true) => read_spec(survey, &mut drafts, &folder, &name),
            (true, false) => {
                let message = format!("there is no {SPEC} beside it; its stories were not read");
                survey.find(Code::StoriesWithoutSpec, SourceRef::file(&join(&folder, LIST)), message);
            }
            (false, true) => {
                survey.find(
                    Code::SpecWithoutStories,
                    SourceRef::file(&join(&folder, SPEC)),
                    format!("there is no {LIST} beside it"),
                );
            }
            (false, false) => {}
        }
    }
    drafts
}

/// An entry of the list that has what it must have.
struct Entry {
    id: String,
    line: u32,
    title: String,
    description: String,
    gates: Vec<HumanGate>,
    instructions: Option<String>,
}

struct Spec<'a> {
    folder: &'a str,
    list: String,
    name: String,
    related: Vec<TakenFile>,
    /// Files of `stories/`, by name; what is left in the end belongs to nothing.
    files: Vec<String>,
}

fn read_spec(survey: &mut Survey<'_>, drafts: &mut Drafts, folder: &str, name: &str) {
    let list = join(folder, LIST);
    let root = match survey.yaml(&list, FileRole::StoryList) {
        Some(ReadYaml::Tree(root)) => root,
        Some(ReadYaml::Broken { line, message, .. }) => {
            let message = format!("does not parse, no story was read: {}", text::quote(&message));
            return survey.find(Code::YamlUnparseable, SourceRef::line(&list, line), message);
        }
        None => return,
    };
    let entries = read_entries(survey, &list, root.as_ref());
    let entries = prefix_free(survey, drafts, &list, name, entries);
    let related = read_related(survey, folder);
    let stories = join(folder, "stories");
    let files = if survey.is_folder(&stories) { survey.names(&stories) } else { Vec::new() };
    let mut spec = Spec { folder, list, name: name.to_owned(), related, files };
    spec.files.retain(|file| file.ends_with(".md"));
    for entry in entries {
        spec.read_story(survey, drafts, entry);
    }
    for file in &spec.files {
        let path = join(&join(folder, "stories"), file);
        if file.ends_with(".superseded.md") {
            survey.find(Code::SupersededFile, SourceRef::file(&path), "marked as superseded");
        } else {
            survey.find(Code::OrphanStoryFile, SourceRef::file(&path), format!("no entry of {LIST} has its id"));
        }
    }
}

fn read_entries(survey: &mut Survey<'_>, list: &str, root: Option<&Node>) -> Vec<Entry> {
    let Some(root) = root.filter(|root| !root.is_null()) else {
        survey.find(Code::InvalidEntry, SourceRef::file(list), "holds no stories");
        return Vec::new();
    };
    if !matches!(root.value, Value::List(_)) {
        survey.find(Code::InvalidEntry, SourceRef::line(list, root.line), "is not a list of stories");
    }
    root.items().iter().filter_map(|item| read_entry(survey, list, item)).collect()
}

fn read_entry(survey: &mut Survey<'_>, list: &str, item: &Node) -> Option<Entry> {
    let source = SourceRef::line(list, item.line);
    let filled = |name| item.get(name).and_then(Node::as_str).map(str::trim).filter(|text| !text.is_empty());
    let (Some(id), Some(title), Some(description)) = (filled("id"), filled("title"), filled("description")) else {
        let missing: Vec<_> =
            ["id", "title", "description"].into_iter().filter(|name| filled(name).is_none()).collect();
        survey.find(Code::InvalidEntry, source, format!("the entry lacks {}", missing.join(", ")));
        return None;
    };
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        || id.starts_with('-')
        || id.len() > survey.limits.max_key_chars
    {
        survey.find(
            Code::InvalidEntry,
            source,
            format!("the id {} is not made of letters, digits and dashes", text::quote(id)),
        );
        return None;
    }
    if item.get("id").is_some_and(|node| node.is_plain() && id.bytes().all(|b| b.is_ascii_digit())) {
        survey.find(Code::UnquotedId, source.clone(), format!("the id {id} is written without quotes"));
    }
    for (key, _) in item.entries() {
        match key.as_str() {
            Some("status") => {
                survey.find(
                    Code::StatusFieldIgnored,
                    SourceRef::line(list, key.line),
                    format!("story {id} has a field `status`"),
                );
            }
            Some(name) if KNOWN_FIELDS.contains(&name) => {}
            name => {
                let message = format!("story {id} has a field {}", text::quote(name.unwrap_or("(no name)")));
                survey.find(Code::UnknownField, SourceRef::line(list, key.line), message);
            }
        }
    }
    let checkpoints = [("spec_checkpoint", HumanGate::SpecCheckpoint), ("done_checkpoint", HumanGate::DoneCheckpoint)];
    let gates = checkpoints
        .into_iter()
        .filter(|(name, _)| checkpoint(survey, list, item, name))
        .map(|(_, gate)| gate)
        .collect();
    let instructions = filled("invoke_dev_with").map(|text| text::clean_body(text).text);
    Some(Entry {
        id: id.to_owned(),
        line: item.line,
        title: survey.title(title, &source),
        description: text::clean_body(description).text,
        gates,
        instructions,
    })
}

/// A checkpoint that cannot be read counts as set: asking a person too often is the lesser harm.
fn checkpoint(survey: &mut Survey<'_>, list: &str, item: &Node, name: &str) -> bool {
    let Some(node) = item.get(name).filter(|node| !node.is_null()) else { return false };
    match node.as_str() {
        Some("true" | "True" | "TRUE") => true,
        Some("false" | "False" | "FALSE") => false,
        other => {
            let message = format!(
                "{name} is {}, neither true nor false; a person will be asked",
                text::quote(other.unwrap_or("a structure"))
            );
            survey.find(Code::UnexpectedValue, SourceRef::line(list, node.line), message);
            true
        }
    }
}

/// Leaves out entries whose files could not be told apart: equal ids (the first stays), and ids that begin another.
fn prefix_free(
    survey: &mut Survey<'_>,
    drafts: &mut Drafts,
    list: &str,
    name: &str,
    entries: Vec<Entry>,
) -> Vec<Entry> {
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    let mut clashing = BTreeMap::new();
    for entry in &entries {
        first.entry(entry.id.clone()).or_insert(entry.line);
    }
    for entry in &entries {
        for (at, _) in entry.id.match_indices('-') {
            let prefix = entry.id.get(..at).unwrap_or_default();
            if first.contains_key(prefix) {
                clashing.insert(entry.id.clone(), prefix.to_owned());
                clashing.insert(prefix.to_owned(), entry.id.clone());
            }
        }
    }
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        let source = SourceRef::line(list, entry.line);
        if let Some(other) = clashing.get(&entry.id) {
            let message = format!(
                "the ids {} and {other} cannot stand in one list: their files have the same beginning",
                entry.id
            );
            survey.find(Code::IdNotPrefixFree, source, message);
            drafts.skip(story_key(name, &entry.id), None);
        } else if first.get(&entry.id) != Some(&entry.line) {
            survey.find(Code::KeyCollision, source, format!("the id {} appears again", entry.id));
        } else {
            kept.push(entry);
        }
    }
    kept
}

/// Ids hold no `_`, so the last one parts folder and id, and no two stories share a key.
fn story_key(folder: &str, id: &str) -> String {
    format!("{}_{id}", key::slug(folder))
}

/// The `SPEC.md` and the companions that its front matter names.
fn read_related(survey: &mut Survey<'_>, folder: &str) -> Vec<TakenFile> {
    let path = join(folder, SPEC);
    let mut related = vec![TakenFile { path: path.clone(), role: FileRole::Spec }];
    let Some(text) = survey.text(&path, FileRole::Spec, survey.limits.max_epics_bytes) else { return related };
    let Some(front) = split_front_matter(&text).front_matter else { return related };
    let Ok(Some(root)) = yaml::parse(front, survey.limits) else { return related };
    for node in root.get("companions").map(Node::items).unwrap_or_default() {
        let Some(name) = node.as_str() else { continue };
        let source = SourceRef::line(&path, node.line.saturating_add(1));
        let from_spec = if name.starts_with('{') { name.to_owned() } else { join(folder, name) };
        match config::relative(survey.root.path(), &from_spec, None) {
            Ok(companion) if survey.is_file(&companion) => {
                related.push(TakenFile { path: companion, role: FileRole::Companion })
            }
            Ok(_) => {
                survey.find(Code::UnexpectedValue, source, format!("the companion {} is not there", text::quote(name)))
            }
            Err(why) => {
                survey.find(Code::ConfigPathRefused, source, format!("the companion {} {why}", text::quote(name)))
            }
        }
    }
    related
}

impl Spec<'_> {
    fn read_story(&mut self, survey: &mut Survey<'_>, drafts: &mut Drafts, entry: Entry) {
        let key = story_key(&self.name, &entry.id);
        let Some(file) = self.claim_file(survey, &entry) else { return drafts.skip(key, None) };
        let source = SourceRef::line(&self.list, entry.line);
        let mut draft = Draft::new(key, entry.title, StoryStatus::Backlog, source);
        draft.epic = Some(self.name.clone());
        draft.body.clone_from(&entry.description);
        draft.hashed = entry.description;
        draft.human_gates = entry.gates;
        draft.instructions = entry.instructions;
        draft.related.clone_from(&self.related);
        if let Some(path) = file {
            let read = survey.text(&path, FileRole::Story, survey.limits.max_story_bytes);
            let Some(story) = read.map(|text| StoryText::parse(&text, survey.limits)) else {
                return drafts.skip(draft.key, None);
            };
            let Some(status) = status_of(survey, &path, &story) else { return drafts.skip(draft.key, None) };
            draft.status = status;
            draft.body = format!("{}\n\n{}", draft.body.trim_end(), story.body);
            draft.hashed = format!("{}\n\n{}", draft.hashed.trim_end(), story.hashed);
            draft.acceptance = story.acceptance;
            draft.tasks = story.tasks;
            draft.dependencies = story.dependencies.into_iter().map(|dependency| (dependency, path.clone())).collect();
            for (code, line, message) in story.problems {
                survey.find(code, SourceRef::line(&path, line), message);
            }
            draft.story_file = Some(path);
        }
        drafts.push(survey, draft);
    }

    /// Takes the story's file out of the folder's list. `None`: there is more than one.
    fn claim_file(&mut self, survey: &mut Survey<'_>, entry: &Entry) -> Option<Option<String>> {
        let prefix = format!("{}-", entry.id);
        let is_its = |file: &String| file.starts_with(&prefix) && !file.ends_with(".superseded.md");
        let its: Vec<_> = self.files.iter().filter(|file| is_its(file)).cloned().collect();
        self.files.retain(|file| !is_its(file));
        let stories = join(self.folder, "stories");
        match its.as_slice() {
            [] => Some(None),
            [file] => Some(Some(join(&stories, file))),
            several => {
                for file in several {
                    let message =
                        format!("one of {} files that begin with `{prefix}`; the story was left out", several.len());
                    survey.find(Code::AmbiguousStoryFile, SourceRef::file(&join(&stories, file)), message);
                }
                None
            }
        }
    }
}

/// The status in the front matter; upstream halts where there is none that it knows.
fn status_of(survey: &mut Survey<'_>, path: &str, story: &StoryText) -> Option<StoryStatus> {
    let Some(status) = &story.status else {
        survey.find(
            Code::UnknownStatus,
            SourceRef::file(path),
            "its front matter has no status; the story was left out",
        );
        return None;
    };
    match read_status(&status.text, Vocabulary::SpecFile) {
        StatusWord::Known(known) | StatusWord::Legacy(known) => Some(known),
        StatusWord::Withdrawn | StatusWord::Unknown => {
            let message =
                format!("the status {} is not in the vocabulary; the story was left out", text::quote(&status.text));
            survey.find(Code::UnknownStatus, SourceRef::line(path, status.line), message);
            None
        }
    }
}

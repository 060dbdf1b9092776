//! Story files on disk.
//!
//! Invariant: a file is read only if its name says that it may be a story's; every other Markdown file among the
//! stories is reported with the reason. The nearest file of a name comes first.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Code, SourceRef};
use crate::key::{self, StoryNumber};
use crate::model::FileRole;
use crate::story_text::StoryText;
use crate::survey::{Survey, file_name};

const CONTEXT: &str = ".context.xml";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Story files, nearest first.
    pub(crate) stories: Vec<StoryFile>,
    /// `spec-N-M-….md`, the implementation specifications of 6.11 and later, by number.
    pub(crate) specs: BTreeMap<StoryNumber, StoryFile>,
    /// `{key}.context.xml` by key.
    pub(crate) contexts: BTreeMap<String, String>,
}

/// A story's file.
#[derive(Debug)]
pub(crate) struct StoryFile {
    pub(crate) path: String,
    /// Its name without `.md`.
    pub(crate) stem: String,
    pub(crate) number: Option<StoryNumber>,
    pub(crate) text: StoryText,
}

/// Whether a name is that of a story file, by upstream's grammar.
pub(crate) fn is_story_name(name: &str) -> bool {
    name.strip_suffix(".md").is_some_and(|stem| key::number_of_key(stem).is_some())
}

/// Reads the story files below the folders. `known` are keys that epics and tracking name.
pub(crate) fn read(survey: &mut Survey<'_>, folders: &[String], known: &BTreeSet<String>) -> Files {
    let mut files = Files::default();
    let mut seen = BTreeSet::new();
    for folder in folders {
        for path in survey.walk(folder) {
            if seen.insert(path.clone()) && !survey.is_taken(&path) {
                take(survey, &mut files, path, known);
            }
        }
    }
    files
}

fn take(survey: &mut Survey<'_>, files: &mut Files, path: String, known: &BTreeSet<String>) {
    let name = file_name(&path).to_owned();
    if let Some(stem) = name.strip_suffix(CONTEXT) {
        files.contexts.entry(stem.to_owned()).or_insert(path);
        return;
    }
    let Some(stem) = name.strip_suffix(".md") else { return };
    if stem.ends_with(".superseded") {
        return survey.find(Code::SupersededFile, SourceRef::file(&path), "marked as superseded");
    }
    let spec = stem.strip_prefix("spec-").and_then(key::number_of_key);
    let number = number_of_stem(stem);
    if !known.contains(stem) && number.is_none() && spec.is_none() {
        return survey.find(Code::NotAStory, SourceRef::file(&path), "its name is not that of a story; not read");
    }
    let Some(text) = survey.text(&path, FileRole::Story, survey.limits.max_story_bytes) else { return };
    let text = StoryText::parse(&text, survey.limits);
    if let Some(number) = spec {
        let spec = StoryFile { path, stem: stem.to_owned(), number: Some(number), text };
        files.specs.entry(number).or_insert(spec);
        return;
    }
    if !known.contains(stem) && !text.looks_like_story {
        return survey.find(Code::NotAStory, SourceRef::file(&path), "has neither a heading `Story …` nor a status");
    }
    for (code, line, message) in &text.problems {
        survey.find(*code, SourceRef::line(&path, *line), message.as_str());
    }
    files.stories.push(StoryFile { path, stem: stem.to_owned(), number, text });
}

/// `1-2-slug`, `1.2.slug`, `1-2`, and each with `story-` before it.
fn number_of_stem(stem: &str) -> Option<StoryNumber> {
    let rest = stem.strip_prefix("story-").unwrap_or(stem);
    let (number, rest) = key::leading_number(rest, &['-', '.'])?;
    (rest.is_empty() || rest.starts_with(['-', '.'])).then_some(number)
}

//! Version 4: one file for each story.
//!
//! Invariant: a story is a file called `{epic}.{story}.….md`; what else lies in the folder is reported. Stories that
//! exist only as text of a PRD are none yet: version 4 drafts the file first.

use crate::config;
use crate::draft::{Draft, Drafts};
use crate::finding::{Code, SourceRef};
use crate::key::{self, StoryNumber};
use crate::model::FileRole;
use crate::status::{StatusWord, StoryStatus, Vocabulary, read_status};
use crate::story_text::StoryText;
use crate::survey::{Survey, file_name};
use crate::text;

/// Reads the folder of stories.
pub(crate) fn read(survey: &mut Survey<'_>) -> Drafts {
    let mut drafts = Drafts::default();
    let folder = config::read_v4(survey);
    let mut stories = Vec::new();
    for path in survey.walk(&folder) {
        let name = file_name(&path);
        let Some(stem) = name.strip_suffix(".md") else { continue };
        if stem.ends_with(".superseded") {
            survey.find(Code::SupersededFile, SourceRef::file(&path), "marked as superseded");
        } else if let Some(number) = number_of(stem) {
            let stem = stem.to_owned();
            stories.push((number, path, stem));
        } else {
            survey.find(Code::NotAStory, SourceRef::file(&path), "its name is not `{epic}.{story}.….md`");
        }
    }
    // The walk gives the nearest file first; a stable sort keeps that among equals.
    stories.sort_by_key(|(number, ..)| *number);
    let mut last: Option<(StoryNumber, String)> = None;
    for (number, path, stem) in stories {
        if let Some((_, first)) = last.as_ref().filter(|(before, _)| *before == number) {
            let message = format!("story {number} has another file, {}", text::quote(first));
            survey.find(Code::DuplicateNumber, SourceRef::file(&path), message);
        }
        last = Some((number, path.clone()));
        read_story(survey, &mut drafts, number, path, stem);
    }
    drafts
}

/// `1.2.story`, `1.2.some-slug`, `1.2`.
fn number_of(stem: &str) -> Option<StoryNumber> {
    let (number, rest) = key::leading_number(stem, &['.'])?;
    (rest.is_empty() || rest.starts_with(['.', '-'])).then_some(number)
}

fn read_story(survey: &mut Survey<'_>, drafts: &mut Drafts, number: StoryNumber, path: String, stem: String) {
    let Some(text) = survey.text(&path, FileRole::Story, survey.limits.max_story_bytes) else {
        return drafts.skip(stem, Some(number));
    };
    let story = StoryText::parse(&text, survey.limits);
    for (code, line, message) in &story.problems {
        survey.find(*code, SourceRef::line(&path, *line), message.as_str());
    }
    let Some(status) = status_of(survey, &path, &story) else { return drafts.skip(stem, Some(number)) };
    let source = SourceRef::line(&path, story.title_line);
    let title = story.title.as_deref().map(|title| survey.title(title, &source)).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| format!("Story {number}"));
    let mut draft = Draft::new(stem, title, status, source);
    draft.number = Some(number);
    draft.epic = Some(number.epic.to_string());
    draft.body = story.body;
    draft.hashed = story.hashed;
    draft.acceptance = story.acceptance;
    draft.tasks = story.tasks;
    draft.dependencies = story.dependencies.into_iter().map(|dependency| (dependency, path.clone())).collect();
    draft.story_file = Some(path);
    drafts.push(survey, draft);
}

fn status_of(survey: &mut Survey<'_>, path: &str, story: &StoryText) -> Option<StoryStatus> {
    let Some(status) = &story.status else {
        survey.find(Code::MissingStatus, SourceRef::file(path), "has no section `## Status`");
        return Some(StoryStatus::Backlog);
    };
    match read_status(&status.text, Vocabulary::StoryFile) {
        StatusWord::Known(known) => Some(known),
        StatusWord::Legacy(known) => {
            let message = format!("the status {} was read as {}", text::quote(&status.text), known.as_str());
            survey.find(Code::LegacyStatus, SourceRef::line(path, status.line), message);
            Some(known)
        }
        StatusWord::Withdrawn | StatusWord::Unknown => {
            let message =
                format!("the status {} is not in the vocabulary; the story was left out", text::quote(&status.text));
            survey.find(Code::UnknownStatus, SourceRef::line(path, status.line), message);
            None
        }
    }
}

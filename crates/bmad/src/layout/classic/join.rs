//! Epics, tracking and files brought together, story by story.
//!
//! Invariant: each planned, tracked or filed story ends as exactly one row, and each row as a story or as a finding
//! that says why not. A match by number is made only where it is the only one. A status is never lowered.

use std::collections::{BTreeMap, BTreeSet};

use super::epics::{Plan, Planned};
use super::files::{Files, StoryFile};
use super::tracking::{Tracked, Tracking};
use crate::draft::{Draft, Drafts};
use crate::finding::{Code, SourceRef};
use crate::headings::Form;
use crate::key::StoryNumber;
use crate::model::{FileRole, TakenFile};
use crate::status::{StatusWord, StoryStatus, Vocabulary, read_status};
use crate::survey::Survey;
use crate::text;

/// A story and all that is known of it.
#[derive(Debug)]
struct Row {
    key: String,
    number: Option<StoryNumber>,
    epic: Option<String>,
    planned: Option<Planned>,
    tracked: Option<Tracked>,
    file: Option<StoryFile>,
}

/// Epics in order: by number, then those that have none.
type EpicKey = (u32, String);

#[derive(Debug, Default)]
struct Table {
    rows: BTreeMap<EpicKey, Vec<Row>>,
}

/// The keys that epics and tracking name.
pub(crate) fn known_keys(plan: &Plan, tracking: &Tracking) -> BTreeSet<String> {
    let planned = plan.epics.values().flat_map(|epic| &epic.stories).map(|story| story.key.clone());
    planned.chain(tracking.stories.iter().map(|story| story.key.clone())).collect()
}

/// Brings everything together.
pub(crate) fn join(survey: &mut Survey<'_>, mut plan: Plan, tracking: Tracking, mut files: Files) -> Drafts {
    let mut table = Table::default();
    for (number, epic) in &mut plan.epics {
        let rows = std::mem::take(&mut epic.stories).into_iter().map(Row::planned).collect();
        table.rows.insert((*number, String::new()), rows);
    }
    table.add_tracked(survey, tracking.stories);
    table.add_files(survey, std::mem::take(&mut files.stories));
    let mut drafts = Drafts::default();
    drafts.cross = tracking.cross;
    for ((number, _), rows) in table.rows {
        let epic = plan.epics.get(&number);
        let withdrawn = epic.and_then(|epic| epic.withdrawn.as_ref());
        let title = epic.and_then(|epic| epic.title.as_deref());
        report_shared_numbers(survey, &rows);
        for row in rows {
            row.finish(survey, &mut drafts, &mut files, withdrawn, title);
        }
    }
    for (stem, path) in files.contexts {
        survey.find(
            Code::NotAStory,
            SourceRef::file(&path),
            format!("context of {}, which was not taken", text::quote(&stem)),
        );
    }
    for spec in files.specs.into_values() {
        survey.find(Code::NotAStory, SourceRef::file(&spec.path), "specification of a story that was not taken");
    }
    drafts
}

impl Table {
    /// The row that `fits`, if it is the only one.
    fn only(&mut self, fits: impl Fn(&Row) -> bool) -> Option<&mut Row> {
        let mut found = self.rows.values_mut().flatten().filter(|row| fits(row));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    fn add_tracked(&mut self, survey: &mut Survey<'_>, stories: Vec<Tracked>) {
        let mut by_key: BTreeMap<String, Tracked> =
            stories.iter().map(|story| (story.key.clone(), story.clone())).collect();
        for row in self.rows.values_mut().flatten() {
            row.tracked = by_key.remove(&row.key);
        }
        let mut numbers: BTreeMap<StoryNumber, usize> = BTreeMap::new();
        for number in by_key.values().filter_map(|story| story.number) {
            *numbers.entry(number).or_default() += 1;
        }
        for story in stories.into_iter().filter(|story| by_key.contains_key(&story.key)) {
            let alone = story.number.is_some_and(|number| numbers.get(&number) == Some(&1));
            let renamed = if alone { self.only(|row| row.number == story.number) } else { None };
            match renamed.filter(|row| row.tracked.is_none()) {
                Some(row) => {
                    let message =
                        format!("tracked as {}, but its heading makes it {}; taken as one story", story.key, row.key);
                    survey.find(Code::RenamedStory, story.source.clone(), message);
                    row.key.clone_from(&story.key);
                    row.tracked = Some(story);
                }
                None => self.place(Row::tracked(story)),
            }
        }
    }

    fn add_files(&mut self, survey: &mut Survey<'_>, files: Vec<StoryFile>) {
        let mut left = Vec::new();
        for file in files {
            let exact = |row: &&mut Row| {
                row.key == file.stem || row.planned.as_ref().is_some_and(|planned| planned.key == file.stem)
            };
            match self.rows.values_mut().flatten().find(exact) {
                Some(row) if row.file.is_none() => row.file = Some(file),
                Some(row) => report_second_file(survey, row, &file),
                None => left.push(file),
            }
        }
        for file in left {
            match self.only(|row| file.number.is_some() && row.number == file.number) {
                Some(row) if row.file.is_none() => row.file = Some(file),
                Some(row) => report_second_file(survey, row, &file),
                None => {
                    survey.find(
                        Code::UntrackedStoryFile,
                        SourceRef::file(&file.path),
                        "neither the epics nor the tracking name it",
                    );
                    self.place(Row::filed(file));
                }
            }
        }
    }

    /// Puts a row where it belongs in its epic: behind what is tracked before it, else by number.
    fn place(&mut self, row: Row) {
        let epic = match (row.number, &row.epic) {
            (Some(number), _) => (number.epic, String::new()),
            (None, Some(epic)) => match epic.parse() {
                Ok(number) => (number, String::new()),
                Err(_) => (u32::MAX, epic.clone()),
            },
            (None, None) => (u32::MAX, String::new()),
        };
        let rows = self.rows.entry(epic).or_default();
        let index = |row: &Row| row.tracked.as_ref().map(|tracked| tracked.index);
        let comes_first = |other: &Row| match (index(other), index(&row)) {
            (Some(other), Some(own)) => other < own,
            _ => other.number.is_some() && row.number.is_some() && other.number <= row.number,
        };
        let before = rows.iter().rposition(comes_first);
        let nothing_to_go_by = row.number.is_none() && index(&row).is_none();
        let at = before.map_or(if nothing_to_go_by { rows.len() } else { 0 }, |at| at + 1);
        rows.insert(at, row);
    }
}

impl Row {
    fn planned(planned: Planned) -> Self {
        let (key, number) = (planned.key.clone(), Some(planned.number));
        let epic = Some(planned.number.epic.to_string());
        Self { key, number, epic, planned: Some(planned), tracked: None, file: None }
    }

    fn tracked(tracked: Tracked) -> Self {
        let epic = tracked.number.map(|number| number.epic.to_string()).or_else(|| tracked.epic.clone());
        Self {
            key: tracked.key.clone(),
            number: tracked.number,
            epic,
            planned: None,
            tracked: Some(tracked),
            file: None,
        }
    }

    fn filed(file: StoryFile) -> Self {
        let epic = file.number.map(|number| number.epic.to_string());
        Self { key: file.stem.clone(), number: file.number, epic, planned: None, tracked: None, file: Some(file) }
    }

    /// Where the story is declared: its heading outlives its file, its file its tracking.
    fn source(&self) -> SourceRef {
        let file = || self.file.as_ref().map(|file| SourceRef::line(&file.path, file.text.title_line));
        let tracked = || self.tracked.as_ref().map(|tracked| tracked.source.clone());
        let planned = self.planned.as_ref().map(|planned| planned.source.clone());
        planned.or_else(file).or_else(tracked).unwrap_or_else(|| SourceRef::file("."))
    }

    fn finish(
        mut self,
        survey: &mut Survey<'_>,
        drafts: &mut Drafts,
        files: &mut Files,
        withdrawn: Option<&SourceRef>,
        epic_title: Option<&str>,
    ) {
        let contexts = [Some(self.key.as_str()), self.file.as_ref().map(|file| file.stem.as_str())];
        let context = contexts.into_iter().flatten().find_map(|stem| files.contexts.remove(stem));
        let spec = self.number.and_then(|number| files.specs.remove(&number));
        if !self.is_wanted(survey, withdrawn) {
            return drafts.skip(self.key, self.number);
        }
        let Some(status) = self.status(survey, spec.as_ref()) else { return drafts.skip(self.key, self.number) };
        let mut draft = Draft::new(std::mem::take(&mut self.key), String::new(), status, self.source());
        draft.number = self.number;
        draft.epic = self.epic.take();
        draft.epic_title = epic_title.map(str::to_owned);
        draft.related.extend(context.map(|path| TakenFile { path, role: FileRole::Context }));
        draft.related.extend(spec.map(|spec| TakenFile { path: spec.path, role: FileRole::Spec }));
        self.fill(survey, &mut draft);
        drafts.push(survey, draft);
    }

    /// Title, body, criteria, tasks and dependencies: the file says more than the epics, the epics name the story.
    fn fill(self, survey: &mut Survey<'_>, draft: &mut Draft) {
        let mut title = None;
        if let Some(planned) = self.planned {
            let path = planned.source.path.clone();
            for (code, line, message) in planned.text.problems {
                survey.find(code, SourceRef::line(&path, line), message);
            }
            title = Some(planned.title).filter(|title| !title.is_empty());
            draft.body = planned.text.body;
            draft.hashed = planned.text.hashed;
            draft.acceptance = planned.text.acceptance;
            draft.tasks = planned.text.tasks;
            draft.dependencies.extend(planned.text.dependencies.into_iter().map(|found| (found, path.clone())));
        }
        if let Some(file) = self.file {
            if title.is_none() {
                let source = SourceRef::line(&file.path, file.text.title_line);
                title =
                    file.text.title.as_deref().map(|raw| survey.title(raw, &source)).filter(|title| !title.is_empty());
            }
            draft.body = file.text.body;
            draft.hashed = file.text.hashed;
            if !file.text.acceptance.is_empty() {
                draft.acceptance = file.text.acceptance;
            }
            draft.tasks = file.text.tasks;
            draft.dependencies.extend(file.text.dependencies.into_iter().map(|found| (found, file.path.clone())));
            draft.story_file = Some(file.path);
        }
        draft.title = title.unwrap_or_else(|| draft.key.clone());
    }

    /// Whether it is to be a story at all. What is struck out but was finished stays: others may depend on it.
    fn is_wanted(&self, survey: &mut Survey<'_>, withdrawn: Option<&SourceRef>) -> bool {
        let form = self.planned.as_ref().map_or(Form::Standard, |planned| planned.form);
        let finished = self.tracked.as_ref().is_some_and(|tracked| {
            read_status(&tracked.status, Vocabulary::Tracking) == StatusWord::Known(StoryStatus::Done)
        });
        if self.planned.is_none() && self.file.is_none() {
            let status = self.tracked.as_ref().map(|tracked| tracked.status.as_str()).unwrap_or_default();
            let message =
                format!("{} is tracked as {}, but has neither a heading nor a file", self.key, text::quote(status));
            let odd = self.number.is_none();
            survey.find(if odd { Code::UnrecognizedKey } else { Code::StatusWithoutStory }, self.source(), message);
            return false;
        }
        if finished {
            return true;
        }
        let (code, why) = match (form, withdrawn) {
            (Form::Withdrawn, _) => (Code::Withdrawn, "is struck out or marked as deleted".to_owned()),
            (Form::Candidate, _) => (Code::Candidate, "is only a candidate".to_owned()),
            (_, Some(epic)) => (Code::Withdrawn, format!("belongs to the epic that is struck out at {epic}")),
            (Form::Standard | Form::Nonstandard, None) => {
                if let (None, Some(tracked)) = (self.number, &self.tracked) {
                    let message = format!("the key {} is outside the grammar; a file of that name was taken", self.key);
                    survey.find(Code::OddKey, tracked.source.clone(), message);
                }
                return true;
            }
        };
        survey.find(code, self.source(), format!("story {} {why}", self.key));
        false
    }

    /// The furthest status that any place gives. `None`: one of them says something that is not in the vocabulary.
    fn status(&self, survey: &mut Survey<'_>, spec: Option<&StoryFile>) -> Option<StoryStatus> {
        let tracked = match &self.tracked {
            Some(tracked) => Some(tracked_status(survey, tracked)?),
            None => None,
        };
        let floor = if self.file.is_some() { StoryStatus::ReadyForDev } else { StoryStatus::Backlog };
        let mut status = tracked.map_or(floor, |tracked| tracked.merge(floor));
        for file in self.file.iter().chain(spec) {
            let Some(written) = &file.text.status else { continue };
            let source = SourceRef::line(&file.path, written.line);
            let quoted = text::quote(&written.text);
            match (read_status(&written.text, Vocabulary::StoryFile), tracked) {
                (StatusWord::Known(own) | StatusWord::Legacy(own), _) => {
                    if let Some(known) = tracked.filter(|_| own > status) {
                        let message = format!("says {quoted}, the tracking says {}", known.as_str());
                        survey.find(Code::StatusConflict, source, message);
                    }
                    status = status.merge(own);
                }
                (StatusWord::Unknown, Some(known)) => {
                    let message = format!(
                        "the status {quoted} is not in the vocabulary; the tracked {} was taken",
                        known.as_str()
                    );
                    survey.find(Code::UnreadStatus, source, message);
                }
                (StatusWord::Unknown, None) | (StatusWord::Withdrawn, _) => {
                    let message = format!("the status {quoted} is not in the vocabulary; the story was left out");
                    survey.find(Code::UnknownStatus, source, message);
                    return None;
                }
            }
        }
        Some(status)
    }
}

fn tracked_status(survey: &mut Survey<'_>, tracked: &Tracked) -> Option<StoryStatus> {
    let quoted = text::quote(&tracked.status);
    match read_status(&tracked.status, Vocabulary::Tracking) {
        StatusWord::Known(status) => Some(status),
        StatusWord::Legacy(status) => {
            let message = format!("{}: {quoted} was read as {}", tracked.key, status.as_str());
            survey.find(Code::LegacyStatus, tracked.source.clone(), message);
            Some(status)
        }
        StatusWord::Withdrawn | StatusWord::Unknown => {
            let message =
                format!("{}: the status {quoted} is not in the vocabulary; the story was left out", tracked.key);
            survey.find(Code::UnknownStatus, tracked.source.clone(), message);
            None
        }
    }
}

fn report_second_file(survey: &mut Survey<'_>, row: &Row, file: &StoryFile) {
    let first = row.file.as_ref().map_or("another file", |file| file.path.as_str());
    survey.find(
        Code::DuplicateStoryFile,
        SourceRef::file(&file.path),
        format!("story {} has {first} already", row.key),
    );
}

fn report_shared_numbers(survey: &mut Survey<'_>, rows: &[Row]) {
    let mut first: BTreeMap<StoryNumber, &Row> = BTreeMap::new();
    for row in rows {
        let Some(number) = row.number else { continue };
        if let Some(other) = first.get(&number) {
            let message = format!("{} and {} are both story {number}", other.key, row.key);
            survey.find(Code::DuplicateNumber, row.source(), message);
        } else {
            first.insert(number, row);
        }
    }
}

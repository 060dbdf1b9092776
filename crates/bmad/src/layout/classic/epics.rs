//! The files of epics.
//!
//! Invariant: epics come by number, stories in the order of their headings, each key once; the fullest section of a
//! repeated heading is kept in the place of the first.

use std::collections::BTreeMap;

use crate::finding::{Code, SourceRef};
use crate::headings::{self, Form, Heading, StoryHeading};
use crate::key::StoryNumber;
use crate::markdown::{Document, Line};
use crate::model::FileRole;
use crate::root::Kind;
use crate::story_text::StoryText;
use crate::survey::{Survey, file_name, join};
use crate::text;

/// What the epics say.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// By number.
    pub(crate) epics: BTreeMap<u32, Epic>,
    /// Where each key is: its epic, and its place there.
    places: BTreeMap<String, (u32, usize)>,
    overflowed: bool,
}

/// An epic.
#[derive(Debug, Default)]
pub(crate) struct Epic {
    pub(crate) title: Option<String>,
    /// Where it is struck out.
    pub(crate) withdrawn: Option<SourceRef>,
    pub(crate) stories: Vec<Planned>,
}

/// A story among the epics.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) key: String,
    pub(crate) number: StoryNumber,
    /// Clean; may be empty.
    pub(crate) title: String,
    pub(crate) form: Form,
    pub(crate) source: SourceRef,
    pub(crate) text: StoryText,
}

/// The files of epics in a folder: `epics.md`, `epics-*.md` and `epic-*.md`, or else what the folder `epics/` holds.
pub(crate) fn sources(survey: &mut Survey<'_>, folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut sharded = None;
    for name in survey.names(folder) {
        let lower = name.to_lowercase();
        let path = join(folder, &name);
        if lower == "epics" && survey.is_folder(&path) {
            sharded = Some(path);
        } else if is_epics_name(&lower) && matches!(survey.kind(&path), Some(Kind::File | Kind::Other)) {
            files.push((lower != "epics.md", path));
        }
    }
    files.sort();
    let files: Vec<_> = files.into_iter().map(|(_, path)| path).collect();
    let Some(sharded) = sharded else { return files };
    let mut shards = survey.walk(&sharded);
    shards.retain(|path| path.ends_with(".md") && !path.ends_with(".superseded.md"));
    if files.is_empty() {
        return shards;
    }
    if !shards.is_empty() {
        let message = format!("{} holds the epics as well; this folder was not read", files.join(", "));
        survey.find(Code::SecondEpicSource, SourceRef::file(&sharded), message);
    }
    files
}

fn is_epics_name(lower: &str) -> bool {
    let Some(stem) = lower.strip_suffix(".md") else { return false };
    let beginning = stem == "epics" || stem.starts_with("epics-") || stem.starts_with("epic-");
    beginning && !stem.ends_with(".superseded") && !stem.contains("-context") && !stem.contains("-retro")
}

/// Reads the epics of the first folder that has any.
pub(crate) fn read(survey: &mut Survey<'_>, folders: &[String]) -> Plan {
    let mut plan = Plan::default();
    let sources = folders.iter().map(|folder| sources(survey, folder)).find(|sources| !sources.is_empty());
    for path in sources.unwrap_or_default() {
        if let Some(text) = survey.text(&path, FileRole::Epics, survey.limits.max_epics_bytes) {
            let document = Document::parse(&text, 1);
            let before = plan.epics.len();
            Reader { survey, plan: &mut plan, path: &path }.read(&document);
            let named = matches!(file_name(&path).to_lowercase().as_str(), "index.md" | "readme.md");
            if plan.epics.len() == before && !named && !document.lines.iter().any(|line| headings::read(line).is_some())
            {
                survey.find(Code::NotAStory, SourceRef::file(&path), "holds no heading of an epic or a story");
            }
        }
    }
    plan
}

struct Reader<'s, 'a, 'p> {
    survey: &'s mut Survey<'a>,
    plan: &'p mut Plan,
    path: &'p str,
}

impl Reader<'_, '_, '_> {
    fn read(&mut self, document: &Document<'_>) {
        if let Some(line) = document.unclosed_fence {
            self.find(Code::UnclosedFence, line, "a code fence opens here and never closes");
        }
        if let Some(line) = document.unclosed_comment {
            self.find(Code::UnclosedComment, line, "a comment opens here and never closes");
        }
        for (index, line) in document.lines.iter().enumerate() {
            match headings::read(line) {
                Some(Heading::Epic { number, title, form }) => self.epic(line, number, &title, form),
                Some(Heading::Story { heading, form }) => {
                    let following = document.lines.get(index + 1..).unwrap_or_default();
                    let level = line.heading().map_or(0, |(level, _)| level);
                    let end = following.iter().position(|next| ends_section(next, level)).unwrap_or(following.len());
                    self.story(line, &heading, form, following.get(..end).unwrap_or_default());
                }
                Some(Heading::Suspect) => {
                    let message =
                        format!("mentions an epic or a story and was passed over: {}", text::quote(line.text));
                    self.find(Code::UnparsedHeading, line.number, message);
                }
                None => {}
            }
        }
    }

    fn find(&mut self, code: Code, line: u32, message: impl Into<String>) {
        self.survey.find(code, SourceRef::line(self.path, line), message);
    }

    fn epic(&mut self, line: &Line<'_>, number: u32, title: &str, form: Form) {
        let source = SourceRef::line(self.path, line.number);
        let title = self.survey.title(title, &source);
        let epic = self.plan.epics.entry(number).or_default();
        if epic.title.is_none() && !title.is_empty() {
            epic.title = Some(title);
        }
        match form {
            Form::Withdrawn | Form::Candidate => {
                if epic.withdrawn.is_none() {
                    epic.withdrawn = Some(source);
                    let message = format!("epic {number} is struck out or undecided: {}", text::quote(line.text));
                    self.find(Code::Withdrawn, line.number, message);
                }
            }
            Form::Nonstandard => {
                self.find(
                    Code::NonstandardHeading,
                    line.number,
                    format!("read as epic {number}: {}", text::quote(line.text)),
                );
            }
            Form::Standard => {}
        }
    }

    fn story(&mut self, line: &Line<'_>, heading: &StoryHeading<'_>, form: Form, section: &[Line<'_>]) {
        let source = SourceRef::line(self.path, line.number);
        let title = self.survey.title(&heading.title, &source);
        let text = StoryText::parse_section(section, self.survey.limits);
        let planned = Planned { key: heading.key(), number: heading.number, title, form, source, text };
        if form == Form::Nonstandard {
            let message = format!("read as story {}: {}", heading.number, text::quote(line.text));
            self.find(Code::NonstandardHeading, line.number, message);
        }
        let Some((epic, place)) = self.plan.places.get(&planned.key) else { return self.add(planned) };
        let stories = self.plan.epics.get_mut(epic).map(|epic| &mut epic.stories);
        let Some(first) = stories.and_then(|stories| stories.get_mut(*place)) else { return };
        let message = format!("the heading of story {} is also at {}", heading.number, first.source);
        if planned.text.body.len() > first.text.body.len() {
            *first = planned;
        }
        self.find(Code::RepeatedHeading, line.number, message);
    }

    fn add(&mut self, planned: Planned) {
        let max = self.survey.limits.max_stories;
        if self.plan.places.len() >= max {
            if !std::mem::replace(&mut self.plan.overflowed, true) {
                let message = format!("more than {max} stories; this one and those after it were left out");
                self.survey.find(Code::TooManyStories, planned.source, message);
            }
            return;
        }
        let stories = &mut self.plan.epics.entry(planned.number.epic).or_default().stories;
        self.plan.places.insert(planned.key.clone(), (planned.number.epic, stories.len()));
        stories.push(planned);
    }
}

fn ends_section(line: &Line<'_>, level: u8) -> bool {
    matches!(headings::read(line), Some(Heading::Epic { .. } | Heading::Story { .. }))
        || line.strict_heading().is_some_and(|(next, _)| next <= level)
}

//! One story's text: a file of any layout, or what a person typed.
//!
//! Invariant: pure; the same text gives the same parts. The status is only ever read from front matter, from the lines
//! before the first section, or from a section called "Status": a `Status:` further down tells of something else.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::criteria;
use crate::error::StoryTextError;
use crate::finding::{Code, Finding, SourceRef};
use crate::key::{self, StoryNumber};
use crate::limits::Limits;
use crate::markdown::{Document, Line, LineKind, split_front_matter, without_emphasis, without_markers};
use crate::model::{HumanGate, Task};
use crate::references::Reference;
use crate::status::{StatusWord, StoryStatus, Vocabulary, read_status};
use crate::text;
use crate::yaml::{self, YamlError};
use crate::yaml_lines;

/// Name under which findings of [`parse_story_markdown`] give their place.
const TEXT_NAME: &str = "(text)";

/// A dependency as a story's text names it. Serialised as `{reference, text, line}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyText {
    /// What it refers to.
    pub reference: Reference,
    /// The words it was read from.
    pub text: String,
    /// 1-based line.
    pub line: u32,
}

/// A story read from a text alone. Serialised with these field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParsedStory {
    /// One clean line.
    pub title: String,
    /// `N.M`, if the heading is `Story N.M: …`.
    pub number: Option<StoryNumber>,
    /// The status it claims, if that is in the vocabulary.
    pub status: Option<StoryStatus>,
    /// Markdown without front matter, cleaned.
    pub body: String,
    /// Acceptance criteria without their numbers.
    pub acceptance: Vec<String>,
    /// Tasks and subtasks.
    pub tasks: Vec<Task>,
    /// What it says that it depends on; the caller knows which stories there are.
    pub dependencies: Vec<DependencyText>,
    /// As [`crate::Story::content_sha256`].
    pub content_sha256: String,
    /// What was noticed; paths are `(text)`.
    pub findings: Vec<Finding>,
}

/// Reads a story from Markdown: the title from its first heading, acceptance criteria, tasks, and lines on
/// dependencies.
///
/// # Errors
/// If the text is empty, larger than a story may be, or has no title.
pub fn parse_story_markdown(text: &str, limits: &Limits) -> Result<ParsedStory, StoryTextError> {
    let size = text.len() as u64;
    if size > limits.max_story_bytes {
        return Err(StoryTextError::TooLarge { size, limit: limits.max_story_bytes });
    }
    let cleaned = text::clean_body(text.strip_prefix('\u{feff}').unwrap_or(text));
    if cleaned.text.trim().is_empty() {
        return Err(StoryTextError::Empty);
    }
    let mut parsed = StoryText::parse(&cleaned.text, limits);
    if let Some(line) = cleaned.first_removed {
        parsed.problems.push((Code::ControlCharacters, line, "control characters or escapes were removed".to_owned()));
    }
    let (mut title, _) = text::clean_line(parsed.title.as_deref().unwrap_or_default());
    if title.is_empty() {
        return Err(StoryTextError::NoTitle);
    }
    if text::truncate_chars(&mut title, limits.max_title_chars) {
        let message = format!("the title has more than {} characters", limits.max_title_chars);
        parsed.problems.push((Code::TitleTruncated, parsed.title_line, message));
    }
    let status = parsed.status.as_ref().and_then(|status| match read_status(&status.text, Vocabulary::StoryFile) {
        StatusWord::Known(known) | StatusWord::Legacy(known) => Some(known),
        StatusWord::Withdrawn | StatusWord::Unknown => {
            let message = format!("the status {} is not in the vocabulary", text::quote(&status.text));
            parsed.problems.push((Code::UnknownStatus, status.line, message));
            None
        }
    });
    let findings = parsed
        .problems
        .iter()
        .map(|(code, line, message)| Finding::new(*code, SourceRef::line(TEXT_NAME, *line), message.as_str()));
    Ok(ParsedStory {
        content_sha256: content_hash(&title, &parsed.hashed, None, &[]),
        findings: findings.collect(),
        number: parsed.number,
        body: parsed.body,
        acceptance: parsed.acceptance,
        tasks: parsed.tasks,
        dependencies: parsed.dependencies,
        title,
        status,
    })
}

/// A status as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenStatus {
    pub(crate) text: String,
    pub(crate) line: u32,
}

/// The parts of a story's text, before anyone has decided what they mean.
#[derive(Debug, Default)]
pub(crate) struct StoryText {
    pub(crate) title: Option<String>,
    pub(crate) title_line: u32,
    pub(crate) number: Option<StoryNumber>,
    pub(crate) status: Option<WrittenStatus>,
    pub(crate) body: String,
    /// The body without the line that holds the status.
    pub(crate) hashed: String,
    pub(crate) acceptance: Vec<String>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) dependencies: Vec<DependencyText>,
    pub(crate) problems: Vec<(Code, u32, String)>,
    /// Whether anything in it says that it is a story: a heading `Story …`, a status, a section called "Story".
    pub(crate) looks_like_story: bool,
}

impl StoryText {
    /// Reads a clean text.
    pub(crate) fn parse(text: &str, limits: &Limits) -> Self {
        let split = split_front_matter(text);
        let document = Document::parse(split.body, split.body_line);
        let mut story = Self { body: split.body.trim().to_owned(), title_line: split.body_line, ..Self::default() };
        if let Some(front) = split.front_matter {
            story.read_front_matter(front, limits);
        }
        story.read_title(&document.lines);
        let body_status = find_status(&document.lines);
        let status_line = body_status.as_ref().map(|status| status.line);
        story.hashed = without_line(&document.lines, status_line);
        story.status = story.status.take().or(body_status);
        story.looks_like_story |= story.status.is_some();
        story.read_parts(&document, limits);
        story
    }

    /// Reads a section of a larger document as a story's text; its heading is read by the caller.
    pub(crate) fn parse_section(lines: &[Line<'_>], limits: &Limits) -> Self {
        let mut story = Self { hashed: without_line(lines, None), ..Self::default() };
        story.body = story.hashed.trim().to_owned();
        story.read_criteria(lines, limits);
        story
    }

    fn read_front_matter(&mut self, front: &str, limits: &Limits) {
        // The first line of the front matter is the second of the file.
        let mut keep = |name: &str, value: Option<(String, u32)>| match (name, value) {
            ("title", Some((text, line))) => (self.title, self.title_line) = (Some(text), line),
            ("status", Some((text, line))) => self.status = Some(WrittenStatus { text, line }),
            _ => {}
        };
        match yaml::parse(front, limits) {
            Ok(Some(root)) => {
                for name in ["title", "status"] {
                    let value =
                        root.get(name).and_then(|node| Some((node.as_str()?.to_owned(), node.line.saturating_add(1))));
                    keep(name, value.filter(|(text, _)| !text.trim().is_empty()));
                }
            }
            Ok(None) => {}
            Err(YamlError::Syntax { line, message }) => {
                for entry in yaml_lines::top_level(front) {
                    keep(&entry.key, Some((entry.value, entry.line.saturating_add(1))));
                }
                let message =
                    format!("the front matter does not parse and was read line by line: {}", text::quote(&message));
                self.problems.push((Code::YamlReadByLine, line.saturating_add(1), message));
            }
            Err(YamlError::TooComplex { line, message }) => {
                self.problems.push((Code::YamlTooComplex, line.saturating_add(1), message));
            }
        }
    }

    fn read_title(&mut self, lines: &[Line<'_>]) {
        let heading = lines.iter().find_map(|line| {
            let (_, text) = line.strict_heading()?;
            (!text.is_empty()).then_some((line.number, text))
        });
        let Some((line, text)) = heading else { return };
        let plain = without_emphasis(text);
        let numbered = plain.get(..5).filter(|word| word.eq_ignore_ascii_case("story")).and_then(|_| {
            self.looks_like_story = true;
            key::leading_number(plain.get(5..)?.trim_start(), &['.', '-'])
        });
        let title = match numbered {
            Some((number, rest)) => {
                self.number = Some(number);
                rest.trim_start().trim_start_matches([':', '-', '–', '—']).trim().to_owned()
            }
            None => plain.clone(),
        };
        // A heading `Story 1.2` without more leaves the title to the front matter, or stands for itself.
        let from_front = self.title.is_some() && self.status.is_some();
        if !from_front {
            (self.title, self.title_line) = (Some(if title.is_empty() { plain } else { title }), line);
        }
    }

    fn read_parts(&mut self, document: &Document<'_>, limits: &Limits) {
        self.looks_like_story |= document.lines.iter().any(|line| {
            line.strict_heading().is_some_and(|(level, text)| level == 2 && text.eq_ignore_ascii_case("story"))
        });
        if let Some(line) = document.unclosed_fence {
            self.problems.push((Code::UnclosedFence, line, "a code fence opens here and never closes".to_owned()));
        }
        if let Some(line) = document.unclosed_comment {
            self.problems.push((Code::UnclosedComment, line, "a comment opens here and never closes".to_owned()));
        }
        self.read_criteria(&document.lines, limits);
    }

    fn read_criteria(&mut self, lines: &[Line<'_>], limits: &Limits) {
        let parts = criteria::read(lines, limits);
        if let Some(line) = parts.cut_at {
            let message = format!(
                "more than {} criteria, tasks or dependencies; the rest stay in the body",
                limits.max_list_items
            );
            self.problems.push((Code::ListTruncated, line, message));
        }
        for (line, rest) in parts.unread {
            self.problems.push((
                Code::DependencyText,
                line,
                format!("not read as a dependency: {}", text::quote(&rest)),
            ));
        }
        (self.acceptance, self.tasks, self.dependencies) = (parts.acceptance, parts.tasks, parts.dependencies);
    }
}

/// The status in the body: a `Status:` line before the first section, or the first line of a section "Status", wherever
/// that is.
fn find_status(lines: &[Line<'_>]) -> Option<WrittenStatus> {
    let (mut before_sections, mut in_status) = (true, false);
    for line in lines.iter().filter(|line| line.kind == LineKind::Text) {
        let heading = line.strict_heading();
        let text = match heading {
            Some((_, text)) => text,
            None => without_markers(line.text),
        };
        let plain = without_emphasis(text);
        let labelled = plain.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case("status"));
        let value = match (heading, labelled) {
            (Some((level, _)), labelled) => {
                in_status = level <= 2 && (labelled.is_some() || plain.eq_ignore_ascii_case("status"));
                before_sections &= level < 2;
                labelled.filter(|_| in_status).map(|(_, value)| value)
            }
            (None, Some((_, value))) if before_sections || in_status => Some(value),
            (None, None) if in_status => Some(plain.as_str()),
            (None, _) => None,
        };
        if let Some(value) = value.map(str::trim).filter(|value| !value.is_empty()) {
            return Some(WrittenStatus { text: value.to_owned(), line: line.number });
        }
    }
    None
}

fn without_line(lines: &[Line<'_>], left_out: Option<u32>) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| Some(line.number) != left_out) {
        text.push_str(line.text.trim_end());
        text.push('\n');
    }
    text
}

/// SHA-256 over what makes a story what it is; each part is preceded by its length, so that none can pass for another.
pub(crate) fn content_hash(title: &str, text: &str, instructions: Option<&str>, gates: &[HumanGate]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(title.as_bytes());
    part(text.trim().as_bytes());
    part(instructions.unwrap_or_default().as_bytes());
    for gate in gates {
        part(match gate {
            HumanGate::SpecCheckpoint => b"spec_checkpoint",
            HumanGate::DoneCheckpoint => b"done_checkpoint",
        });
    }
    hex::encode(hash.finalize())
}

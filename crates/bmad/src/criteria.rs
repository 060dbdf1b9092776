//! Acceptance criteria, tasks and dependencies in the Markdown of a story.
//!
//! Invariant: reads only ordinary lines (code stays with the criterion it illustrates), keeps the order of the text,
//! and never keeps more items than the bound.

use crate::limits::Limits;
use crate::markdown::{Line, LineKind, list_item, without_emphasis, without_markers};
use crate::model::Task;
use crate::references;
use crate::story_text::DependencyText;

/// What the sections of a story hold.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) acceptance: Vec<String>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) dependencies: Vec<DependencyText>,
    /// Where a list was cut.
    pub(crate) cut_at: Option<u32>,
    /// Lines about dependencies of which something was not understood.
    pub(crate) unread: Vec<(u32, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Topic {
    Other,
    Acceptance,
    Tasks,
    Dependencies,
}

/// Reads the lines of a story.
pub(crate) fn read(lines: &[Line<'_>], limits: &Limits) -> Parts {
    let mut reader =
        Reader { limits, parts: Parts::default(), section: (Topic::Other, 0), label: None, after_blank: true };
    for line in lines {
        reader.take(line);
    }
    reader.parts
}

struct Reader<'a> {
    limits: &'a Limits,
    parts: Parts,
    /// What the current heading is about, and its level.
    section: (Topic, u8),
    /// What the current `**Label:**` is about; it outranks the heading until the next one.
    label: Option<Topic>,
    after_blank: bool,
}

impl Reader<'_> {
    fn take(&mut self, line: &Line<'_>) {
        if line.kind == LineKind::Comment {
            return;
        }
        if line.kind == LineKind::Code {
            if self.topic() == Topic::Acceptance {
                self.append(line.text);
            }
            return;
        }
        if let Some((level, text)) = line.strict_heading() {
            self.enter(level, text);
            self.after_blank = true;
            return;
        }
        let text = line.text.trim();
        if text.is_empty() {
            self.after_blank = true;
            return;
        }
        if !self.labelled(line) {
            match self.topic() {
                Topic::Acceptance => self.criterion(line),
                Topic::Tasks => self.task(line),
                Topic::Dependencies => self.depends(text, line.number, self.label.is_some()),
                Topic::Other => {}
            }
        }
        self.after_blank = false;
    }

    fn topic(&self) -> Topic {
        self.label.unwrap_or(self.section.0)
    }

    fn enter(&mut self, level: u8, text: &str) {
        self.label = None;
        let name = without_emphasis(text).to_lowercase();
        let topic = if name.starts_with("acceptance") {
            Topic::Acceptance
        } else if name.starts_with("task") || name.starts_with("subtask") {
            Topic::Tasks
        } else if references::is_label(&name) {
            Topic::Dependencies
        } else if self.section.0 != Topic::Other && level > self.section.1 {
            if self.section.0 == Topic::Acceptance {
                self.new_criterion(text, 0);
            }
            return;
        } else {
            Topic::Other
        };
        self.section = (topic, level);
    }

    /// A line that begins with a label: `**Acceptance Criteria:**`, `**Dependencies:** Story 1.2`, `Prerequisites: …`.
    fn labelled(&mut self, line: &Line<'_>) -> bool {
        let text = without_markers(line.text);
        let Some((label, rest, bold)) = label(text) else { return false };
        if references::is_label(&label) {
            if rest.is_empty() {
                self.label = Some(Topic::Dependencies);
            } else {
                self.depends(rest, line.number, true);
                self.label = self.label.filter(|topic| *topic != Topic::Dependencies);
            }
            return true;
        }
        if !bold || list_item(line.text).is_some() {
            return false;
        }
        if label.to_lowercase().starts_with("acceptance") && rest.is_empty() {
            self.label = Some(Topic::Acceptance);
            return true;
        }
        // Inside a heading's section a label belongs to its criteria; after a label it ends them.
        match self.label {
            Some(Topic::Acceptance) if is_criterion_label(&label) => false,
            Some(_) => {
                self.label = Some(if self.section.0 == Topic::Tasks { Topic::Tasks } else { Topic::Other });
                true
            }
            None => false,
        }
    }

    fn criterion(&mut self, line: &Line<'_>) {
        let item = list_item(line.text);
        let text = item.map_or(line.text.trim(), |(_, text)| text);
        let text = text.strip_prefix("[ ]").or_else(|| text.strip_prefix("[x]")).unwrap_or(text).trim();
        if text.is_empty() || text.chars().all(|c| matches!(c, '-' | '*' | '_' | '=')) {
            return;
        }
        let plain = without_emphasis(text);
        let first_word = plain.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase();
        let continues = matches!(first_word.as_str(), "when" | "then" | "and" | "but");
        let nested = item.is_some_and(|(indent, _)| indent > 1);
        let opens_given = first_word == "given" && !self.last_lacks_given(line, item.is_some());
        let starts = item.is_some() && !nested && !continues
            || opens_given && !nested
            || is_criterion_label(&plain)
            || item.is_none() && !continues && self.after_blank && !line.text.starts_with([' ', '\t']);
        if starts || self.parts.acceptance.is_empty() {
            self.new_criterion(&plain, line.number);
        } else {
            self.append(&plain);
        }
    }

    /// Whether a `Given` belongs to the item above it: a number or label that has none yet, directly before or
    /// indented.
    fn last_lacks_given(&self, line: &Line<'_>, is_item: bool) -> bool {
        let attached = !self.after_blank || line.text.starts_with([' ', '\t']);
        let lacks = |last: &String| !last.to_lowercase().contains("given ");
        !is_item && attached && self.parts.acceptance.last().is_some_and(lacks)
    }

    fn new_criterion(&mut self, text: &str, line: u32) {
        if self.parts.acceptance.len() >= self.limits.max_list_items {
            self.parts.cut_at.get_or_insert(line.max(1));
            return;
        }
        self.parts.acceptance.push(text.to_owned());
    }

    fn append(&mut self, text: &str) {
        if self.parts.cut_at.is_some() {
            return;
        }
        if let Some(last) = self.parts.acceptance.last_mut() {
            last.push('\n');
            last.push_str(text);
        }
    }

    fn task(&mut self, line: &Line<'_>) {
        let Some((indent, text)) = list_item(line.text) else { return };
        let (done, text) = match text.get(..3) {
            Some("[ ]") => (false, text.get(3..).unwrap_or_default()),
            Some("[x]" | "[X]") => (true, text.get(3..).unwrap_or_default()),
            _ => return,
        };
        if self.parts.tasks.len() >= self.limits.max_list_items {
            self.parts.cut_at.get_or_insert(line.number);
            return;
        }
        let (text, acceptance) = task_criteria(text.trim());
        let depth = u8::try_from(indent / 2).unwrap_or(u8::MAX);
        self.parts.tasks.push(Task { text, done, depth, acceptance });
    }

    fn depends(&mut self, text: &str, line: u32, labelled: bool) {
        let item = list_item(text).map_or(text, |(_, item)| item);
        let found = references::find(item, labelled);
        if labelled && !found.rest.is_empty() {
            self.parts.unread.push((line, found.rest));
        }
        for reference in found.references {
            if self.parts.dependencies.len() >= self.limits.max_list_items {
                self.parts.cut_at.get_or_insert(line);
                return;
            }
            self.parts.dependencies.push(DependencyText { reference, text: without_emphasis(text), line });
        }
    }
}

/// A label, what follows it, and whether it is bold. `**Label:** rest`, `**Label**: rest`, `Label: rest`.
fn label(text: &str) -> Option<(String, &str, bool)> {
    if let Some(rest) = text.strip_prefix("**") {
        let (inner, after) = rest.split_once("**")?;
        let after = after.trim_start();
        let inner = inner.trim();
        return match inner.strip_suffix(':') {
            Some(inner) => Some((inner.trim().to_owned(), after, true)),
            None => after.strip_prefix(':').map(|after| (inner.to_owned(), after.trim_start(), true)),
        };
    }
    let (label, rest) = text.split_once(':')?;
    Some((label.trim_matches(['*', '_', ' ']).to_owned(), rest.trim_start_matches(['*', '_', ' ']), false))
}

/// `AC1`, `AC 2: …`, `Scenario: …`.
fn is_criterion_label(text: &str) -> bool {
    let lower = text.to_lowercase();
    let numbered = lower.strip_prefix("ac").map(|rest| rest.trim_start_matches([' ', '-', '#']));
    numbered.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) || lower.starts_with("scenario")
}

/// Takes `(AC: 1, 3)` off a task.
fn task_criteria(text: &str) -> (String, Vec<String>) {
    let lower = text.to_ascii_lowercase();
    let found = lower.rfind("(ac").and_then(|at| {
        let inside = text.get(at + 3..)?;
        let (inside, after) = inside.split_once(')')?;
        let inside = inside.trim_start_matches([':', ' ', 's', 'S']);
        let listed = inside.starts_with(|c: char| c == '#' || c.is_ascii_digit());
        listed.then(|| (format!("{}{after}", text.get(..at).unwrap_or_default().trim_end()), inside))
    });
    let Some((bare, inside)) = found else { return (without_emphasis(text), Vec::new()) };
    let numbers = inside
        .split(|c: char| matches!(c, ',' | ';' | '&') || c.is_whitespace())
        .map(|part| part.trim_matches(['#', ':', '.']))
        .filter(|part| part.contains(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect();
    (without_emphasis(&bare), numbers)
}

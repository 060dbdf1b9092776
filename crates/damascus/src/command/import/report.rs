//! The report of an import: what was taken, left alone and left out, with file and line.
//!
//! Invariant: every story, every dependency that makes no gate, and every finding of the scan is in it.

use std::collections::BTreeMap;

use anyhow::Result;
use damascus_bmad::{Finding, Scan, Severity, SourceRef};
use damascus_core::ItemId;
use damascus_core::display::one_line;
use serde::Serialize;

use super::bmad::Written;
use super::plan::{LeftOut, Outcome, Plan, Planned};
use crate::output::Output;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};

/// How much of a message is shown, in characters.
const LINE_MAX_CHARS: usize = 500;

pub(super) struct Report<'a> {
    pub(super) project: &'a str,
    pub(super) dry_run: bool,
    pub(super) scan: &'a Scan,
    pub(super) plan: &'a Plan<'a>,
    pub(super) written: &'a Written,
}

/// The shape of `--json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    project: &'a str,
    layout: &'static str,
    dry_run: bool,
    stories: Vec<Line<'a>>,
    gates_created: usize,
    dependencies_met: usize,
    dependencies_left_out: Vec<LeftOutLine<'a>>,
    findings: &'a [Finding],
}

/// One story.
#[derive(Debug, Serialize)]
struct Line<'a> {
    key: &'a str,
    title: &'a str,
    outcome: &'static str,
    item: Option<ItemId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    gates: usize,
    source: &'a SourceRef,
}

/// A dependency that makes no gate.
#[derive(Debug, Serialize)]
struct LeftOutLine<'a> {
    key: &'a str,
    waits_for: &'a str,
    why: &'static str,
    source: &'a SourceRef,
}

impl Report<'_> {
    pub(super) fn show(&self, out: &Output) -> Result<()> {
        let made: BTreeMap<&str, ItemId> =
            self.written.created.iter().map(|(key, item)| (key.as_str(), *item)).collect();
        let lines: Vec<Line<'_>> =
            self.plan.stories.iter().map(|planned| line(planned, &made, &self.written.revised)).collect();
        let left_out: Vec<LeftOutLine<'_>> = self.plan.left_out.iter().map(left_out).collect();
        if out.is_json() {
            return Ok(out.json(&Document {
                project: self.project,
                layout: self.scan.layout.as_str(),
                dry_run: self.dry_run,
                stories: lines,
                gates_created: self.written.gates,
                dependencies_met: self.plan.met,
                dependencies_left_out: left_out,
                findings: &self.scan.findings,
            })?);
        }
        stories(out, &lines)?;
        reasons(out, &lines, &left_out)?;
        self.findings(out)?;
        self.summary(out, &lines)
    }

    fn findings(&self, out: &Output) -> Result<()> {
        if self.scan.findings.is_empty() {
            return Ok(());
        }
        out.line("")?;
        for finding in &self.scan.findings {
            let (tone, word) = match finding.severity {
                Severity::Note => (Tone::Plain, "note"),
                Severity::Warning => (Tone::Warn, "warning"),
                Severity::Skipped => (Tone::Warn, "skipped"),
                Severity::Error => (Tone::Bad, "error"),
            };
            let safe = one_line(&finding.message, LINE_MAX_CHARS);
            out.line(format_args!("{}: {}: {safe}", out.style().paint(tone, word), finding.source))?;
            out.line(format_args!("    {}", finding.hint))?;
        }
        Ok(())
    }

    fn summary(&self, out: &Output, lines: &[Line<'_>]) -> Result<()> {
        let verb = if self.dry_run { "would be " } else { "" };
        let mut counts: Vec<String> = Vec::new();
        for (outcome, verb, word) in [
            ("created", verb, "created"),
            ("revised", verb, "revised"),
            ("unchanged", "", "unchanged"),
            ("done_upstream", "", "done upstream"),
            ("left_alone", "", "left alone"),
            ("refused", "", "refused"),
        ] {
            let count = lines.iter().filter(|line| line.outcome == outcome).count();
            if count > 0 {
                counts.push(format!("{count} {verb}{word}"));
            }
        }
        out.line("")?;
        out.line(format_args!(
            "{} layout, {}: {}; {}",
            self.scan.layout.as_str(),
            counted(lines.len(), "story", "stories"),
            if counts.is_empty() { "nothing to do".to_owned() } else { counts.join(", ") },
            counted(self.scan.findings.len(), "finding", "findings"),
        ))?;
        if self.dry_run {
            out.note("next: the same without --dry-run writes it");
        } else if self.written.gates > 0 {
            let gates = counted(self.written.gates, "gate", "gates");
            out.note(format_args!("{gates} made; `damascus gate list` shows what waits for what"));
        }
        Ok(())
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn stories(out: &Output, lines: &[Line<'_>]) -> Result<()> {
    let mut table = Table::new(&[
        ("STORY", Column::Cut),
        ("OUTCOME", Column::Left),
        ("GATES", Column::Right),
        ("TITLE", Column::Cut),
        ("SOURCE", Column::Cut),
    ]);
    for line in lines {
        let (tone, outcome) = match (line.outcome, line.item) {
            ("left_alone", _) => (Tone::Warn, "left alone".to_owned()),
            ("refused", _) => (Tone::Bad, "refused".to_owned()),
            ("done_upstream", _) => (Tone::Plain, "done upstream".to_owned()),
            (outcome, Some(item)) => (Tone::Plain, format!("{outcome} #{item}")),
            (outcome, None) => (Tone::Plain, outcome.to_owned()),
        };
        let gates = if line.gates == 0 { "-".to_owned() } else { line.gates.to_string() };
        table.row([
            Cell::from(line.key),
            Cell::toned(tone, outcome),
            Cell::from(gates),
            Cell::from(line.title),
            Cell::from(place(out, line.source)),
        ]);
    }
    Ok(out.table(&table, "no stories")?)
}

/// Where a story is declared; on a terminal, where room is short, without the folders.
fn place(out: &Output, source: &SourceRef) -> String {
    let whole = source.to_string();
    match whole.rsplit_once('/') {
        Some((_, name)) if out.width().is_some() => name.to_owned(),
        _ => whole,
    }
}

/// Why stories were left alone and dependencies left out: too long for the table.
fn reasons(out: &Output, lines: &[Line<'_>], left_out: &[LeftOutLine<'_>]) -> Result<()> {
    let with_reason: Vec<_> = lines.iter().filter_map(|line| Some((line, line.why?))).collect();
    if with_reason.is_empty() && left_out.is_empty() {
        return Ok(());
    }
    out.line("")?;
    for (line, why) in with_reason {
        let (tone, word) = if line.outcome == "refused" { (Tone::Bad, "refused") } else { (Tone::Warn, "left alone") };
        let why = one_line(why, LINE_MAX_CHARS);
        out.line(format_args!("{}: {}: {why}", out.style().paint(tone, word), line.key))?;
    }
    for line in left_out {
        let word = out.style().paint(Tone::Warn, "no gate");
        out.line(format_args!("{word}: {} for {}: {} ({})", line.key, line.waits_for, line.why, line.source))?;
    }
    Ok(())
}

fn line<'a>(planned: &'a Planned<'a>, made: &BTreeMap<&str, ItemId>, revised: &[ItemId]) -> Line<'a> {
    let story = planned.story;
    let (outcome, item, why) = match &planned.outcome {
        Outcome::Create(_) => ("created", made.get(story.key.as_str()).copied(), None),
        Outcome::Revise(revised) => ("revised", Some(revised.item), None),
        // What this import wrote before another one came between.
        Outcome::Unchanged(item) if made.contains_key(story.key.as_str()) => ("created", Some(*item), None),
        Outcome::Unchanged(item) if revised.contains(item) => ("revised", Some(*item), None),
        Outcome::Unchanged(item) => ("unchanged", Some(*item), None),
        Outcome::Done => ("done_upstream", None, None),
        Outcome::LeftAlone { item, why } => ("left_alone", *item, Some(why.as_str())),
        Outcome::Refused { item, why } => ("refused", *item, Some(why.as_str())),
    };
    Line { key: &story.key, title: &story.title, outcome, item, why, gates: planned.gates, source: &story.source }
}

fn left_out<'a>(one: &LeftOut<'a>) -> LeftOutLine<'a> {
    let LeftOut { dependency, why } = *one;
    LeftOutLine { key: &dependency.downstream, waits_for: &dependency.upstream, why, source: &dependency.source }
}

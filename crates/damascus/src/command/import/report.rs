//! The report of an import: what was taken, left alone and left out, with file and line.
//!
//! Invariant: every story and every finding of the scan is in it.

use std::collections::BTreeMap;

use anyhow::Result;
use damascus_bmad::{Finding, Scan, Severity, SourceRef};
use damascus_core::ItemId;
use serde::Serialize;

use super::bmad::Written;
use super::plan::{Outcome, Plan, Planned};
use crate::output::Output;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};

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
    findings: &'a [Finding],
}

/// One story.
#[derive(Debug, Serialize)]
struct Line<'a> {
    key: &'a str,
    title: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    waits_for: usize,
    source: &'a SourceRef,
}

impl Report<'_> {
    pub(super) fn show(&self, out: &Output) -> Result<()> {
        let made: BTreeMap<&str, ItemId> =
            self.written.created.iter().map(|(key, item)| (key.as_str(), *item)).collect();
        let lines: Vec<Line<'_>> = self.plan.stories.iter().map(|planned| line(planned, &made)).collect();
        if out.is_json() {
            return Ok(out.json(&Document {
                project: self.project,
                layout: self.scan.layout.as_str(),
                dry_run: self.dry_run,
                stories: lines,
                gates_created: self.written.gates,
                dependencies_met: self.plan.met,
                findings: &self.scan.findings,
            })?);
        }
        self.stories(out, &lines)?;
        self.findings(out)?;
        self.summary(out, &lines)
    }

    fn stories(&self, out: &Output, lines: &[Line<'_>]) -> Result<()> {
        let mut table = Table::new(&[
            ("STORY", Column::Left),
            ("TITLE", Column::Cut),
            ("", Column::Left),
            ("WAITS FOR", Column::Right),
            ("SOURCE", Column::Cut),
        ]);
        for line in lines {
            let tone = if line.why.is_some() { Tone::Warn } else { Tone::Plain };
            let outcome = match (line.why, line.item) {
                (Some(why), _) => why.to_owned(),
                (None, Some(item)) => format!("{} #{item}", line.outcome),
                (None, None) => line.outcome.to_owned(),
            };
            let waits = if line.waits_for == 0 { "-".to_owned() } else { line.waits_for.to_string() };
            table.row([
                Cell::from(line.key),
                Cell::from(line.title),
                Cell::toned(tone, outcome),
                Cell::from(waits),
                Cell::from(line.source.to_string()),
            ]);
        }
        Ok(out.table(&table, "no stories")?)
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
            let safe = damascus_core::display::one_line(&finding.message, 500);
            out.line(format_args!("{}: {}: {safe}", finding.source, out.style().paint(tone, word)))?;
            out.line(format_args!("    {}", finding.hint))?;
        }
        Ok(())
    }

    fn summary(&self, out: &Output, lines: &[Line<'_>]) -> Result<()> {
        let count = |outcome: &str| lines.iter().filter(|line| line.outcome == outcome).count();
        let verb = if self.dry_run { "would be " } else { "" };
        out.line("")?;
        out.line(format_args!(
            "{} layout, {} stories: {} {verb}created, {} {verb}revised, {} unchanged, {} left alone; {} findings",
            self.scan.layout.as_str(),
            lines.len(),
            count("created"),
            count("revised"),
            count("unchanged"),
            count("left_alone"),
            self.scan.findings.len(),
        ))?;
        if self.dry_run {
            out.note("next: the same without --dry-run writes it");
        } else if self.written.gates > 0 {
            out.note(format_args!("{} gates made; `damascus gate list` shows what waits for what", self.written.gates));
        }
        Ok(())
    }
}

fn line<'a>(planned: &'a Planned<'a>, made: &BTreeMap<&str, ItemId>) -> Line<'a> {
    let story = planned.story;
    let (outcome, item, why, waits_for) = match &planned.outcome {
        Outcome::Create(item) => ("created", made.get(story.key.as_str()).copied(), None, item.gates.len()),
        Outcome::Revise(revised) => ("revised", Some(revised.item), None, 0),
        Outcome::Unchanged(item) => ("unchanged", Some(*item), None, 0),
        Outcome::LeftAlone { why } => ("left_alone", None, Some(why.as_str()), 0),
    };
    Line { key: &story.key, title: &story.title, outcome, item, why, waits_for, source: &story.source }
}

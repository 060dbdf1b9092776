//! `damascus item show`.

use anyhow::Result;
use clap::Args;
use damascus_core::{MicroUsd, display};
use damascus_store::item::{ItemDetail, RunView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::Output;
use crate::output::number::count;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};
use crate::output::{fields, time};

/// How much of a story is shown without --story, in characters and lines.
const STORY_MAX_CHARS: usize = 2_000;
const STORY_MAX_LINES: usize = 12;
/// How much of a whole story is shown, in characters.
const WHOLE_STORY_MAX_CHARS: usize = 1_100_000;

/// Show an item with its issues, gates, runs, events and cost
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus item show 42
  damascus item show shop/1-2-sign-in --story
  damascus item show 42 --json | jq '.runs[0].evidence'")]
pub(super) struct Show {
    /// The item: its number, project/key, or key
    #[arg(value_name = "ITEM")]
    item: String,
    /// The whole story instead of its beginning
    #[arg(long)]
    story: bool,
}

impl Show {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let id = store.resolve_item(&self.item).await?;
        let detail = store.item(id).await?;
        if context.out.is_json() {
            context.out.json(&detail)?;
        } else {
            let text = self.picture(&detail, &context.out);
            context.out.write(&text)?;
        }
        Ok(Exit::Done)
    }

    fn picture(&self, detail: &ItemDetail, out: &Output) -> String {
        let item = &detail.item;
        let mut lines = vec![
            ("item", format!("{}/{} (#{})", item.project, item.key, item.id)),
            ("title", item.title.clone()),
            ("phase", format!("{} since {}", item.phase, time::stamp(item.phase_since))),
            ("state", item.standing.explain()),
            ("attempts", format!("{} of {} used", item.attempts_used, item.attempts_granted)),
            ("order", format!("priority {}, rank {}", item.priority, item.rank)),
            ("cost", cost(detail)),
            ("created", time::stamp(item.created_at)),
        ];
        if let Some(landing) = &detail.landing {
            lines.push(("landed", format!("{} on {}", landing.landed_commit, landing.base_branch)));
        }
        let mut text = fields::render(&lines);
        let mut section = |name: &str, body: String| {
            if !body.is_empty() {
                text.push_str(&format!("\n{}\n{body}", out.style().paint(Tone::Strong, name)));
            }
        };
        section("Waiting for a person (damascus issue answer ISSUE …)", issues(detail));
        section("Closed gates", gates(detail));
        section("Runs, newest first", runs(&detail.runs, out));
        section("Events, newest first", events(detail, out));
        section("Story", self.story_text(&detail.story.body));
        text
    }

    fn story_text(&self, body: &str) -> String {
        if self.story {
            return format!("{}\n", display::many_lines(body.trim_end(), WHOLE_STORY_MAX_CHARS));
        }
        let shown = display::many_lines(body.trim_end(), STORY_MAX_CHARS);
        let mut text: String = shown.lines().take(STORY_MAX_LINES).map(|line| format!("{line}\n")).collect();
        if shown.lines().count() > STORY_MAX_LINES || body.trim_end().chars().count() > STORY_MAX_CHARS {
            text.push_str("… (--story shows all of it)\n");
        }
        text
    }
}

fn cost(detail: &ItemDetail) -> String {
    let cost = &detail.cost;
    let estimated = if cost.estimated_microusd == MicroUsd::default() { "" } else { "~" };
    let tokens = cost.tokens_in.saturating_add(cost.tokens_out);
    format!("{estimated}{} ({} tokens)", cost.spent_microusd, count(i64::try_from(tokens).unwrap_or(i64::MAX)))
}

fn issues(detail: &ItemDetail) -> String {
    detail
        .open_issues
        .iter()
        .map(|issue| format!("  {}  {}: {}\n", issue.id, issue.kind, display::one_line(&issue.question, 300)))
        .collect()
}

fn gates(detail: &ItemDetail) -> String {
    detail
        .closed_gates
        .iter()
        .map(|gate| {
            let what = display::one_line(&gate.describe(), 300);
            format!("  {}  {} ({}): not before {what}\n", gate.id, gate.phase, gate.state)
        })
        .collect()
}

fn runs(runs: &[RunView], out: &Output) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("RUN", Column::Right),
        ("PHASE", Column::Left),
        ("TRY", Column::Right),
        ("TOOK", Column::Right),
        ("END", Column::Left),
        ("VERDICT", Column::Left),
        ("DETAIL", Column::Cut),
    ]);
    for run in runs {
        table.row([
            run.id.to_string().into(),
            run.phase.to_string().into(),
            run.attempt.to_string().into(),
            time::age(run.ended_at, run.started_at).into(),
            Cell::from(&run.ended),
            run.verdict.map_or_else(|| "-".to_owned(), |verdict| verdict.to_string()).into(),
            run.detail.as_deref().unwrap_or("").into(),
        ]);
    }
    table.render(out.width(), out.style())
}

fn events(detail: &ItemDetail, out: &Output) -> String {
    if detail.events.is_empty() {
        return String::new();
    }
    let mut table =
        Table::new(&[("SEQ", Column::Right), ("TIME", Column::Left), ("TYPE", Column::Left), ("DATA", Column::Cut)]);
    for event in &detail.events {
        table.row([
            event.seq.to_string().into(),
            time::stamp(event.at).into(),
            Cell::from(&event.kind),
            crate::command::events::data(&event.data).into(),
        ]);
    }
    table.render(out.width(), out.style())
}

//! `damascus cost`: what was spent.
//!
//! Invariant: a sum that rests on an estimate is marked as one.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use damascus_core::{MicroUsd, Named as _};
use damascus_store::cost::{Cost as CostSums, CostBy, CostQuery, CostRow, MAX_GROUPS, Sums};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;
use crate::output::number::{cell, count};
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};
use crate::output::time;

/// Show what was spent, by item, phase, model, project or day.
#[derive(Debug, Args)]
#[command(long_about = "\
Show what was spent, summed by item, phase, model, project or day (UTC).

A sum marked ~ rests at least in part on a price table instead of the provider's own figure. RESERVED is set aside
for runs under way. The dearest come first; days come latest first.")]
#[command(after_long_help = "\
Examples:
  damascus cost
  damascus cost --by model --since 2026-11-01
  damascus cost --by item --project shop --limit 10 --json")]
pub struct Cost {
    /// What to sum by: item, phase, model, project or day
    #[arg(long, value_name = "WHAT", default_value = "project", value_parser = ["item", "phase", "model", "project", "day"], hide_possible_values = true)]
    by: String,
    /// Only this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// Only from this day (UTC) or time on: 2026-11-30 or 2026-11-30T08:00:00Z
    #[arg(long, value_name = "DATE", value_parser = time::parse)]
    since: Option<DateTime<Utc>>,
    /// How many rows at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_GROUPS)))]
    limit: u32,
}

impl Cost {
    /// Shows the sums.
    ///
    /// # Errors
    /// When the database or standard output fails.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let by =
            CostBy::parse(&self.by).map_err(|error| Problem::usage(error.to_string(), "see `damascus cost --help`"))?;
        let store = context.store().await?;
        let project = match &self.project {
            Some(name) => Some(store.resolve_project(name).await?),
            None => None,
        };
        let cost = store.cost(&CostQuery { by, project, since: self.since, limit: self.limit }).await?;
        if context.out.is_json() {
            context.out.json(&cost)?;
            return Ok(Exit::Done);
        }
        context.out.table(&table(&cost), "nothing was spent")?;
        if cost.more {
            context.out.note(format_args!("there are more rows; --limit N shows up to {MAX_GROUPS}"));
        }
        Ok(Exit::Done)
    }
}

fn table(cost: &CostSums) -> Table {
    let heading = match cost.by {
        CostBy::Item => "ITEM",
        CostBy::Phase => "PHASE",
        CostBy::Model => "MODEL",
        CostBy::Project => "PROJECT",
        CostBy::Day => "DAY",
    };
    let mut table = Table::new(&[
        (heading, Column::Cut),
        ("SPENT", Column::Right),
        ("RESERVED", Column::Right),
        ("RUNS", Column::Right),
        ("TOKENS IN", Column::Right),
        ("CACHED", Column::Right),
        ("OUT", Column::Right),
    ]);
    for CostRow { group, sums, .. } in &cost.rows {
        table.row(cells(Cell::from(group), sums, Tone::Plain));
    }
    if cost.rows.len() > 1 || cost.more {
        table.row(cells(Cell::toned(Tone::Strong, "total"), &cost.total, Tone::Strong));
    }
    table
}

fn cells(first: Cell, sums: &Sums, tone: Tone) -> [Cell; 7] {
    let mark = if sums.estimated_microusd == MicroUsd::default() { "" } else { "~" };
    let reserved =
        if sums.reserved_microusd == MicroUsd::default() { "-".to_owned() } else { sums.reserved_microusd.to_string() };
    let tokens = |n| Cell::toned(tone, cell(n));
    [
        first,
        Cell::toned(tone, format!("{mark}{}", sums.spent_microusd)),
        Cell::toned(tone, reserved),
        Cell::toned(tone, count(sums.runs)),
        tokens(sums.tokens_in),
        tokens(sums.tokens_cached),
        tokens(sums.tokens_out),
    ]
}

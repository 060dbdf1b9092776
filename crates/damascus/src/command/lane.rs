//! `damascus lane`: how much runs at once, and what is closed for now.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;

use super::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::number::count;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};
use crate::output::time;

/// List lanes, set their limits, open one before its time
#[derive(Debug, Args)]
#[command(long_about = "\
A lane is a resource with a limit and an opening time: `global`, a project, an agent, a provider of models. A run
occupies every lane of its project and phase. A rate limit or a spent quota closes a lane until its provider opens
it again; no item loses an attempt over that.")]
#[command(after_long_help = "\
Examples:
  damascus lane list
  damascus lane set global --concurrency 4
  damascus lane open provider:gateway")]
pub struct Lane {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the lanes
    #[command(visible_alias = "ls")]
    List,
    /// Set how many runs a lane takes at once
    Set(Set),
    /// Open a lane now
    Open(Open),
}

#[derive(Debug, Args)]
struct Set {
    /// Its name, such as global or agent:claude-code
    lane: String,
    /// How many runs at once
    #[arg(long, value_name = "N", required_unless_present = "no_limit")]
    concurrency: Option<u32>,
    /// As many as there are
    #[arg(long, conflicts_with = "concurrency")]
    no_limit: bool,
}

#[derive(Debug, Args)]
struct Open {
    /// Its name
    lane: String,
    #[command(flatten)]
    decider: Decider,
}

impl Lane {
    /// Does what is asked.
    ///
    /// # Errors
    /// Those of the store and of standard output.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        match &self.action {
            Action::List => return list(context).await,
            Action::Set(Set { lane, concurrency, .. }) => {
                store.set_lane_concurrency(lane, *concurrency).await?;
                if context.out.is_json() {
                    context.out.json(&json!({ "lane": lane, "concurrency": concurrency }))?;
                } else {
                    let limit = concurrency.map_or_else(|| "no limit".to_owned(), |n| count(n.into()));
                    context.out.line(format_args!("{lane}: {limit}"))?;
                }
            }
            Action::Open(Open { lane, decider }) => {
                let was_closed = store.open_lane(lane, &decider.name()).await?;
                if context.out.is_json() {
                    context.out.json(&json!({ "lane": lane, "changed": was_closed }))?;
                } else {
                    let already = if was_closed { "" } else { " already" };
                    context.out.line(format_args!("{lane} is open{already}"))?;
                }
            }
        }
        Ok(Exit::Done)
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let store = context.store().await?;
    let lanes = store.lanes().await?;
    if context.out.is_json() {
        context.out.json(&lanes)?;
        return Ok(Exit::Done);
    }
    let mut table =
        Table::new(&[("LANE", Column::Left), ("RUNS", Column::Right), ("LIMIT", Column::Right), ("OPEN", Column::Cut)]);
    for lane in &lanes {
        let open = match lane.opens_at {
            Some(at) => {
                let why = lane.closed_reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
                Cell::toned(Tone::Warn, format!("from {}{why}", time::stamp(at)))
            }
            None => Cell::from("yes"),
        };
        let limit = lane.concurrency.map_or_else(|| "-".to_owned(), |limit| count(limit.into()));
        table.row([Cell::from(&lane.name), count(lane.running.into()).into(), limit.into(), open]);
    }
    context.out.table(&table, "there are no lanes")?;
    Ok(Exit::Done)
}

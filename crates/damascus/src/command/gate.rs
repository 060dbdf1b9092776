//! `damascus gate`: conditions that must hold before an item may enter a phase.
//!
//! Invariant: a gate is let through only by its condition or by a person who says who they are and why.

mod create;

use anyhow::Result;
use clap::{Args, Subcommand};
use damascus_core::{GateId, GateState, display};
use damascus_store::gate::{Gate as GateRow, GateFilter};

use super::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};
use crate::output::time;

/// List, create, approve and waive gates
#[derive(Debug, Args)]
#[command(long_about = "\
A gate keeps an item out of a phase until its condition holds: another item merged, a contract published, a pull
request merged, a commit in a ref, a time, or a person's word. An item's gates must all be through.")]
#[command(after_long_help = "\
Examples:
  damascus gate list --project shop
  damascus gate create 43 --phase build --item-merged 42
  damascus gate create 44 --phase merge --human \"Is the copy approved?\"
  damascus gate waive 7 --why \"agreed with the team\"")]
pub struct Gate {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List closed gates, or all of one item
    #[command(visible_alias = "ls")]
    List(List),
    Create(create::Create),
    /// Say that the condition of a gate of kind `human` holds
    Approve(Decision),
    /// Let an item through although the condition does not hold
    Waive(Decision),
}

#[derive(Debug, Args)]
struct List {
    /// All gates of this item
    #[arg(long, short, value_name = "ITEM")]
    item: Option<String>,
    /// Closed gates of items of this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// Only those in these states: open, expired, satisfied, waived
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<GateState>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

#[derive(Debug, Args)]
struct Decision {
    /// Its number
    #[arg(value_name = "GATE")]
    id: i64,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    decider: Decider,
}

impl Gate {
    /// Does what is asked.
    ///
    /// # Errors
    /// Those of the store and of standard output.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match &self.action {
            Action::List(list) => list.run(context).await,
            Action::Create(create) => create.run(context).await,
            Action::Approve(Decision { id, why, decider }) => {
                let gate = context.store().await?.approve_gate(GateId(*id), &decider.name(), why).await?;
                settled(context, &gate)
            }
            Action::Waive(Decision { id, why, decider }) => {
                let gate = context.store().await?.waive_gate(GateId(*id), &decider.name(), why).await?;
                settled(context, &gate)
            }
        }
    }
}

fn settled(context: &Context, gate: &GateRow) -> Result<Exit> {
    if context.out.is_json() {
        context.out.json(gate)?;
    } else {
        let item = display::one_line(&gate.item, 300);
        context.out.line(format_args!(
            "gate {} is {}; {item} may enter {} as far as it goes",
            gate.id, gate.state, gate.phase
        ))?;
    }
    Ok(Exit::Done)
}

impl List {
    async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let filter = GateFilter {
            item: match &self.item {
                Some(name) => Some(store.resolve_item(name).await?),
                None => None,
            },
            project: match &self.project {
                Some(name) => Some(store.resolve_project(name).await?),
                None => None,
            },
            states: self.state.clone(),
            after: None,
            limit: self.limit.into(),
        };
        let gates = store.gates(&filter).await?;
        if context.out.is_json() {
            context.out.json(&gates)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&[
            ("GATE", Column::Right),
            ("STATE", Column::Left),
            ("PHASE", Column::Left),
            ("DEADLINE", Column::Left),
            ("ITEM", Column::Cut),
            ("NOT BEFORE", Column::Cut),
        ]);
        for gate in &gates {
            let tone = if gate.state == GateState::Expired { Tone::Bad } else { Tone::Plain };
            table.row([
                gate.id.to_string().into(),
                Cell::toned(tone, gate.state.to_string()),
                gate.phase.to_string().into(),
                gate.deadline.map_or_else(|| "-".to_owned(), time::stamp).into(),
                Cell::from(&gate.item),
                gate.describe().into(),
            ]);
        }
        context.out.table(&table, "no gate is closed")?;
        if gates.len() == usize::from(self.limit) {
            context.out.note("there may be more; --limit N shows up to 500");
        }
        Ok(Exit::Done)
    }
}

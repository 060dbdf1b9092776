//! `damascus item list`.

use anyhow::Result;
use clap::Args;
use damascus_core::{ItemId, Phase};
use damascus_store::item::{Item, ItemFilter, ItemPage, Standing};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};

/// List items
#[derive(Debug, Args)]
#[command(long_about = "\
List items, oldest first: those that have not ended, unless --all or --phase says otherwise.

Without a terminal nothing is cut. A page ends with the number to continue behind; with --json that is `next`.")]
#[command(after_long_help = "\
Examples:
  damascus item list --project shop
  damascus item list --phase blocked,awaiting_human
  damascus item list --all --newest --text passkey --json")]
pub(super) struct List {
    /// Only those of this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// Only those in these phases: spec, build, review, merge, awaiting_human, blocked, merged, cancelled
    #[arg(long, value_name = "PHASE", value_delimiter = ',', conflicts_with = "all")]
    phase: Vec<Phase>,
    /// Ended ones too
    #[arg(long, short)]
    all: bool,
    /// Only those whose key or title contains this
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only those that are held
    #[arg(long)]
    held: bool,
    /// Newest first
    #[arg(long)]
    newest: bool,
    /// Continue behind this item
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

impl List {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let base = if self.all { ItemFilter::default() } else { ItemFilter::open() };
        let filter = ItemFilter {
            project: match &self.project {
                Some(name) => Some(store.resolve_project(name).await?),
                None => None,
            },
            phases: if self.phase.is_empty() { base.phases } else { self.phase.clone() },
            text: self.text.clone(),
            held: self.held.then_some(true),
            newest_first: self.newest,
            after: self.after.map(ItemId),
            limit: self.limit.into(),
        };
        let page = store.items(&filter).await?;
        if context.out.is_json() {
            context.out.json(&page)?;
            return Ok(Exit::Done);
        }
        let nothing =
            if self.all { "there are no such items" } else { "nothing is unfinished; --all lists ended items" };
        context.out.table(&table(&page), nothing)?;
        if let Some(next) = page.next {
            context.out.note(format_args!("go on with: --after {next}"));
        }
        Ok(Exit::Done)
    }
}

fn table(page: &ItemPage) -> Table {
    let mut table = Table::new(&[
        ("ITEM", Column::Right),
        ("PHASE", Column::Left),
        ("STATE", Column::Left),
        ("PRIO", Column::Right),
        ("TRIES", Column::Right),
        ("PROJECT", Column::Cut),
        ("KEY", Column::Cut),
        ("TITLE", Column::Cut),
    ]);
    for item in &page.items {
        table.row([
            item.id.to_string().into(),
            item.phase.to_string().into(),
            state(item),
            item.priority.to_string().into(),
            format!("{}/{}", item.attempts_used, item.attempts_granted).into(),
            Cell::from(&item.project),
            Cell::from(&item.key),
            Cell::from(&item.title),
        ]);
    }
    table
}

/// The standing in a word or two.
fn state(item: &Item) -> Cell {
    let (tone, text) = match &item.standing {
        Standing::Merged { .. } | Standing::Cancelled { .. } => (Tone::Faint, "ended"),
        Standing::AwaitingHuman { .. } => (Tone::Warn, "question"),
        Standing::Blocked { .. } => (Tone::Bad, "needs a person"),
        Standing::Running { .. } => (Tone::Good, "running"),
        Standing::Held { .. } => (Tone::Warn, "held"),
        Standing::WaitingForGates { .. } => (Tone::Plain, "gate"),
        Standing::BackingOff { .. } => (Tone::Plain, "backing off"),
        Standing::ProjectPaused { .. } => (Tone::Warn, "paused"),
        Standing::LaneClosed { .. } => (Tone::Warn, "lane closed"),
        Standing::Ready { .. } => (Tone::Plain, "ready"),
    };
    Cell::toned(tone, text)
}

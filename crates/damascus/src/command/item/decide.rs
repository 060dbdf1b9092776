//! `damascus item retry`, `cancel`, `hold` and `release`: what people decide.
//!
//! Invariant: of several items, each is decided on its own; those before a failure stay decided, and are shown before it.

use anyhow::Result;
use clap::Args;
use damascus_core::{ItemId, display};
use damascus_store::item::Standing;
use serde::Serialize;

use crate::command::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;

/// The items that a decision is about.
#[derive(Debug, Args)]
struct Items {
    /// The items: numbers, project/key, or keys
    #[arg(value_name = "ITEM", required = true)]
    items: Vec<String>,
}

/// Let a parked item go on with more attempts
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus item retry 42
  damascus item retry shop/1-2-sign-in --attempts 2")]
pub(super) struct Retry {
    #[command(flatten)]
    items: Items,
    /// How many more attempts [default: as many as the project grants a new item]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    attempts: Option<u16>,
    #[command(flatten)]
    decider: Decider,
}

/// Give items up
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus item cancel 42 --why \"out of scope\"")]
pub(super) struct Cancel {
    #[command(flatten)]
    items: Items,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    decider: Decider,
}

/// Keep items from being claimed; runs under way are finished
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus item hold 42 43 --why \"waiting for the design\"")]
pub(super) struct Hold {
    #[command(flatten)]
    items: Items,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    #[command(flatten)]
    decider: Decider,
}

/// Let held items be claimed again
#[derive(Debug, Args)]
pub(super) struct Release {
    #[command(flatten)]
    items: Items,
    #[command(flatten)]
    decider: Decider,
}

impl Retry {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let (store, by) = (context.store().await?, self.decider.name());
        self.items.each(context, async |item| Ok(store.retry(item, self.attempts, &by).await?)).await
    }
}

impl Cancel {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let (store, by) = (context.store().await?, self.decider.name());
        self.items.each(context, async |item| Ok(store.cancel(item, &by, &self.why).await?)).await
    }
}

impl Hold {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let (store, by) = (context.store().await?, self.decider.name());
        self.items.each(context, async |item| Ok(store.hold(item, &by, &self.why).await?)).await
    }
}

impl Release {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let (store, by) = (context.store().await?, self.decider.name());
        self.items.each(context, async |item| Ok(store.release(item, &by).await?)).await
    }
}

/// Where an item stands after a decision.
#[derive(Debug, Serialize)]
struct Decided {
    id: ItemId,
    standing: Standing,
}

impl Items {
    /// Decides on each item; all are named before the first is decided on, so that a slip in a name changes nothing.
    async fn each(&self, context: &Context, decide: impl AsyncFn(ItemId) -> Result<Standing>) -> Result<Exit> {
        let store = context.store().await?;
        let mut ids = Vec::with_capacity(self.items.len());
        for name in &self.items {
            ids.push(store.resolve_item(name).await?);
        }
        let mut decided = Vec::with_capacity(ids.len());
        for id in ids {
            let standing = match decide(id).await {
                Ok(standing) => standing,
                Err(error) => {
                    show(context, &decided)?;
                    return Err(error);
                }
            };
            decided.push(Decided { id, standing });
        }
        show(context, &decided)?;
        Ok(Exit::Done)
    }
}

fn show(context: &Context, decided: &[Decided]) -> Result<()> {
    if context.out.is_json() {
        return Ok(context.out.json(&decided)?);
    }
    for Decided { id, standing } in decided {
        let text = display::one_line(&standing.explain(), 500);
        context.out.line(format_args!("item #{id} {text}"))?;
    }
    Ok(())
}

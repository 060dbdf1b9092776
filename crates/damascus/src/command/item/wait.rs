//! `damascus item wait`: until items have ended, or need a person.
//!
//! Invariant: a lost notification delays the end by a few seconds, it does not hide it; nobody waits for an item that itself waits for a
//! person.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use damascus_core::{ItemId, display};
use damascus_store::item::Standing;
use damascus_store::{Channel, Store, StoreError};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::time;

/// Items are looked at this often when nothing is heard.
const POLL: Duration = Duration::from_secs(3);
/// The least time between two looks, so that a busy database is not asked at each of its events.
const REST: Duration = Duration::from_millis(100);

/// Wait until items have ended, or need a person
#[derive(Debug, Args)]
#[command(long_about = "\
Wait until each of the items has merged, was cancelled, or needs a person: it is blocked, asks a question, is held,
or its project is paused.

Ends with 0 when all merged, 3 when one was cancelled, 5 when one needs a person, 8 when the timeout came first;
of several the last of these that applies.")]
#[command(after_long_help = "\
Examples:
  damascus item wait 42
  damascus item wait 42 43 --timeout 2h && echo merged")]
pub(super) struct Wait {
    /// The items: numbers, project/key, or keys
    #[arg(value_name = "ITEM", required = true)]
    items: Vec<String>,
    /// How long at most: 90s, 15m, 2h, 1d [default: as long as it takes]
    #[arg(long, value_name = "DURATION", value_parser = time::parse_duration)]
    timeout: Option<Duration>,
}

/// One item that is waited for.
#[derive(Debug, Serialize)]
struct Waited {
    id: ItemId,
    /// `merged`, `cancelled`, `needs_a_person` or `running`.
    outcome: &'static str,
    standing: Option<Standing>,
}

impl Wait {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let mut waited = Vec::with_capacity(self.items.len());
        for name in &self.items {
            let id = store.resolve_item(name).await?;
            waited.push(Waited { id, outcome: "running", standing: None });
        }
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        wait(context, store, &mut waited, deadline).await?;
        for one in waited.iter().filter(|one| one.outcome == "running") {
            let standing = one.standing.as_ref().map_or_else(|| "was not looked at".to_owned(), Standing::explain);
            context.out.note(format_args!("timed out: item #{} {}", one.id, display::one_line(&standing, 500)));
        }
        if context.out.is_json() {
            context.out.json(&waited)?;
        }
        Ok(exit(&waited))
    }
}

/// Looks until no item runs any more, or the deadline has passed.
async fn wait(context: &Context, store: &Store, waited: &mut [Waited], deadline: Option<Instant>) -> Result<()> {
    // Before the first look, so that nothing is missed between the two. Without it, the poll is enough.
    let mut listener = store.listen(&[Channel::Events]).await.ok();
    loop {
        for one in waited.iter_mut().filter(|one| one.outcome == "running") {
            match look(store, one.id).await {
                Ok((outcome, standing)) => {
                    one.outcome = outcome;
                    if outcome != "running" {
                        let text = display::one_line(&standing.explain(), 500);
                        context.out.tell(format_args!("item #{} {text}", one.id))?;
                    }
                    one.standing = Some(standing);
                }
                Err(error) if error.retryable() => {
                    context.out.note(format_args!("{error}; trying again"));
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) || waited.iter().all(|one| one.outcome != "running") {
            return Ok(());
        }
        let at_most = left.map_or(POLL, |left| left.min(POLL));
        let heard = async {
            match &mut listener {
                Some(listener) => listener.wait().await,
                None => std::future::pending().await,
            }
        };
        match timeout(at_most, heard).await {
            Ok(Ok(())) => sleep(REST.min(at_most)).await,
            Ok(Err(_)) => listener = None,
            Err(_) => {}
        }
    }
}

async fn look(store: &Store, id: ItemId) -> Result<(&'static str, Standing), StoreError> {
    let standing = store.standing(id).await?;
    let outcome = match &standing {
        Standing::Merged { .. } => "merged",
        Standing::Cancelled { .. } => "cancelled",
        standing if standing.needs_a_person() => "needs_a_person",
        // A gate that can't open by itself has asked a person.
        Standing::WaitingForGates { .. } if !store.item(id).await?.open_issues.is_empty() => "needs_a_person",
        _ => "running",
    };
    Ok((outcome, standing))
}

fn exit(waited: &[Waited]) -> Exit {
    let any = |outcome| waited.iter().any(|one| one.outcome == outcome);
    if any("running") {
        Exit::StillRunning
    } else if any("needs_a_person") {
        Exit::Waiting
    } else if any("cancelled") {
        Exit::Cancelled
    } else {
        Exit::Done
    }
}

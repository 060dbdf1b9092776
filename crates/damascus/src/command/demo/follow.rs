//! The demo's live progress: a line for each thing that happens to a story.
//!
//! Invariant: what is shown are the events as they were written, in their order.

use std::time::Duration;

use anyhow::Result;
use damascus_core::{Phase, ProjectId, display};
use damascus_store::event::{Cursor, EventFilter, EventRow, MAX_EVENTS};
use damascus_store::item::ItemFilter;
use damascus_store::{Channel, Listener, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock;
use crate::context::Context;
use crate::output::style::Tone;

/// How often it is looked when nothing is heard.
const POLL: Duration = Duration::from_millis(500);

/// Follows the events of the project.
pub(super) struct Follower {
    listener: Listener,
    cursor: Cursor,
    project: ProjectId,
    began: Instant,
}

impl Follower {
    pub(super) async fn start(store: &Store, project: ProjectId, began: Instant) -> Result<Self> {
        let listener = store.listen(&[Channel::Events]).await?;
        Ok(Self { listener, cursor: store.newest_cursor().await?, project, began })
    }

    /// Shows what happens until every story has ended or needs more than the demo's person gives; says whether it came to that.
    pub(super) async fn until_ended(
        mut self,
        context: &Context,
        store: &Store,
        stop: &CancellationToken,
    ) -> Result<bool> {
        loop {
            let filter = EventFilter { project: Some(self.project), item: None };
            let page = store.events_after(self.cursor, filter, MAX_EVENTS).await?;
            self.cursor = page.next;
            for event in &page.events {
                self.show(context, event)?;
            }
            if page.events.is_empty() {
                if ended(store, self.project).await? {
                    return Ok(true);
                }
                tokio::select! {
                    heard = tokio::time::timeout(POLL, self.listener.wait()) => {
                        if let Ok(Err(error)) = heard
                            && !error.retryable()
                        {
                            return Err(error.into());
                        }
                    }
                    () = stop.cancelled() => return Ok(false),
                }
            }
        }
    }

    fn show(&self, context: &Context, event: &EventRow) -> Result<()> {
        let Some(line) = line(event) else { return Ok(()) };
        let style = context.out.style();
        let tone = match event.kind.as_str() {
            "work.merged" => Tone::Good,
            "work.retrying" | "work.awaiting_human" => Tone::Warn,
            "work.blocked" => Tone::Bad,
            _ => Tone::Plain,
        };
        let key = display::one_line(event.key.as_deref().unwrap_or_default(), 40);
        let at = style.paint(Tone::Faint, &clock(self.began));
        Ok(context.out.line(format_args!("{at}  {key:<34} {}", style.paint(tone, &line)))?)
    }
}

/// What is said of an event; nothing for those that say little.
fn line(event: &EventRow) -> Option<String> {
    let text = |name: &str| event.data.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let number = |name: &str| event.data.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let used = || format!("attempt {} of {} used", number("attempts_used"), number("attempts_granted"));
    match event.kind.as_str() {
        "work.advanced" => Some(format!("{} passed, on to {}", text("from"), text("to"))),
        "work.merged" => Some("merged: the tested commit landed".to_owned()),
        "work.retrying" if text("charge") == "attempt" => {
            Some(format!("{}: {}, back to {} ({})", text("from"), text("cause"), text("to"), used()))
        }
        "work.retrying" => Some(format!("{}: {}, again in {}", text("from"), text("cause"), text("to"))),
        "work.awaiting_human" => Some("asks a question and waits; the others go on".to_owned()),
        "work.resumed" => Some(format!("goes on in {}", text("to"))),
        "work.blocked" => Some(format!("blocked after {} in {}; a person is asked", text("cause"), text("from"))),
        "gate.satisfied" => Some("what it waited for has merged".to_owned()),
        _ => None,
    }
}

/// Whether no story will move any more by itself: all have merged, or are parked as blocked.
async fn ended(store: &Store, project: ProjectId) -> Result<bool> {
    let page = store.items(&ItemFilter { project: Some(project), ..ItemFilter::default() }).await?;
    Ok(page.items.iter().all(|item| matches!(item.phase, Phase::Merged | Phase::Cancelled | Phase::Blocked)))
}

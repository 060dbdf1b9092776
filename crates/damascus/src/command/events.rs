//! `damascus events`: what happened, and what happens.
//!
//! Invariant: a follower that starts again at a cursor that it was given misses no event and sees none twice.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use damascus_core::display;
use damascus_store::event::{Cursor, EventFilter, EventRow, MAX_EVENTS};
use damascus_store::{Channel, Listener, Store};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;
use crate::output::table::cut;
use crate::output::{Output, time};

/// A follower looks this often when it hears nothing; also how soon it sees what an older transaction kept back.
const POLL: Duration = Duration::from_secs(1);
/// How long it waits after the database failed.
const RETRY: Duration = Duration::from_secs(2);
/// How much of an event's data a line shows, in characters.
const DATA_MAX_CHARS: usize = 300;

/// Show what happened, and follow what happens.
#[derive(Debug, Args)]
#[command(long_about = "\
Show the latest events, oldest first; with --follow, go on until Ctrl-C.

Each event stands at a cursor. --since-cursor goes on behind one, so a follower that was stopped misses nothing and
sees nothing twice; 0.0 is the oldest event that is kept. With --json each line is a CloudEvent 1.0 whose extension
`cursor` is its place and whose `sequence` counts the events of its item.")]
#[command(after_long_help = "\
Examples:
  damascus events --limit 50
  damascus events --follow --project shop
  damascus events --follow --json --since-cursor 1234.56")]
pub struct Events {
    /// Go on with what happens, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Begin behind this cursor instead of with the latest
    #[arg(long, value_name = "CURSOR")]
    since_cursor: Option<String>,
    /// Only this item: its number, project/key, or key
    #[arg(long, short, value_name = "ITEM")]
    item: Option<String>,
    /// Only this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// How many at most before following (default 20, or all behind a cursor when following)
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_EVENTS)))]
    limit: Option<u32>,
}

/// How many of the latest events are shown when nothing else is said.
const DEFAULT_LIMIT: u32 = 20;

impl Events {
    /// Shows events.
    ///
    /// # Errors
    /// When the database or standard output fails.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let since: Option<Cursor> = self.since_cursor.as_deref().map(str::parse).transpose()?;
        let store = context.store().await?;
        let filter = EventFilter {
            project: match &self.project {
                Some(name) => Some(store.resolve_project(name).await?),
                None => None,
            },
            item: match &self.item {
                Some(name) => Some(store.resolve_item(name).await?),
                None => None,
            },
        };
        // Read before the first events, so that none can fall between them and what follows.
        let listener = if self.follow { Some(store.listen(&[Channel::Events]).await?) } else { None };
        let cursor = self.show_first(&context.out, store, filter, since).await?;
        if let Some(listener) = listener {
            return follow(&context.out, store, filter, cursor, listener).await;
        }
        if !context.out.is_json() && cursor > Cursor::START {
            context.out.note(format_args!("go on with: damascus events --since-cursor {cursor}"));
        }
        Ok(Exit::Done)
    }

    /// Shows what is asked for before following; gives the cursor behind it.
    async fn show_first(
        &self,
        out: &Output,
        store: &Store,
        filter: EventFilter,
        since: Option<Cursor>,
    ) -> Result<Cursor> {
        let limit = match (self.limit, since) {
            (Some(limit), _) => limit,
            (None, Some(_)) if self.follow => 0,
            (None, Some(_)) => MAX_EVENTS,
            (None, None) => DEFAULT_LIMIT,
        };
        let start = match since {
            Some(cursor) => cursor,
            // Read first: what comes between this and the latest events is among them, or follows.
            None => store.newest_cursor().await?,
        };
        if limit == 0 {
            return Ok(start);
        }
        let (events, next) = match (since, filter.item) {
            (Some(cursor), _) => {
                let page = store.events_after(cursor, filter, limit).await?;
                (page.events, page.next)
            }
            (None, Some(item)) => (store.latest_events_of_item(item, limit).await?, start),
            (None, None) => (store.latest_events(filter, limit).await?, start),
        };
        events.iter().try_for_each(|event| show(out, event))?;
        Ok(events.iter().map(|event| event.cursor).fold(next, Cursor::max))
    }
}

async fn follow(
    out: &Output,
    store: &Store,
    filter: EventFilter,
    mut cursor: Cursor,
    mut listener: Listener,
) -> Result<Exit> {
    loop {
        match store.events_after(cursor, filter, MAX_EVENTS).await {
            Ok(page) => {
                cursor = page.next;
                page.events.iter().try_for_each(|event| show(out, event))?;
                // A notification may come before its event can be read in order; the poll finds that one.
                if page.events.is_empty() && timeout(POLL, listener.wait()).await.is_ok_and(|heard| heard.is_err()) {
                    sleep(RETRY).await;
                }
            }
            Err(error) if error.retryable() => {
                out.note(format_args!("{error}; trying again"));
                sleep(RETRY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn show(out: &Output, event: &EventRow) -> Result<()> {
    if out.is_json() {
        return Ok(out.json_line(&event.to_cloud_event())?);
    }
    let subject = match (&event.project, event.item, &event.key) {
        (Some(project), Some(item), Some(key)) => format!("{project}/{key} (#{item})"),
        (_, Some(item), _) => format!("#{item}"),
        (Some(project), None, _) => project.clone(),
        (None, None, _) => String::new(),
    };
    let parts = [time::stamp(event.at), format!("{:<19}", event.kind), subject, data(&event.data)];
    let line = display::one_line(parts.join("  ").trim_end(), 2_000);
    let line = out.width().map_or_else(|| line.clone(), |width| cut(&line, width));
    // The time is faint; it has a fixed length.
    let (at, rest) = line.split_at_checked(parts[0].len()).unwrap_or(("", &line));
    Ok(out.line(format_args!("{}{rest}", out.style().paint(Tone::Faint, at)))?)
}

/// The data as `name=value`, without what says nothing.
pub(super) fn data(data: &Value) -> String {
    let Value::Object(fields) = data else { return String::new() };
    let shown: Vec<String> = fields
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        })
        .collect();
    display::one_line(&shown.join(" "), DATA_MAX_CHARS)
}

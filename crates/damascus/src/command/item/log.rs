//! `damascus item log`: what a run printed, and what it prints.
//!
//! Invariant: a lost notification delays a follower, it hides nothing from it; every piece is shown once and in order, and what reaches a
//! terminal can't act on it.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use damascus_core::{ItemId, RunId, display};
use damascus_store::run::RunStanding;
use damascus_store::transcript::{CHUNK_MAX_BYTES, Chunk, MAX_CHUNKS};
use damascus_store::{Channel, Listener, Store, StoreError};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;
use crate::output::{Output, time};

/// A follower looks this often when it hears nothing.
const POLL: Duration = Duration::from_secs(2);
/// The least time between two looks, so that the runs of others don't have the database asked at each of their lines.
const REST: Duration = Duration::from_millis(100);
/// How long it waits after the database failed.
const RETRY: Duration = Duration::from_secs(2);

/// Show what a run of an item printed, and follow it
#[derive(Debug, Args)]
#[command(long_about = "\
Show what the latest run of an item printed, or another one; with --follow, go on until that run ends.

A run that has not printed anything shows nothing. Of a run that prints very much the first 4 MiB are kept, and the
last line says how much was left out. Transcripts are kept as long as events.")]
#[command(after_long_help = "\
Examples:
  damascus item log 42
  damascus item log shop/1-2-sign-in --follow
  damascus item log 42 --run 1311 --json | jq -r .text")]
pub(super) struct Log {
    /// The item: its number, project/key, or key
    #[arg(value_name = "ITEM")]
    item: String,
    /// This run instead of the latest; `damascus item show` lists them
    #[arg(long, value_name = "N")]
    run: Option<i64>,
    /// Go on with what the run prints until it ends; without a run yet, wait for one
    #[arg(long, short)]
    follow: bool,
}

/// A piece, as JSON shows it.
#[derive(Debug, Serialize)]
struct Piece {
    run: RunId,
    ordinal: u32,
    text: String,
}

/// Where a reader stands in a transcript.
#[derive(Debug)]
struct Reader<'a> {
    out: &'a Output,
    store: &'a Store,
    run: RunId,
    after: Option<u32>,
    /// Whether what was shown last ends a line.
    at_line_start: bool,
}

impl Log {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let item = store.resolve_item(&self.item).await?;
        // Before the first look, so that nothing is missed between the two. Without it, the poll is enough.
        let mut listener =
            if self.follow { store.listen(&[Channel::Transcripts, Channel::Events]).await.ok() } else { None };
        let Some(standing) = self.find(&context.out, store, item, &mut listener).await? else {
            context.out.note(format_args!("item #{item} has not run yet"));
            return Ok(Exit::Done);
        };
        if !context.out.is_json() {
            context.out.note(heading(&standing));
        }
        let mut reader = Reader { out: &context.out, store, run: standing.run, after: None, at_line_start: true };
        let ended = if self.follow {
            follow(&mut reader, item, &mut listener).await?
        } else {
            reader.show_all().await?;
            Some(standing)
        };
        if !context.out.is_json() {
            reader.conclude(ended.as_ref()).await?;
        }
        Ok(Exit::Done)
    }

    /// The run that is asked for; a follower waits for the first one.
    async fn find(
        &self,
        out: &Output,
        store: &Store,
        item: ItemId,
        listener: &mut Option<Listener>,
    ) -> Result<Option<RunStanding>> {
        if let Some(run) = self.run {
            return Ok(Some(one_of(store, item, run).await?));
        }
        let mut told = false;
        loop {
            let found = store.run_of(item, None).await?;
            if found.is_some() || !self.follow {
                return Ok(found);
            }
            if !told {
                out.note(format_args!("item #{item} has not run yet; waiting for its first run"));
                told = true;
            }
            hear(listener).await;
        }
    }
}

/// A run of an item that must be there.
pub(super) async fn one_of(store: &Store, item: ItemId, run: i64) -> Result<RunStanding> {
    let missing = || {
        let next = format!("`damascus item show {item}` lists its latest runs");
        Problem::failed("not_found", format!("there is no run {run} of item #{item}"), next)
    };
    Ok(store.run_of(item, Some(RunId(run))).await?.ok_or_else(missing)?)
}

impl Reader<'_> {
    /// Shows what there is behind the last piece.
    async fn show_all(&mut self) -> Result<()> {
        loop {
            let chunks = self.store.transcript(self.run, self.after, MAX_CHUNKS).await?;
            for chunk in &chunks {
                self.show(chunk)?;
            }
            if chunks.len() < MAX_CHUNKS {
                return Ok(());
            }
        }
    }

    fn show(&mut self, chunk: &Chunk) -> Result<()> {
        let text = display::many_lines(&chunk.text, CHUNK_MAX_BYTES);
        self.after = Some(chunk.ordinal);
        self.at_line_start = text.ends_with('\n');
        if self.out.is_json() {
            return Ok(self.out.json_line(&Piece { run: self.run, ordinal: chunk.ordinal, text })?);
        }
        Ok(self.out.write(&text)?)
    }

    /// Tells people how the run stands, behind what it printed.
    async fn conclude(&self, standing: Option<&RunStanding>) -> Result<()> {
        if !self.at_line_start {
            self.out.write("\n")?;
        }
        let Some(standing) = standing else {
            self.out.note(format_args!("run {} is gone: its claim was lost in a crash of the database", self.run));
            return Ok(());
        };
        if standing.ended.is_some() {
            if self.after.is_none() {
                self.out.note("it printed nothing, or that was removed by age");
            }
            self.out.note(ending(standing));
            return Ok(());
        }
        let left_out = self.store.transcript_head(self.run).await?.map_or(0, |head| head.left_out_bytes);
        if left_out > 0 {
            self.out.note(format_args!("{left_out} more bytes were printed so far and are not kept"));
        }
        self.out.note("it goes on; --follow shows what comes");
        Ok(())
    }
}

/// Shows what comes until the run has ended; gives how it ended, or nothing when it is gone.
async fn follow(reader: &mut Reader<'_>, item: ItemId, listener: &mut Option<Listener>) -> Result<Option<RunStanding>> {
    loop {
        // First whether it has ended: all that it printed is there by then.
        let looked = match reader.store.run_of(item, Some(reader.run)).await {
            Ok(standing) => reader.show_all().await.map(|()| standing),
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok(Some(standing)) if standing.ended.is_none() => hear(listener).await,
            Ok(standing) => return Ok(standing),
            Err(error) if error.downcast_ref::<StoreError>().is_some_and(StoreError::retryable) => {
                reader.out.note(format_args!("{error}; trying again"));
                sleep(RETRY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until something may have happened.
async fn hear(listener: &mut Option<Listener>) {
    let heard = async {
        match listener {
            Some(listener) => listener.wait().await,
            None => std::future::pending().await,
        }
    };
    match timeout(POLL, heard).await {
        Ok(Ok(())) => sleep(REST).await,
        // From now on the poll has to do.
        Ok(Err(_)) => *listener = None,
        Err(_) => {}
    }
}

fn heading(standing: &RunStanding) -> String {
    let RunStanding { run, phase, worker, .. } = standing;
    format!("run {run}: {phase}, by worker {worker} since {}", time::stamp(standing.started_at))
}

fn ending(standing: &RunStanding) -> String {
    let ended = display::one_line(standing.ended.as_deref().unwrap_or_default(), 40);
    match standing.verdict {
        Some(verdict) => format!("run {} has ended: {ended}, {verdict}", standing.run),
        None => format!("run {} has ended: {ended}", standing.run),
    }
}

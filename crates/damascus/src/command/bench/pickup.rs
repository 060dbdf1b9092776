//! `damascus bench pickup`: how long an item that becomes ready waits for a worker on an idle system.
//!
//! Invariant: each item is made only after the one before has been picked up and the worker is idle again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use clap::Args;
use damascus_core::{Outcome, Question, RunReport, WorkPhase};
use damascus_engine::{Handlers, Mode, PhaseHandler, RunContext, Worker, WorkerSettings};
use damascus_store::{Store, bench};
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::measure::quantile;
use crate::context::Context;
use crate::service;

/// From ready to running on an idle system
#[derive(Debug, Args)]
#[command(long_about = "\
Makes one item at a time beside an idle worker and measures from just before the insert is sent to the start of its
handler: the insert, its commit, the notification, the claim and its commit, the start of the run.")]
pub(super) struct Pickup {
    /// Items
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    items: u32,
}

/// The shape of `--json`; milliseconds.
#[derive(Debug, Serialize)]
struct Measured {
    /// From the return of the insert's commit; 0 when the run began before that.
    after_commit_p50_ms: f64,
    /// The same.
    after_commit_p99_ms: f64,
    /// From before the insert was sent.
    whole_p50_ms: f64,
    /// The same.
    whole_p99_ms: f64,
    /// Items measured.
    items: usize,
}

#[derive(Default)]
struct Started {
    at: Mutex<Option<Instant>>,
    told: Notify,
}

/// Notes when it begins, and asks: the item is parked, and out of the way.
struct Stopwatch(Arc<Started>);

#[async_trait]
impl PhaseHandler for Stopwatch {
    async fn run(&self, _: RunContext) -> RunReport {
        *self.0.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.0.told.notify_one();
        let first = Question { text: "Measured?".to_owned(), options: Vec::new(), default: None };
        RunReport::free(Outcome::Ask { first, more: Vec::new() })
    }
}

impl Pickup {
    pub(super) async fn run(&self, context: &Context, store: &Store) -> Result<()> {
        let project = super::unlimited_project(store).await?;
        let id = service::register(store, "bench", 1).await?;
        let ports = service::ports_on(store, None);
        let started = Arc::new(Started::default());
        let handlers = Handlers::none().with(WorkPhase::Spec, Arc::new(Stopwatch(Arc::clone(&started))));
        let worker = Worker::new(id, store.clone(), handlers, ports, WorkerSettings::default());
        let stop = CancellationToken::new();
        let working = tokio::spawn(worker.run(Mode::Forever, stop.clone()));
        let (mut after_commit, mut whole) = (Vec::new(), Vec::new());
        for n in 0..self.items {
            let began = Instant::now();
            bench::seed_one_and_announce(store, project).await?;
            let committed = Instant::now();
            started.told.notified().await;
            let at = started.at.lock().unwrap_or_else(PoisonError::into_inner).take().context("the run has begun")?;
            // The first ones warm the connections up.
            if n >= self.items / 10 {
                after_commit.push(at.saturating_duration_since(committed).as_secs_f64() * 1000.0);
                whole.push(at.saturating_duration_since(began).as_secs_f64() * 1000.0);
            }
            bench::wait_until_idle(store).await?;
        }
        stop.cancel();
        working.await??;
        let of = |values: &[f64], part| quantile(values, part).context("nothing was measured");
        let measured = Measured {
            after_commit_p50_ms: of(&after_commit, 0.5)?,
            after_commit_p99_ms: of(&after_commit, 0.99)?,
            whole_p50_ms: of(&whole, 0.5)?,
            whole_p99_ms: of(&whole, 0.99)?,
            items: whole.len(),
        };
        if context.out.is_json() {
            return Ok(context.out.json(&measured)?);
        }
        context.out.line(format_args!(
            "from the commit that makes it ready to the start of its run: p50 {:.2} ms, p99 {:.2} ms\n\
             with the insert and its commit:                             p50 {:.2} ms, p99 {:.2} ms\n{} items",
            measured.after_commit_p50_ms,
            measured.after_commit_p99_ms,
            measured.whole_p50_ms,
            measured.whole_p99_ms,
            measured.items
        ))?;
        Ok(())
    }
}

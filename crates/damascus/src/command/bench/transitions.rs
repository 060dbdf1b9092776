//! `damascus bench transitions`: how many transitions a second, against a bare client in the same run.
//!
//! Invariant: worker and bare client take turns, on the same server, over as many items, in batches of the same size.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use damascus_core::{ProjectId, WorkerId};
use damascus_engine::{Handlers, Mode, NoOp, PhaseHandler, Ports, Worker, WorkerSettings};
use damascus_store::{Store, bench};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::measure::{cpu_time, median, resident_bytes};
use crate::context::Context;
use crate::service;

/// Phases that an item passes.
const PHASES: u64 = 4;

/// Transitions a second, beside a bare client that sends the same statements
#[derive(Debug, Args)]
#[command(long_about = "\
Items pass all four phases with handlers that do nothing, and a bare client does the same in turn: the same
statements in batches of the same size on one connection, without tasks, heartbeat or decisions. The ratio says what
the worker costs over the limit that the database sets.")]
pub(super) struct Transitions {
    /// Items in a round
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    items: u32,
    /// Rounds of each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Runs that the worker takes at once
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=512))]
    concurrency: u32,
}

/// The shape of `--json`; medians over the rounds.
#[derive(Debug, Serialize)]
struct Measured {
    /// Transitions a second of the worker.
    transitions_per_second: f64,
    /// Transitions a second of the bare client.
    bare_transitions_per_second: f64,
    /// The first over the second, round by round.
    ratio: f64,
    /// CPU seconds of this process (not of Postgres) in a thousand transitions.
    cpu_seconds_per_thousand: f64,
    /// Reports written in one commit, on average.
    batch: f64,
    /// Resident memory of this process, bytes.
    resident_bytes: u64,
    /// Rounds measured, after one that was not.
    rounds: usize,
}

struct Round {
    rate: f64,
    cpu_per_thousand: f64,
    batch: f64,
}

impl Transitions {
    pub(super) async fn run(&self, context: &Context, store: &Store) -> Result<()> {
        let project = super::unlimited_project(store).await?;
        let noop = NoOp::new()?;
        let ports = service::ports_on(store, None);
        let id = service::register(store, "bench", self.concurrency).await?;
        let mut rounds: Vec<(Round, f64)> = Vec::new();
        for n in 0..=self.rounds {
            let ours = self.worker_round(store, project, id, &ports, &noop).await?;
            let bare = self.bare_round(store, project, id, ours.batch, &noop).await?;
            context.out.note(format_args!(
                "round {n}{}: worker {:.0}/s in batches of {:.0}, bare client {bare:.0}/s",
                if n == 0 { " (warm-up, not counted)" } else { "" },
                ours.rate,
                ours.batch
            ));
            if n > 0 {
                rounds.push((ours, bare));
            }
        }
        report(context, &rounds)
    }

    async fn worker_round(
        &self,
        store: &Store,
        project: ProjectId,
        id: WorkerId,
        ports: &Ports,
        noop: &NoOp,
    ) -> Result<Round> {
        bench::seed(store, project, self.items.into()).await?;
        let handler: Arc<dyn PhaseHandler> = Arc::new(noop.clone());
        let settings = WorkerSettings { concurrency: usize::try_from(self.concurrency)?, ..WorkerSettings::default() };
        let worker = Worker::new(id, store.clone(), Handlers::for_all(&handler), ports.clone(), settings);
        let (cpu, began) = (cpu_time()?, Instant::now());
        let summary = Box::pin(worker.run(Mode::UntilIdle, CancellationToken::new())).await?;
        let (took, cpu) = (began.elapsed().as_secs_f64(), (cpu_time()? - cpu).as_secs_f64());
        let transitions = u64::from(self.items) * PHASES;
        ensure!(summary.reported == transitions, "{} of {transitions} transitions were made", summary.reported);
        Ok(Round {
            rate: transitions as f64 / took,
            cpu_per_thousand: cpu / transitions as f64 * 1000.0,
            batch: transitions as f64 / summary.commits.max(1) as f64,
        })
    }

    async fn bare_round(
        &self,
        store: &Store,
        project: ProjectId,
        id: WorkerId,
        batch: f64,
        noop: &NoOp,
    ) -> Result<f64> {
        bench::seed(store, project, self.items.into()).await?;
        let began = Instant::now();
        let run = bench::bare_client(store, id, batch.round() as usize, |phase| noop.proof(phase)).await?;
        let took = began.elapsed().as_secs_f64();
        ensure!(
            run.transitions == u64::from(self.items) * PHASES,
            "the bare client made {} transitions",
            run.transitions
        );
        Ok(run.transitions as f64 / took)
    }
}

fn report(context: &Context, rounds: &[(Round, f64)]) -> Result<()> {
    let middle = |value: fn(&(Round, f64)) -> f64| -> Result<f64> {
        median(&rounds.iter().map(value).collect::<Vec<_>>()).context("no round was measured")
    };
    let measured = Measured {
        transitions_per_second: middle(|(ours, _)| ours.rate)?,
        bare_transitions_per_second: middle(|(_, bare)| *bare)?,
        ratio: middle(|(ours, bare)| ours.rate / bare)?,
        cpu_seconds_per_thousand: middle(|(ours, _)| ours.cpu_per_thousand)?,
        batch: middle(|(ours, _)| ours.batch)?,
        resident_bytes: resident_bytes()?,
        rounds: rounds.len(),
    };
    if context.out.is_json() {
        return Ok(context.out.json(&measured)?);
    }
    context.out.line(format_args!(
        "worker       {:>9.0} transitions/s\nbare client  {:>9.0} transitions/s\nratio        {:>9.2}\n\
         CPU          {:>9.3} s per thousand transitions (this process)\nbatch        {:>9.1} reports a commit\n\
         memory       {:>9.1} MiB resident",
        measured.transitions_per_second,
        measured.bare_transitions_per_second,
        measured.ratio,
        measured.cpu_seconds_per_thousand,
        measured.batch,
        measured.resident_bytes as f64 / f64::from(1 << 20),
    ))?;
    Ok(())
}

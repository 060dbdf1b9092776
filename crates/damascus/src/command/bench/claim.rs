//! `damascus bench claim`: whether a claim costs the same however much is finished.
//!
//! Invariant: the finished items went through the writer that all items go through, so the table and its dead rows are as real use leaves them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use damascus_core::WorkPhase;
use damascus_store::{ClaimRequest, Store, bench};
use serde::Serialize;

use super::measure::quantile;
use crate::context::Context;
use crate::output::table::{Cell, Column, Table};
use crate::service;

/// Items that can be claimed beside the finished ones.
const READY: i64 = 1_000;
/// How often progress is told, in items.
const PROGRESS_EVERY: i64 = 250_000;

/// The latency of a claim beside ten thousand, a million, five million finished items
#[derive(Debug, Args)]
#[command(long_about = "\
Finishes more and more items in a scratch database and measures claims of one item beside them, with 1,000 items
ready. Five million finished items take several minutes and some gigabytes to make.")]
pub(super) struct Claim {
    /// Numbers of finished items to measure at, rising
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 1_000_000, 5_000_000])]
    finished: Vec<i64>,
    /// Claims measured at each
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    claims: u32,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Measured {
    /// Items finished before.
    finished: i64,
    /// Milliseconds, the whole call with its commit.
    p50_ms: f64,
    /// The same.
    p99_ms: f64,
    /// The median over that of the first line.
    ratio: f64,
}

impl Claim {
    pub(super) async fn run(&self, context: &Context, store: &Store) -> Result<()> {
        ensure!(
            self.finished.is_sorted() && self.finished.first().is_some_and(|&n| n >= 0),
            "--finished must rise from 0 or more"
        );
        let project = super::unlimited_project(store).await?;
        let worker = service::register(store, "bench", 1).await?;
        bench::seed(store, project, READY).await?;
        let request = ClaimRequest { worker, phases: vec![WorkPhase::Spec], max: 1, lease: Duration::from_secs(600) };
        let (mut there, mut lines): (i64, Vec<Measured>) = (0, Vec::new());
        for &finished in &self.finished {
            bench::seed_finished(store, project, finished - there, |done| {
                if done % PROGRESS_EVERY < 512 {
                    context.out.note(format_args!("{} finished items", there + done));
                }
            })
            .await?;
            there = finished;
            bench::vacuum(store).await?;
            let millis = self.measure(store, &request).await?;
            let of = |part| quantile(&millis, part).context("nothing was measured");
            let p50_ms = of(0.5)?;
            let ratio = lines.first().map_or(1.0, |first| p50_ms / first.p50_ms);
            lines.push(Measured { finished, p50_ms, p99_ms: of(0.99)?, ratio });
        }
        if context.out.is_json() {
            return Ok(context.out.json(&lines)?);
        }
        let mut table = Table::new(&[
            ("finished", Column::Right),
            ("p50 ms", Column::Right),
            ("p99 ms", Column::Right),
            ("ratio", Column::Right),
        ]);
        for line in &lines {
            table.row([
                Cell::from(line.finished.to_string()),
                Cell::from(format!("{:.3}", line.p50_ms)),
                Cell::from(format!("{:.3}", line.p99_ms)),
                Cell::from(format!("{:.2}", line.ratio)),
            ]);
        }
        Ok(context.out.table(&table, "nothing was measured")?)
    }

    /// Claims one by one, and hands all back at the end.
    async fn measure(&self, store: &Store, request: &ClaimRequest) -> Result<Vec<f64>> {
        let mut millis = Vec::new();
        for _ in 0..self.claims {
            let began = Instant::now();
            let claimed = store.claim(request).await?;
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
            ensure!(claimed.len() == 1, "a claim of one gave {}", claimed.len());
            let held: Vec<_> = claimed.iter().map(|lease| (lease.item, lease.epoch)).collect();
            store.hand_back(request.worker, &held).await?;
        }
        Ok(millis)
    }
}

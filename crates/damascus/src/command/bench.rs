//! `damascus bench`: benchmarks that anybody can run again on their own machine.
//!
//! Invariants: everything happens in a scratch database, which is dropped afterwards; a figure is given beside what limits it, measured in the
//! same run; nothing here passes or fails.

mod claim;
mod measure;
mod pickup;
mod transitions;

use anyhow::Result;
use clap::{Args, Subcommand};
use damascus_core::ProjectId;
use damascus_store::bench::Scratch;
use damascus_store::project::{ForgeKind, NewProject};

use crate::context::Context;
use crate::exit::Exit;

/// Measure this machine: transitions, pick-up, claims
#[derive(Debug, Args)]
#[command(long_about = "\
Measure what this machine and its database do. Each benchmark makes a scratch database on the configured server and
drops it afterwards; your data is not touched. Absolute figures vary with the machine; the ratios are what to compare.")]
pub struct Bench {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    Transitions(transitions::Transitions),
    Pickup(pickup::Pickup),
    Claim(claim::Claim),
}

impl Bench {
    /// Runs the benchmark.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let server = &context.database().await?.server;
        let scratch = Scratch::create(&server.options, std::process::id()).await?;
        let measured = match &self.which {
            Which::Transitions(bench) => bench.run(context, &scratch.store).await,
            Which::Pickup(bench) => bench.run(context, &scratch.store).await,
            Which::Claim(bench) => bench.run(context, &scratch.store).await,
        };
        scratch.remove().await?;
        measured.map(|()| Exit::Done)
    }
}

/// A project whose lanes have no limits: what is measured is the database and the worker.
async fn unlimited_project(store: &damascus_store::Store) -> Result<ProjectId> {
    let project = store.add_project(&NewProject::new("bench", ForgeKind::Local, "/nonexistent/bench")).await?;
    store.set_lane_concurrency("landing:bench", None).await?;
    Ok(project)
}

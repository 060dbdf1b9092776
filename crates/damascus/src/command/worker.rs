//! `damascus worker`: claims items and runs their phases.
//!
//! Invariant: it ends only when it is told to, or when the database fails in a way that no retry mends.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use damascus_engine::{Mode, phases};

use crate::config::keys;
use crate::context::Context;
use crate::exit::Exit;
use crate::{service, workshop};

/// Run a worker: claim items and run their phases
#[derive(Debug, Args)]
#[command(long_about = "\
Run a worker: it claims items in claim order (finish before you start, then priority, rank, age) and runs their
phases, each under a lease that it renews. Start as many as you like, on as many machines as can reach the
database; the caps of the installation, the projects and the lanes hold over all of them.

Work needs a scheduler somewhere for the scheduled jobs (`damascus scheduler`, or `damascus up` for both in one).")]
#[command(after_long_help = "\
Examples:
  damascus worker --concurrency 4")]
pub struct Worker {
    /// How many runs to take at once [default: worker.concurrency of the configuration]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    concurrency: Option<u32>,
}

/// The configuration key that `--concurrency` sets.
#[must_use]
pub fn concurrency_flag(concurrency: Option<u32>) -> BTreeMap<&'static str, String> {
    concurrency.map(|n| (keys::WORKER_CONCURRENCY.name, n.to_string())).into_iter().collect()
}

impl Worker {
    /// The keys of the configuration that flags set.
    #[must_use]
    pub fn flags(&self) -> BTreeMap<&'static str, String> {
        concurrency_flag(self.concurrency)
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// What keeps it from starting, and failures of the database that no retry mends.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let shutdown = service::shutdown_on_signal();
        let database = context.database().await?;
        let tools = workshop::open(config, &database.store).await?;
        let ports = service::ports(database);
        let worker = service::worker(&database.store, &ports, phases::handlers(&tools), &config.worker).await?;
        let running = worker.run(Mode::Forever, shutdown.clone());
        let Some(summary) = service::until_told_twice(&shutdown, Box::pin(running)).await else {
            return Ok(Exit::Interrupted);
        };
        let summary = summary?;
        tracing::info!(summary.reported, summary.handed_back, "stopped");
        Ok(Exit::Done)
    }
}

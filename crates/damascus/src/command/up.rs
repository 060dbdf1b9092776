//! `damascus up`: a worker and a scheduler in one process.
//!
//! Invariant: when one of the two ends, for whatever reason, the other is told to stop.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use damascus_engine::{Mode, phases};

use crate::command::worker::concurrency_flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::{service, workshop};

/// Run everything in one process: a worker and a scheduler
#[derive(Debug, Args)]
#[command(long_about = "\
Run everything in one process: a worker that advances items and a scheduler that looks after time.

Stop it with Ctrl-C or SIGTERM: it claims nothing new, lets the runs under way end within the grace period, hands
the others back, and ends. A second signal stops at once; what was under way is then found by its lease. Several
`up`, `worker` and `scheduler` processes may share a database, on one machine or many.")]
#[command(after_long_help = "\
Examples:
  damascus up
  damascus up --concurrency 4")]
pub struct Up {
    /// How many runs to take at once [default: worker.concurrency of the configuration]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    concurrency: Option<u32>,
}

impl Up {
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
        let scheduler = service::scheduler(&database.store, &ports, config).await?;
        let worker = service::worker(&database.store, &ports, phases::handlers(&tools), &config.worker).await?;
        let both = async {
            let stop = shutdown.clone();
            let scheduling = async {
                let ended = scheduler.run(stop.clone()).await;
                stop.cancel();
                ended
            };
            let working = async {
                let ended = worker.run(Mode::Forever, stop.clone()).await;
                stop.cancel();
                ended
            };
            tokio::join!(working, scheduling)
        };
        let Some((worked, scheduled)) = service::until_told_twice(&shutdown, Box::pin(both)).await else {
            return Ok(Exit::Interrupted);
        };
        scheduled?;
        let summary = worked?;
        tracing::info!(summary.reported, summary.handed_back, "stopped");
        Ok(Exit::Done)
    }
}

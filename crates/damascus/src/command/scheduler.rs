//! `damascus scheduler`: what happens because time passes.
//!
//! Invariant: any number may run; what is due happens once.

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::service;

/// Run a scheduler: leases that ran out, backoffs, gates, scheduled jobs
#[derive(Debug, Args)]
#[command(long_about = "\
Run a scheduler: it finds leases that ran out, wakes what backed off, evaluates gates and their deadlines, and does
the scheduled jobs (partitions and trimming of the event log, forgetting workers that are gone). Any number may run;
each tick happens once. `damascus up` contains one.")]
#[command(after_long_help = "\
Examples:
  damascus scheduler")]
pub struct Scheduler {}

impl Scheduler {
    /// Runs until it is stopped.
    ///
    /// # Errors
    /// What keeps it from starting, and failures of the database that no retry mends.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let shutdown = service::shutdown_on_signal();
        let database = context.database().await?;
        let ports = service::ports(database);
        let scheduler = service::scheduler(&database.store, &ports, config).await?;
        let running = scheduler.run(shutdown.clone());
        match service::until_told_twice(&shutdown, Box::pin(running)).await {
            None => Ok(Exit::Interrupted),
            Some(ended) => {
                ended?;
                tracing::info!("stopped");
                Ok(Exit::Done)
            }
        }
    }
}

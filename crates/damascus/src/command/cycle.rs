//! `damascus cycle`: one manual cycle.
//!
//! Invariant: it ends by itself: what backs off or waits for somebody is left as it is.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use damascus_engine::{Mode, phases};
use serde::Serialize;

use crate::command::worker::concurrency_flag;
use crate::context::Context;
use crate::exit::Exit;
use crate::{service, workshop};

/// Run one manual cycle: claim what is ready, run it, end
#[derive(Debug, Args)]
#[command(long_about = "\
Run one manual cycle: claim as many items as there is room for, run one phase of each, write what they report, and
end. With --until-idle it goes on until nothing can be claimed and nothing of its own is running; items that back
off, wait for a gate or for a person are left as they are.

You do not normally need this: a running `damascus up` or `damascus worker` is the automatic trigger.")]
#[command(after_long_help = "\
Examples:
  damascus cycle
  damascus cycle --until-idle --concurrency 4 --json")]
pub struct Cycle {
    /// Go on until nothing can be claimed any more
    #[arg(long)]
    until_idle: bool,
    /// How many runs to take at once [default: worker.concurrency of the configuration]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    concurrency: Option<u32>,
}

/// What a cycle did: the shape of `--json`.
#[derive(Debug, Serialize)]
struct Done {
    /// Runs that were claimed.
    claimed: u64,
    /// Reports that were written.
    reported: u64,
    /// Reports that were dropped, since their lease was gone.
    stale: u64,
    /// Leases that were handed back without a report.
    handed_back: u64,
}

impl Cycle {
    /// The keys of the configuration that flags set.
    #[must_use]
    pub fn flags(&self) -> BTreeMap<&'static str, String> {
        concurrency_flag(self.concurrency)
    }

    /// Runs one cycle.
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
        let mode = if self.until_idle { Mode::UntilIdle } else { Mode::Once };
        let running = worker.run(mode, shutdown.clone());
        let Some(summary) = service::until_told_twice(&shutdown, Box::pin(running)).await else {
            return Ok(Exit::Interrupted);
        };
        let summary = summary?;
        let done = Done {
            claimed: summary.claimed,
            reported: summary.reported,
            stale: summary.stale,
            handed_back: summary.handed_back,
        };
        if context.out.is_json() {
            context.out.json(&done)?;
        } else if done.claimed == 0 {
            context.out.line("nothing to do; `damascus status` shows what there is and what it waits for")?;
        } else {
            let Done { claimed, reported, stale, handed_back } = done;
            context
                .out
                .line(format_args!("{claimed} runs: {reported} reported, {stale} stale, {handed_back} handed back"))?;
        }
        Ok(if shutdown.is_cancelled() { Exit::Interrupted } else { Exit::Done })
    }
}

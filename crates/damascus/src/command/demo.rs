//! `damascus demo`: the example project from backlog to its end, on this machine, without any account.
//!
//! Invariants: only the answers of the model and of the agent are recorded; everything else is what a real project gets. It works in a folder
//! of its own and leaves the user's Damascus alone. It ends with 0 only when the end is the one that the example is made for.

mod follow;
mod person;
mod stage;
mod summary;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use damascus_engine::{Mode, phases};
use tokio::time::Instant;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;
use crate::service;
use stage::Stage;

/// How long the demo may take before it gives up.
const LIMIT: Duration = Duration::from_secs(300);

/// Run the example project to its end on this machine: no key, no forge, no account
#[derive(Debug, Args)]
#[command(long_about = "\
Run the example project to its end on this machine: no key, no forge, no account. Postgres, git, the sandbox, tests,
review and landing are real; only the answers of the model and of the coding agent are recorded.

The stories: one passes at once; one fails its review and is repaired from the feedback; one asks a question, waits
without holding up the others, is answered and goes on; one depends on another; one cheats and ends blocked. It works in
a folder of its own, which is removed at the end unless --keep is given, and leaves your own Damascus alone.")]
#[command(after_long_help = "\
Examples:
  damascus demo
  damascus demo --keep /tmp/bookshelf")]
pub struct Demo {
    /// Keep everything in this folder, which must not be there yet, to look around afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How many runs to take at once
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
}

impl Demo {
    /// Runs the demo.
    ///
    /// # Errors
    /// What is missing on this machine, with the way to it.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let began = Instant::now();
        let out = &context.out;
        out.tell(
            "This demo is real but for two things: the answers of the model and of the coding agent are recorded.",
        )?;
        let stage = Stage::set_up(context, self.keep.as_deref(), began).await?;
        let shutdown = service::shutdown_on_signal();
        let ended = self.advance(context, &stage, &shutdown, began).await;
        let shown = match ended {
            Ok(true) => Box::pin(summary::show(context, &stage, &shutdown, began)).await,
            Ok(false) => Ok(Exit::Interrupted),
            Err(error) => Err(error),
        };
        stage.take_down(context).await;
        shown
    }

    /// Lets the items run to their end; says whether they got there.
    async fn advance(
        &self,
        context: &Context,
        stage: &Stage,
        shutdown: &tokio_util::sync::CancellationToken,
        began: Instant,
    ) -> Result<bool> {
        let store = stage.store();
        let ports = service::ports(&stage.database);
        let config = crate::config::WorkerConfig { concurrency: self.concurrency, ..stage.config.worker.clone() };
        let worker = service::worker(store, &ports, phases::handlers(&stage.workshop), &config).await?;
        let stop = shutdown.child_token();
        let follower = follow::Follower::start(store, stage.project, began).await?;
        let working = async {
            let ended = worker.run(Mode::Forever, stop.clone()).await;
            stop.cancel();
            ended
        };
        let watching = async {
            let watched = tokio::time::timeout(LIMIT, follower.until_ended(context, store, &stop)).await;
            stop.cancel();
            watched
        };
        let (worked, watched, answered) = tokio::join!(
            Box::pin(working),
            watching,
            person::answer_questions(context, store, stage.project, &stop, began)
        );
        worked?;
        answered?;
        match watched {
            Ok(ended) => ended,
            Err(_) => Err(Problem::failed(
                "demo_unfinished",
                format!("the stories did not come to their end within {} s", LIMIT.as_secs()),
                "run it again with --keep DIR, then look with `damascus --home DIR/home status` and `item log`",
            )
            .into()),
        }
    }
}

/// The time since the demo began, as it stands before each line.
fn clock(began: Instant) -> String {
    format!("{:6.1} s", began.elapsed().as_secs_f64())
}

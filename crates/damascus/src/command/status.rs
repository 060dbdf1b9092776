//! `damascus status`: what is going on.
//!
//! Invariant: looking costs the database little: counts come from indexes over what is unfinished, and `--watch` spends at most a fifth of
//! its time asking.

mod view;
mod watch;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;

/// Show what is going on: items by phase, runs, lanes, workers, open questions.
#[derive(Debug, Args)]
#[command(long_about = "\
Show what is going on: unfinished items by project and phase, runs under way, lanes, workers, open issues.

READY can be claimed, RUNS are being run, WAIT is held, backs off, or waits for a gate. HUMAN and BLOCKED wait
for a person: see `damascus issue list`. Totals of what is finished are estimates once there is much of it.")]
#[command(after_long_help = "\
Examples:
  damascus status
  damascus status --watch --project shop
  damascus status --json | jq .queue.ready")]
pub struct Status {
    /// Redraw whenever something happens, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
    /// Only this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
}

impl Status {
    /// Shows the status, once or again and again.
    ///
    /// # Errors
    /// When the database or standard output fails.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let project = match &self.project {
            Some(name) => Some(store.resolve_project(name).await?),
            None => None,
        };
        if self.watch {
            watch::watch(&context.out, store, project).await?;
        } else {
            let status = store.status(project).await?;
            if context.out.is_json() {
                context.out.json(&status)?;
            } else {
                context.out.write(&view::draw(&status, &context.out))?;
            }
        }
        Ok(Exit::Done)
    }
}

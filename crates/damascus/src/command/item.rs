//! `damascus item`: the stories, and what people decide about them.
//!
//! Invariant: items are named by number, `project/key`, or a key that only one project has; a name that could mean several is refused.

mod create;
mod decide;
mod diff;
mod list;
mod log;
mod show;
mod story_file;
mod wait;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Create, list, show, log, diff, retry, cancel, hold, release and wait for items
#[derive(Debug, Args)]
#[command(long_about = "\
An item is one story of a project, on its way from spec to merged. ITEM is its number (42 or #42), project/key, or
a key that only one project has.")]
#[command(after_long_help = "\
Examples:
  damascus item create --project shop story.md
  damascus item list --project shop --phase build,review
  damascus item show shop/1-2-sign-in
  damascus item log 42 --follow
  damascus item wait 42 --timeout 2h")]
pub struct Item {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(create::Create),
    #[command(visible_alias = "ls")]
    List(list::List),
    Show(show::Show),
    Log(log::Log),
    Diff(diff::Diff),
    Retry(decide::Retry),
    Cancel(decide::Cancel),
    Hold(decide::Hold),
    Release(decide::Release),
    Wait(wait::Wait),
}

impl Item {
    /// Does what is asked.
    ///
    /// # Errors
    /// Those of the store and of standard output.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match &self.action {
            Action::Create(create) => create.run(context).await,
            Action::List(list) => list.run(context).await,
            Action::Show(show) => show.run(context).await,
            Action::Log(log) => log.run(context).await,
            Action::Diff(diff) => diff.run(context).await,
            Action::Retry(retry) => retry.run(context).await,
            Action::Cancel(cancel) => cancel.run(context).await,
            Action::Hold(hold) => hold.run(context).await,
            Action::Release(release) => release.run(context).await,
            Action::Wait(wait) => wait.run(context).await,
        }
    }
}

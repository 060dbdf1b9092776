//! `damascus import`: takes stories in from elsewhere.
//!
//! Invariant: importing again changes nothing that has not changed at the source, and never puts an item back.

mod bmad;
mod plan;
mod report;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::context::Context;
use crate::exit::Exit;

/// Take stories in from a repository
#[derive(Debug, Args)]
#[command(long_about = "\
Take stories in from a repository. Importing is idempotent: a story is known again by its key, one that changed at
the source is brought up to date while nothing has happened to it yet, and an item under way is never put back.")]
pub struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Bmad(bmad::Bmad),
}

impl Import {
    /// Imports.
    ///
    /// # Errors
    /// When nothing could be scanned, and those of the store.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match &self.what {
            What::Bmad(bmad) => bmad.run(context).await,
        }
    }
}

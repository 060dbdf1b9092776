//! `damascus import`: takes stories in from elsewhere.
//!
//! Invariant: importing again changes nothing that has not changed at the source, and never puts an item back.

mod bmad;
mod plan;
mod report;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};
use damascus_core::ProjectId;
use damascus_store::Store;

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

/// Takes the BMAD stories of a folder in, with the dependencies that they declare (and, with `order`, their order) as gates. Gives how many
/// items were made.
///
/// # Errors
/// When nothing could be scanned, and those of the store.
pub(super) async fn take_in(store: &Store, project: ProjectId, folder: &Path, order: bool) -> Result<usize> {
    bmad::take_in(store, project, folder, order).await
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

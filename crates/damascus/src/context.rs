//! What every command is given: the configuration, the output, and the database when it asks for it.
//!
//! Invariant: the database is opened at most once, and closed by [`Context::close`] however the command ended.

use std::path::PathBuf;

use anyhow::Result;
use damascus_store::Store;
use tokio::sync::OnceCell;

use crate::config::{Config, ConfigError};
use crate::database::Database;
use crate::output::Output;

/// Connections that a short command opens at most: one to read with, one for what it reads beside it.
const SHORT_COMMAND_CONNECTIONS: u32 = 2;

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// Where it writes.
    pub out: Output,
    config: Result<Config, ConfigError>,
    /// The `--home` that was given, for messages about a configuration that can't be read.
    pub home_flag: Option<PathBuf>,
    max_connections: u32,
    database: OnceCell<Database>,
}

impl Context {
    /// A context with what was read at the start.
    #[must_use]
    pub fn new(out: Output, config: Result<Config, ConfigError>, home_flag: Option<PathBuf>) -> Self {
        Self { out, config, home_flag, max_connections: SHORT_COMMAND_CONNECTIONS, database: OnceCell::new() }
    }

    /// The same for a command that needs more connections.
    #[must_use]
    pub fn with_max_connections(mut self, max_connections: u32) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    /// What was wrong with it.
    pub fn config(&self) -> Result<&Config, ConfigError> {
        self.config.as_ref().map_err(|error| ConfigError {
            place: error.place.clone(),
            problem: error.problem.clone(),
            next: error.next.clone(),
        })
    }

    /// The database; opened at the first call.
    ///
    /// # Errors
    /// Those of the configuration and of [`Database::open`].
    pub async fn database(&self) -> Result<&Database> {
        let config = self.config()?;
        self.database.get_or_try_init(|| Database::open(config, self.max_connections)).await
    }

    /// The store; opened at the first call.
    ///
    /// # Errors
    /// Those of [`Context::database`].
    pub async fn store(&self) -> Result<&Store> {
        Ok(&self.database().await?.store)
    }

    /// Closes what was opened.
    pub async fn close(self) {
        if let Some(database) = self.database.into_inner() {
            database.close().await;
        }
    }
}

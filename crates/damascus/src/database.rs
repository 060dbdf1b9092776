//! The database of this process: the given one, or a share in the Postgres that Damascus manages itself.
//!
//! Invariant: a share in the managed server is kept until [`Database::close`], which closes the connections first; the last process to
//! give its share back stops the server.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use damascus_postgres::{ManagedPostgres, Options};
use damascus_store::{ConnectOptions, Store, StoreError};

use crate::config::Config;
use crate::failure::Problem;

/// The name of the database in a managed cluster.
pub const MANAGED_DATABASE: &str = "damascus";

/// Where the database is, and our share in its server if that is managed.
#[derive(Debug)]
pub struct Server {
    /// How to connect.
    pub options: ConnectOptions,
    /// Our share in the managed server; nothing when the database was given.
    pub managed: Option<Arc<ManagedPostgres>>,
}

impl Server {
    /// Finds the given database, or takes a share in the managed server. `make` allows to make a cluster where there is none yet.
    ///
    /// # Errors
    /// [`StoreError::BadAddress`]; a [`Problem`] when there is no cluster and none may be made; any error of the supervisor.
    pub async fn find(config: &Config, make: bool) -> Result<Self> {
        if let Some(url) = &config.database_url {
            let options = ConnectOptions::parse(url.expose())?;
            return Ok(Self { options, managed: None });
        }
        if !make && !has_cluster(&config.home) {
            return Err(not_initialised(&config.home).into());
        }
        let options = postgres_options(config);
        let managed = tokio::task::spawn_blocking(move || ManagedPostgres::acquire(&options))
            .await
            .context("the supervisor of Postgres broke off")??;
        tracing::debug!(origin = ?managed.origin(), "the managed Postgres server answers");
        let options = ConnectOptions::parse(&managed.url(MANAGED_DATABASE))?;
        Ok(Self { options, managed: Some(Arc::new(managed)) })
    }

    /// Gives the share back.
    pub async fn release(self) {
        let Some(managed) = self.managed else { return };
        // Dropping waits for the server to stop, and logs what goes wrong.
        if tokio::task::spawn_blocking(move || drop(managed)).await.is_err() {
            tracing::warn!("the supervisor of Postgres broke off");
        }
    }
}

/// An open store and the server under it.
#[derive(Debug)]
pub struct Database {
    /// The store.
    pub store: Store,
    /// The server.
    pub server: Server,
}

impl Database {
    /// Opens the store of this configuration with at most so many connections, and refuses a schema that is not this binary's.
    ///
    /// # Errors
    /// Those of [`Server::find`] and [`Store::open`].
    pub async fn open(config: &Config, max_connections: u32) -> Result<Self> {
        let mut server = Server::find(config, false).await?;
        server.options.max_connections = max_connections;
        if server.managed.is_none() {
            server.options.probe().await?;
        }
        match Store::open(server.options.clone()).await {
            Ok(store) => Ok(Self { store, server }),
            Err(error) => {
                server.release().await;
                Err(explain(error, config))
            }
        }
    }

    /// Closes the connections and gives the share in the server back.
    pub async fn close(self) {
        self.store.close().await;
        self.server.release().await;
    }
}

/// A home folder whose `init` was interrupted has a server without our database.
fn explain(error: StoreError, config: &Config) -> anyhow::Error {
    match &error {
        StoreError::Unreachable { source, .. } if config.database_url.is_none() => {
            anyhow::Error::from(Problem::failed(
                "not_initialised",
                format!("the database under {} can't be opened: {source}", config.home.display()),
                "run `damascus init`; `damascus doctor` looks closer",
            ))
        }
        _ => error.into(),
    }
}

/// Whether a home folder holds a managed cluster.
#[must_use]
pub fn has_cluster(home: &Path) -> bool {
    home.join("postgres").is_dir()
}

/// How the managed cluster of this configuration is run.
#[must_use]
pub fn postgres_options(config: &Config) -> Options {
    let mut options = Options::new(&config.home);
    options.bin_dir.clone_from(&config.postgres_bin);
    options.user.clone_from(&config.postgres_user);
    options.search_path = std::env::var_os("PATH");
    options
}

fn not_initialised(home: &Path) -> Problem {
    Problem::failed(
        "not_initialised",
        format!("there is no Damascus in {} yet, and DATABASE_URL is not set", home.display()),
        "run `damascus init`, or set DATABASE_URL (or --home) to where your Damascus is",
    )
}

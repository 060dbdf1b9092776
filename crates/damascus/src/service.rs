//! What the long-running commands share: the ports of the engine, registration, stopping in order.
//!
//! Invariant: the first signal asks for an orderly end, the second ends at once; what was under way is then found by its lease.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use damascus_adapters::broker::postgres::PostgresBroker;
use damascus_adapters::randomness::SystemRandomness;
use damascus_core::WorkerId;
use damascus_engine::{Handlers, Ports, Recovery, Scheduler, Worker, WorkerSettings};
use damascus_postgres::ManagedPostgres;
use damascus_store::{Registration, Store};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, WorkerConfig};
use crate::database::Database;
use crate::signals;

/// Connections of a service: the loop, the heartbeat, the scheduler, and one to spare.
pub const CONNECTIONS: u32 = 6;

/// The real world, as the engine sees it.
#[must_use]
pub fn ports(database: &Database) -> Ports {
    ports_on(&database.store, database.server.managed.clone())
}

/// The real world around any store; `managed` is the server under it, where that is ours to revive.
#[must_use]
pub fn ports_on(store: &Store, managed: Option<Arc<ManagedPostgres>>) -> Ports {
    Ports {
        wakeups: Arc::new(PostgresBroker::start(store.clone())),
        randomness: Arc::new(SystemRandomness),
        recovery: Arc::new(Revive(managed)),
    }
}

/// Starts the managed server again when it died; waits for a given one.
struct Revive(Option<Arc<ManagedPostgres>>);

#[async_trait]
impl Recovery for Revive {
    async fn database_lost(&self) {
        let Some(managed) = self.0.clone() else { return };
        match tokio::task::spawn_blocking(move || managed.ensure_running()).await {
            Ok(Ok(found)) => tracing::debug!(?found, "looked after the managed Postgres server"),
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the managed Postgres server can't be started"
            ),
            Err(error) => tracing::error!(%error, "the supervisor of Postgres broke off"),
        }
    }
}

/// A token that the first signal cancels. The second ends `run` at once; see [`until_told_twice`].
#[must_use]
pub fn shutdown_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        signals::asked_to_end().await;
        tracing::info!("stopping: no new claims, runs under way get their grace period; a second signal stops at once");
        told.cancel();
    });
    token
}

/// Runs a service to its end, or until it is told a second time to stop.
pub async fn until_told_twice<T>(shutdown: &CancellationToken, service: impl Future<Output = T>) -> Option<T> {
    let told_twice = async {
        shutdown.cancelled().await;
        signals::asked_to_end().await;
    };
    tokio::select! {
        ended = service => Some(ended),
        () = told_twice => None,
    }
}

/// Registers this process under a role.
///
/// # Errors
/// Those of the store.
pub async fn register(store: &Store, role: &str, concurrency: u32) -> Result<WorkerId> {
    let registration = Registration {
        name: role.to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        concurrency,
    };
    Ok(store.register_worker(&registration).await?)
}

/// A registered worker.
///
/// # Errors
/// Those of the store.
pub async fn worker(store: &Store, ports: &Ports, handlers: Handlers, config: &WorkerConfig) -> Result<Worker> {
    let id = register(store, "worker", config.concurrency).await?;
    let settings =
        WorkerSettings { concurrency: usize::try_from(config.concurrency)?, lease: config.lease, grace: config.grace };
    tracing::info!(worker.id = id.0, concurrency = config.concurrency, "worker ready");
    Ok(Worker::new(id, store.clone(), handlers, ports.clone(), settings))
}

/// A registered scheduler. The installation's limits are set from the configuration.
///
/// # Errors
/// Those of the store.
pub async fn scheduler(store: &Store, ports: &Ports, config: &Config) -> Result<Scheduler> {
    if let Some(limit) = config.global_concurrency {
        store.set_global_concurrency(Some(limit)).await?;
    }
    let id = register(store, "scheduler", 0).await?;
    tracing::info!(worker.id = id.0, "scheduler ready");
    let retention = u16::try_from(config.events_retention_days).unwrap_or(u16::MAX);
    Ok(Scheduler::new(id, store.clone(), ports.clone(), retention))
}

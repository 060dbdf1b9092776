//! Reading who works.
//!
//! Invariant: a process counts as live until it said that it stopped; whether it is well is told by the age of its heartbeat, by the
//! database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::WorkerId;
use serde::Serialize;

use crate::{Store, StoreError};

/// A heartbeat older than this means that the process hangs, is cut off, or died: longer than any lease is normally left without one.
pub const STALE_HEARTBEAT: Duration = Duration::from_secs(120);
/// The most workers that are listed.
const MAX_WORKERS: i64 = 200;

/// A worker or scheduler process that has not said that it stopped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerRow {
    /// Its id.
    pub id: WorkerId,
    /// Its role, such as `worker`.
    pub name: String,
    /// The machine.
    pub host: String,
    /// The process id there.
    pub pid: i32,
    /// The version of Damascus that it runs.
    pub version: String,
    /// How many runs it takes at once.
    pub concurrency: i32,
    /// How many it has.
    pub running: i64,
    /// When it registered.
    pub started_at: DateTime<Utc>,
    /// When it last renewed.
    pub heartbeat_at: DateTime<Utc>,
    /// How old that heartbeat is, in seconds.
    pub heartbeat_age_seconds: f64,
    /// Whether that is too old.
    pub stale: bool,
}

impl Store {
    /// The live workers and schedulers, the freshest heartbeat first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        live_workers(&mut connection).await
    }
}

pub(crate) async fn live_workers(connection: &mut sqlx::PgConnection) -> Result<Vec<WorkerRow>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT w.id, w.name, w.host, w.pid, w.version, w.concurrency, w.started_at, w.heartbeat_at, coalesce(r.n, 0) AS "running!",
               extract(epoch FROM clock_timestamp() - w.heartbeat_at)::float8 AS "age!"
        FROM workers w
        LEFT JOIN (SELECT lease_owner, count(*) AS n FROM work_items WHERE lease_owner IS NOT NULL GROUP BY lease_owner) r
               ON r.lease_owner = w.id
        WHERE w.stopped_at IS NULL ORDER BY w.heartbeat_at DESC, w.id DESC LIMIT $1
        "#,
        MAX_WORKERS,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| WorkerRow {
        id: WorkerId(row.id),
        name: row.name,
        host: row.host,
        pid: row.pid,
        version: row.version,
        concurrency: row.concurrency,
        running: row.running,
        started_at: row.started_at,
        heartbeat_at: row.heartbeat_at,
        heartbeat_age_seconds: row.age,
        stale: row.age > STALE_HEARTBEAT.as_secs_f64(),
    });
    Ok(rows.collect())
}

//! Worker and scheduler processes say that they are there.
//!
//! Invariant: a process's row is committed before it claims anything, so that its id is its own even after a crash of the server.

use damascus_core::{WorkerId, display};

use crate::{Store, StoreError};

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its role, such as `worker`.
    pub name: String,
    /// The machine's name.
    pub host: String,
    /// The process id there.
    pub pid: u32,
    /// The version of Damascus.
    pub version: String,
    /// How many runs it takes at once; 0 for a scheduler.
    pub concurrency: u32,
}

impl Store {
    /// Registers a process, and gives its id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn register_worker(&self, registration: &Registration) -> Result<WorkerId, StoreError> {
        let id = sqlx::query_scalar!(
            "INSERT INTO workers (name, host, pid, version, concurrency) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            display::one_line(&registration.name, 100),
            display::one_line(&registration.host, 255),
            i32::try_from(registration.pid).unwrap_or(i32::MAX),
            display::one_line(&registration.version, 100),
            i32::try_from(registration.concurrency).unwrap_or(i32::MAX),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(WorkerId(id))
    }

    /// Says that a process has shut down in order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn worker_stopped(&self, worker: WorkerId) -> Result<(), StoreError> {
        sqlx::query!("UPDATE workers SET stopped_at = clock_timestamp() WHERE id = $1", worker.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

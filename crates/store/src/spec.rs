//! Accepted specs.
//!
//! Invariants: a spec is stored under its run's lease; versions count from 1 within the item; a stored one is never changed. The same spec
//! again is the same version, so that a run which is repeated after a crash stores nothing twice.

use chrono::{DateTime, Utc};
use damascus_core::{Digest, ItemId, RunId, Spec};
use serde_json::Value;
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::hold::hold;
use crate::{Lease, Store, StoreError, input};

/// How long a spec may be, as canonical JSON, in bytes.
pub const SPEC_MAX_BYTES: usize = 1 << 20;
/// The most versions that a list gives.
pub const MAX_SPECS: i64 = 100;

/// An accepted spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSpec {
    /// Counts from 1 within the item.
    pub version: u32,
    /// Hash of the canonical JSON.
    pub sha256: Digest,
    /// The spec, as [`damascus_core::Spec`] is written.
    pub body: Value,
    /// The run that made it.
    pub run: RunId,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
}

/// The columns of a spec.
struct Columns {
    id: i64,
    version: i32,
    sha256: String,
    body: Value,
    run_id: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Columns> for StoredSpec {
    type Error = StoreError;

    fn try_from(row: Columns) -> Result<Self, StoreError> {
        let at = RowRef { table: "specs", id: row.id };
        Ok(Self {
            version: u32::try_from(row.version).map_err(|error| at.wrong(error))?,
            sha256: Digest::try_from(row.sha256).map_err(|error| at.wrong(error))?,
            body: row.body,
            run: RunId(row.run_id),
            created_at: row.created_at,
        })
    }
}

impl Store {
    /// Stores an accepted spec as the item's next version; if the latest version is the same, that one is given back.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the lease is gone; [`StoreError::Invalid`] for one that is too large; [`StoreError::Database`].
    pub async fn add_spec(&self, lease: &Lease, spec: &Spec) -> Result<StoredSpec, StoreError> {
        let body = serde_json::to_value(spec).map_err(|error| input::wrong("spec", error))?;
        input::json("spec", &body, SPEC_MAX_BYTES)?;
        let sha256 = spec.sha256();
        let mut tx = self.pool.begin().await?;
        hold(&mut tx, lease).await?;
        // Under the item's lock nobody else adds a version.
        let latest = latest(&mut tx, lease.item).await?;
        if let Some(same) = latest.as_ref().filter(|latest| latest.sha256 == sha256) {
            return Ok(same.clone());
        }
        let version = latest.map_or(1, |latest| latest.version.saturating_add(1));
        let stored = sqlx::query_as!(
            Columns,
            r#"
            INSERT INTO specs (item_id, version, sha256, body, run_id, created_at) VALUES ($1, $2, $3, $4, $5, clock_timestamp())
            RETURNING id, version, sha256, body, run_id, created_at
            "#,
            lease.item.0,
            i32::try_from(version).unwrap_or(i32::MAX),
            sha256.as_str(),
            body,
            lease.run.0,
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        stored.try_into()
    }

    /// The versions of an item's spec, newest first, at most [`MAX_SPECS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn specs_of(&self, item: ItemId) -> Result<Vec<StoredSpec>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        newest(&mut connection, item, MAX_SPECS).await
    }
}

/// The latest version.
pub(crate) async fn latest(connection: &mut PgConnection, item: ItemId) -> Result<Option<StoredSpec>, StoreError> {
    Ok(newest(connection, item, 1).await?.pop())
}

async fn newest(connection: &mut PgConnection, item: ItemId, limit: i64) -> Result<Vec<StoredSpec>, StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        "SELECT id, version, sha256, body, run_id, created_at FROM specs WHERE item_id = $1 ORDER BY version DESC LIMIT $2",
        item.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(StoredSpec::try_from).collect()
}

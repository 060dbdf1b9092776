//! Claiming: handing out work under a lease.
//!
//! The statements are database functions (`claim_items`, `finish_and_claim`): one round trip each, its commit included, so that a worker which
//! is stopped in the middle of a call does not sit on the lock that all claims need.
//!
//! Invariants: an item has at most one lease; the caps of all lanes hold over all workers, since claims are made one at a time and count the
//! leases afresh; a claim reads the queue's index only, whose size does not depend on what is finished.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::{Backoff, Budget, Epoch, ItemId, ItemState, Named, Policy, ProjectId, RunId, Stage, WorkPhase, WorkerId};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::decode::RowRef;
use crate::{Applied, Move, Store, StoreError, apply};

/// The most items that one claim takes.
pub const MAX_CLAIM: usize = 512;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who asks.
    pub worker: WorkerId,
    /// The phases that it can run.
    pub phases: Vec<WorkPhase>,
    /// How many items it has room for, at most [`MAX_CLAIM`].
    pub max: usize,
    /// How long the lease is to hold without a heartbeat.
    pub lease: Duration,
}

impl ClaimRequest {
    fn phase_names(&self) -> Vec<&'static str> {
        self.phases.iter().map(|&phase| phase.name()).collect()
    }

    fn places(&self) -> i64 {
        i64::try_from(self.max.min(MAX_CLAIM)).unwrap_or(i64::MAX)
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A lease on one item for one run, with all that [`damascus_core::step`] needs to judge its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The item.
    pub item: ItemId,
    /// Its project.
    pub project: ProjectId,
    /// The run.
    pub run: RunId,
    /// Who holds it.
    pub worker: WorkerId,
    /// The phase to run.
    pub phase: WorkPhase,
    /// The number of the lease; every write says it.
    pub epoch: Epoch,
    /// What the item has used.
    pub budget: Budget,
    /// The limits that hold for it.
    pub policy: Policy,
    /// When the lease runs out unless renewed, by the database's clock.
    pub until: DateTime<Utc>,
}

impl Lease {
    /// The state of the item under this lease.
    #[must_use]
    pub const fn state(&self) -> ItemState {
        ItemState { stage: Stage::Working(self.phase), budget: self.budget }
    }
}

/// A lease as the database function gives it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseRow {
    item_id: i64,
    project_id: i64,
    phase: String,
    epoch: i64,
    run_id: i64,
    lease_until: DateTime<Utc>,
    granted: i16,
    used: i16,
    infra: i16,
    moves: i16,
    tampers: i16,
    max_infra_failures: i16,
    max_moves: i16,
    backoff_base_ms: i32,
    backoff_cap_ms: i32,
}

impl LeaseRow {
    fn lease(self, worker: WorkerId) -> Result<Lease, StoreError> {
        let at = RowRef::item(self.item_id);
        Ok(Lease {
            item: ItemId(self.item_id),
            project: ProjectId(self.project_id),
            run: RunId(self.run_id),
            worker,
            phase: at.work_phase(&self.phase)?,
            epoch: Epoch(self.epoch),
            budget: at.budget(self.granted, self.used, self.infra, self.moves, self.tampers)?,
            policy: policy(
                self.project_id,
                self.max_infra_failures,
                self.max_moves,
                self.backoff_base_ms,
                self.backoff_cap_ms,
            )?,
            until: self.lease_until,
        })
    }
}

impl Store {
    /// Claims up to `request.max` items in claim order.
    ///
    /// A claim that is lost in a crash is only claimed again, so its commit does not wait for the disk.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Lease>, StoreError> {
        let rows = sqlx::query_scalar!(
            r#"SELECT lease AS "lease!: Json<LeaseRow>" FROM claim_lightly($1, $2::text[]::phase[], $3, $4) AS lease"#,
            request.worker.0,
            &request.phase_names() as _,
            request.places(),
            request.lease_ms(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|Json(row)| row.lease(request.worker)).collect()
    }

    /// Writes what finished runs reported and claims the next items: one round trip, one commit.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`], [`StoreError::Invalid`]; then nothing was written, or (when the connection broke
    /// during the commit) all was: a repetition is safe either way, since what was written makes its moves stale.
    pub async fn finish_and_claim(
        &self,
        moves: &[Move],
        request: &ClaimRequest,
    ) -> Result<(Applied, Vec<Lease>), StoreError> {
        let mut connection = self.pool.acquire().await?;
        let done = finish_and_claim(&mut connection, apply::document(moves)?, request).await?;
        Ok((Applied::of(moves, done.written, done.claimable), done.leases))
    }
}

/// What the database function of the same name did.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) written: Vec<ItemId>,
    pub(crate) claimable: usize,
    pub(crate) leases: Vec<Lease>,
}

/// Writes a batch that is a document already.
pub(crate) async fn finish_and_claim(
    connection: &mut PgConnection,
    batch: Value,
    request: &ClaimRequest,
) -> Result<Finished, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT written, claimable, lease AS "lease: Json<LeaseRow>" FROM finish_and_claim($1, $2, $3::text[]::phase[], $4, $5)"#,
        batch,
        request.worker.0,
        &request.phase_names() as _,
        request.places(),
        request.lease_ms(),
    )
    .fetch_all(connection)
    .await?;
    let mut finished = Finished::default();
    for row in rows {
        finished.claimable += usize::from(row.claimable == Some(true));
        finished.written.extend(row.written.map(ItemId));
        if let Some(Json(lease)) = row.lease {
            finished.leases.push(lease.lease(request.worker)?);
        }
    }
    Ok(finished)
}

/// Wakes workers that wait for something to claim, when the transaction commits.
pub(crate) async fn announce_work(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify('damascus_work', '')").execute(connection).await?;
    Ok(())
}

/// The policy of a project, from its columns.
pub(crate) fn policy(
    project: i64,
    max_infra_failures: i16,
    max_moves: i16,
    backoff_base_ms: i32,
    backoff_cap_ms: i32,
) -> Result<Policy, StoreError> {
    let at = RowRef { table: "projects", id: project };
    let ms = |column: &str, value: i32| u32::try_from(value).map_err(|_| at.wrong(format_args!("{column} is {value}")));
    Ok(Policy {
        max_infra_failures: at.positive("max_infra_failures", max_infra_failures)?,
        max_moves: at.positive("max_moves", max_moves)?,
        backoff: Backoff {
            base_ms: ms("backoff_base_ms", backoff_base_ms)?,
            cap_ms: ms("backoff_cap_ms", backoff_cap_ms)?,
        },
        ..Policy::default()
    })
}

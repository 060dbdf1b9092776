//! Claiming: handing out work under a lease.
//!
//! The statements are database functions (`claim_items`, `finish_and_claim`): one round trip each, its commit included, so that a worker which
//! is stopped in the middle of a call does not sit on the lock that all claims need.
//!
//! Invariants: an item has at most one lease; the caps of all lanes hold over all workers, since claims are made one at a time and count the
//! leases afresh; a claim reads the queue's index only, whose size does not depend on what is finished.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::{
    Backoff, Budget, Epoch, ItemId, ItemState, Named, Policy, ProjectId, RunId, Stage, WorkPhase, WorkerId,
};
use serde_json::Value;
use sqlx::PgConnection;

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

/// A lease as the database functions give it; a row without an item is none.
#[derive(Debug)]
struct LeaseRow {
    item_id: Option<i64>,
    project_id: Option<i64>,
    phase: Option<String>,
    epoch: Option<i64>,
    run_id: Option<i64>,
    lease_until: Option<DateTime<Utc>>,
    granted: Option<i16>,
    used: Option<i16>,
    infra: Option<i16>,
    moves: Option<i16>,
    tampers: Option<i16>,
    max_infra_failures: Option<i16>,
    max_moves: Option<i16>,
    backoff_base_ms: Option<i32>,
    backoff_cap_ms: Option<i32>,
    written: Option<i64>,
    claimable: Option<bool>,
}

impl LeaseRow {
    fn lease(self, item: i64, worker: WorkerId) -> Result<Lease, StoreError> {
        let at = RowRef::item(item);
        let whole = || at.wrong("it was claimed without all of its columns");
        let project = self.project_id.ok_or_else(whole)?;
        Ok(Lease {
            item: ItemId(item),
            project: ProjectId(project),
            run: RunId(self.run_id.ok_or_else(whole)?),
            worker,
            phase: at.work_phase(&self.phase.ok_or_else(whole)?)?,
            epoch: Epoch(self.epoch.ok_or_else(whole)?),
            budget: at.budget(
                self.granted.ok_or_else(whole)?,
                self.used.ok_or_else(whole)?,
                self.infra.ok_or_else(whole)?,
                self.moves.ok_or_else(whole)?,
                self.tampers.ok_or_else(whole)?,
            )?,
            policy: policy(
                project,
                self.max_infra_failures.ok_or_else(whole)?,
                self.max_moves.ok_or_else(whole)?,
                self.backoff_base_ms.ok_or_else(whole)?,
                self.backoff_cap_ms.ok_or_else(whole)?,
            )?,
            until: self.lease_until.ok_or_else(whole)?,
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
        let rows = sqlx::query_as!(
            LeaseRow,
            r#"SELECT item_id, project_id, phase::text, epoch, run_id, lease_until, granted, used, infra, moves, tampers,
                      max_infra_failures, max_moves, backoff_base_ms, backoff_cap_ms, NULL::bigint AS written, NULL::boolean AS claimable
               FROM claim_lightly($1, $2::text[]::phase[], $3, $4)"#,
            request.worker.0,
            &request.phase_names() as _,
            request.places(),
            request.lease_ms(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().filter_map(|row| row.item_id.map(|item| row.lease(item, request.worker))).collect()
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
        // More items became ready, or more places in lanes free, than this worker took: others may have room, or run other phases.
        if done.written.len() > done.leases.len() {
            announce_work(&mut connection).await?;
        }
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
    let rows = sqlx::query_as!(
        LeaseRow,
        r#"SELECT item_id, project_id, phase::text, epoch, run_id, lease_until, granted, used, infra, moves, tampers,
                  max_infra_failures, max_moves, backoff_base_ms, backoff_cap_ms, written, claimable
           FROM finish_and_claim($1, $2, $3::text[]::phase[], $4, $5)"#,
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
        if let Some(item) = row.item_id {
            finished.leases.push(row.lease(item, request.worker)?);
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

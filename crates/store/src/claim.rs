//! Claiming: handing out work under a lease.
//!
//! Invariants: an item has at most one lease; the caps of all lanes hold over all workers, since claims are made one at a time and count the
//! leases afresh; a claim reads the queue's index only, whose size does not depend on what is finished.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::{Backoff, Budget, Epoch, ItemId, ItemState, Named, Policy, ProjectId, RunId, Stage, WorkPhase, WorkerId};
use sqlx::{Connection as _, PgConnection};

use crate::decode::RowRef;
use crate::{Applied, Move, Store, StoreError, apply};

/// The advisory lock under which claims are made, one at a time: the count of leases must not change between counting and claiming.
const CLAIM_LOCK: i64 = 0x6461_6d61_7363_7573;

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

impl Store {
    /// Claims up to `request.max` items in claim order.
    ///
    /// A claim that is lost in a crash is only claimed again, so its commit does not wait for the disk.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Lease>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN; SET LOCAL synchronous_commit = off").await?;
        let leases = claim(&mut tx, request).await?;
        tx.commit().await?;
        Ok(leases)
    }

    /// Writes what finished runs reported and claims the next items, in one commit.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`], [`StoreError::Invalid`]; then nothing was written, or (when the connection broke
    /// during the commit) all was: a repetition is safe either way, since what was written makes its moves stale.
    pub async fn finish_and_claim(
        &self,
        moves: &[Move],
        request: &ClaimRequest,
    ) -> Result<(Applied, Vec<Lease>), StoreError> {
        let mut tx = self.pool.begin().await?;
        let applied = apply::apply(&mut tx, moves).await?;
        let leases = if request.max == 0 { Vec::new() } else { claim(&mut tx, request).await? };
        if applied.claimable > leases.len() || (request.max == 0 && !applied.written.is_empty()) {
            // More became ready than this worker took, or places in lanes that it does not take itself: others may have room.
            announce_work(&mut tx).await?;
        }
        tx.commit().await?;
        Ok((applied, leases))
    }
}

/// Wakes workers that wait for something to claim, when the transaction commits.
pub(crate) async fn announce_work(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_notify('damascus_work', '')").execute(connection).await?;
    Ok(())
}

/// Claims within a transaction of the caller's.
pub(crate) async fn claim(connection: &mut PgConnection, request: &ClaimRequest) -> Result<Vec<Lease>, StoreError> {
    // A statement of its own: the one that counts leases needs a snapshot from after the lock was had.
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CLAIM_LOCK).execute(&mut *connection).await?;
    let phases: Vec<&str> = request.phases.iter().map(|&phase| phase.name()).collect();
    let max = i64::try_from(request.max.min(MAX_CLAIM)).unwrap_or(i64::MAX);
    let rows = sqlx::query!(
        r#"
        WITH running AS (
            SELECT project_id, phase, count(*) AS n FROM work_items WHERE lease_owner IS NOT NULL GROUP BY project_id, phase
        ), room AS (
            -- Free places in each lane; null where there is no limit.
            SELECT l.id AS lane_id, CASE WHEN l.opens_at > clock_timestamp() THEN 0
                                         ELSE l.concurrency - coalesce(u.n, 0) END AS free
            FROM lanes l
            LEFT JOIN (SELECT pl.lane_id, sum(r.n)::bigint AS n FROM running r JOIN phase_lanes pl USING (project_id, phase)
                       GROUP BY pl.lane_id) u ON u.lane_id = l.id
        ), open AS (
            SELECT pl.project_id, pl.phase, min(room.free) AS free,
                   CASE pl.phase WHEN 'merge' THEN 0 WHEN 'review' THEN 1 WHEN 'build' THEN 2 ELSE 3 END AS class
            FROM phase_lanes pl
            JOIN room ON room.lane_id = pl.lane_id
            JOIN projects p ON p.id = pl.project_id AND p.paused_at IS NULL
            WHERE pl.phase = ANY($2::text[]::phase[])
            GROUP BY pl.project_id, pl.phase
            HAVING coalesce(min(room.free), 1) > 0
        ), candidates AS MATERIALIZED (
            SELECT o.project_id, o.phase, c.id, o.class, c.priority, c.rank
            FROM open o
            CROSS JOIN LATERAL (SELECT w.id, w.priority, w.rank FROM work_items w
                                WHERE w.project_id = o.project_id AND w.claim_class = o.class
                                ORDER BY w.priority, w.rank, w.id LIMIT least($3::bigint, o.free)) c
        ), crowded AS (
            -- A lane that several projects or phases share may have less room than each of them saw.
            SELECT c.id, room.free,
                   row_number() OVER (PARTITION BY pl.lane_id ORDER BY c.class, c.priority, c.rank, c.id) AS place
            FROM candidates c
            JOIN phase_lanes pl ON pl.project_id = c.project_id AND pl.phase = c.phase
            JOIN room ON room.lane_id = pl.lane_id AND room.free < (SELECT count(*) FROM candidates)
        ), chosen AS (
            SELECT c.id FROM candidates c
            WHERE NOT EXISTS (SELECT FROM crowded x WHERE x.id = c.id AND x.place > x.free)
            ORDER BY c.class, c.priority, c.rank, c.id LIMIT $3
        ), locked AS (
            SELECT w.id FROM work_items w JOIN chosen ON chosen.id = w.id WHERE w.claim_class IS NOT NULL
            FOR NO KEY UPDATE OF w SKIP LOCKED
        ), claimed AS (
            UPDATE work_items w SET lease_owner = $1, lease_until = clock_timestamp() + $4 * interval '1 millisecond',
                lease_epoch = w.lease_epoch + 1, run_id = nextval('run_ids'), run_started_at = clock_timestamp(), events = w.events + 1
            FROM locked WHERE w.id = locked.id
            RETURNING w.id, w.project_id, w.phase, w.priority, w.rank, w.lease_epoch, w.run_id, w.lease_until, w.events,
                      w.attempts_granted, w.attempts_used, w.infra_failures, w.moves, w.tampers
        ), told AS (
            INSERT INTO events_outbox (project_id, item_id, seq, type, data)
            SELECT project_id, id, events, 'run.started', jsonb_build_object('run_id', run_id, 'phase', phase, 'worker_id', $1)
            FROM claimed
        )
        SELECT c.id AS "id!", c.project_id AS "project_id!", c.phase::text AS "phase!", c.lease_epoch AS "epoch!", c.run_id AS "run_id!",
               c.lease_until AS "until!", c.attempts_granted AS "granted!", c.attempts_used AS "used!", c.infra_failures AS "infra!",
               c.moves AS "moves!", c.tampers AS "tampers!", p.max_infra_failures, p.max_moves, p.backoff_base_ms, p.backoff_cap_ms,
               (SELECT pg_notify('damascus_events', '')) AS "notified: ()"
        FROM claimed c JOIN projects p ON p.id = c.project_id
        ORDER BY CASE c.phase WHEN 'merge' THEN 0 WHEN 'review' THEN 1 WHEN 'build' THEN 2 ELSE 3 END, c.priority, c.rank, c.id
        "#,
        request.worker.0,
        &phases as _,
        max,
        request.lease.as_millis() as f64,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let at = RowRef::item(row.id);
            Ok(Lease {
                item: ItemId(row.id),
                project: ProjectId(row.project_id),
                run: RunId(row.run_id),
                worker: request.worker,
                phase: at.work_phase(&row.phase)?,
                epoch: Epoch(row.epoch),
                budget: at.budget(row.granted, row.used, row.infra, row.moves, row.tampers)?,
                policy: policy(row.project_id, row.max_infra_failures, row.max_moves, row.backoff_base_ms, row.backoff_cap_ms)?,
                until: row.until,
            })
        })
        .collect()
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

//! Leases after the claim: renewing, handing back, finding those that ran out, waking what backed off.
//!
//! Invariants: the database's clock alone says when a lease has run out; a lease is renewed or handed back only under its own epoch.

use std::time::Duration;

use damascus_core::{Epoch, ItemId, ProjectId, RunId, WorkerId};

use crate::decode::RowRef;
use crate::{Lease, Move, Store, StoreError, apply, claim};

/// The most leases or sleepers that one sweep takes; a sweep that finds as many runs again at once.
pub const SWEEP_BATCH: i64 = 256;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items that finished backing off.
    pub woken: u64,
    /// Runs whose lease had run out.
    pub lost: u64,
    /// When something comes due next, by the database's clock, as a wait from now; nothing when nothing is known to.
    pub next_due: Option<Duration>,
}

impl Store {
    /// Renews leases of a worker. Gives those that still are the worker's; a lease that is missing is lost, and its run must stop.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn renew(
        &self,
        worker: WorkerId,
        leases: &[(ItemId, Epoch)],
        lease: Duration,
    ) -> Result<Vec<ItemId>, StoreError> {
        let (items, epochs): (Vec<i64>, Vec<i64>) = leases.iter().map(|(item, epoch)| (item.0, epoch.0)).unzip();
        let renewed = sqlx::query_scalar!(
            r#"
            WITH beat AS (UPDATE workers SET heartbeat_at = clock_timestamp() WHERE id = $1),
                 mine AS (SELECT w.id FROM work_items w JOIN unnest($2::bigint[], $3::bigint[]) AS l(item_id, epoch) ON l.item_id = w.id
                          WHERE w.lease_epoch = l.epoch AND w.lease_owner = $1 ORDER BY w.id FOR NO KEY UPDATE OF w)
            UPDATE work_items w SET lease_until = clock_timestamp() + $4 * interval '1 millisecond'
            FROM mine WHERE w.id = mine.id
            RETURNING w.id
            "#,
            worker.0,
            &items,
            &epochs,
            lease.as_millis() as f64,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(renewed.into_iter().map(ItemId).collect())
    }

    /// Hands leases back without a verdict: a worker that shuts down. Costs nothing. Gives how many were still the worker's.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn hand_back(&self, worker: WorkerId, leases: &[(ItemId, Epoch)]) -> Result<u64, StoreError> {
        let (items, epochs): (Vec<i64>, Vec<i64>) = leases.iter().map(|(item, epoch)| (item.0, epoch.0)).unzip();
        let handed = sqlx::query!(
            r#"
            WITH mine AS (
                SELECT w.id, w.run_id, w.lease_epoch, w.run_started_at, w.attempts_used, w.phase, w.project_id
                FROM work_items w JOIN unnest($2::bigint[], $3::bigint[]) AS l(item_id, epoch) ON l.item_id = w.id
                WHERE w.lease_epoch = l.epoch AND w.lease_owner = $1 ORDER BY w.id FOR NO KEY UPDATE OF w
            ), freed AS (
                UPDATE work_items w SET lease_owner = NULL, lease_until = NULL, run_id = NULL, run_started_at = NULL,
                                        lease_epoch = w.lease_epoch + 1, events = w.events + 1,
                                        event_tx = greatest(w.event_tx, pg_current_xact_id())
                FROM mine WHERE w.id = mine.id RETURNING w.id, w.events, w.event_tx
            ), ran AS (
                INSERT INTO runs (id, item_id, epoch, worker_id, started_at, ended_at, attempt, phase, ended, charge)
                SELECT run_id, id, lease_epoch, $1, run_started_at, clock_timestamp(), attempts_used + 1, phase, 'handed_back', 'free'
                FROM mine
            ), told AS (
                INSERT INTO events_outbox (tx, project_id, item_id, seq, type, data)
                SELECT f.event_tx, m.project_id, m.id, f.events, 'run.handed_back', jsonb_build_object('run_id', m.run_id, 'phase', m.phase)
                FROM mine m JOIN freed f ON f.id = m.id
            )
            SELECT count(*) AS "n!", (SELECT pg_notify('damascus_work', '')) AS "notified: ()" FROM freed
            "#,
            worker.0,
            &items,
            &epochs,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(handed.n).unwrap_or(0))
    }

    /// The leases that the database says are this worker's: after a broken connection, a claim may have been made that nobody was told of.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn leases_of(&self, worker: WorkerId) -> Result<Vec<(ItemId, Epoch)>, StoreError> {
        let rows = sqlx::query!(
            "SELECT id, lease_epoch FROM work_items WHERE lease_owner IS NOT NULL AND lease_owner = $1 ORDER BY id LIMIT $2",
            worker.0,
            claim::MAX_CLAIM as i64,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (ItemId(row.id), Epoch(row.lease_epoch))).collect())
    }

    /// Wakes what has backed off long enough, reports runs whose lease ran out as lost, and says when something comes due next.
    /// `jitter` is a fraction in `0.0..=1.0`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn sweep_leases(&self, jitter: f64) -> Result<Swept, StoreError> {
        let mut swept =
            Swept { woken: self.wake_sleepers().await?, lost: self.reap_lost(jitter).await?, next_due: None };
        swept.next_due = self.next_due().await?;
        Ok(swept)
    }

    async fn wake_sleepers(&self) -> Result<u64, StoreError> {
        let woken = sqlx::query!(
            r#"
            WITH woken AS (
                UPDATE work_items w SET wake_at = NULL
                FROM (SELECT id FROM work_items WHERE wake_at <= (SELECT clock_timestamp()) ORDER BY wake_at LIMIT $1
                      FOR NO KEY UPDATE SKIP LOCKED) due
                WHERE w.id = due.id RETURNING w.id
            )
            SELECT count(*) AS "n!", CASE WHEN count(*) > 0 THEN pg_notify('damascus_work', '') END AS "notified: ()" FROM woken
            "#,
            SWEEP_BATCH,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(woken.n).unwrap_or(0))
    }

    /// Reads without a lock, decides, and writes under the guard that the lease is over at that very moment: a lease that is renewed in
    /// between stays, and a sweeper that is stopped in between holds up nobody.
    async fn reap_lost(&self, jitter: f64) -> Result<u64, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT w.id, w.project_id, w.phase::text AS "phase!", w.lease_epoch, w.run_id AS "run_id!", w.lease_owner AS "worker!", w.lease_until AS "until!",
                   w.attempts_granted, w.attempts_used, w.infra_failures, w.moves, w.tampers, p.max_infra_failures, p.max_moves,
                   p.backoff_base_ms, p.backoff_cap_ms
            FROM work_items w JOIN projects p ON p.id = w.project_id
            WHERE w.lease_owner IS NOT NULL AND w.lease_until < clock_timestamp()
            ORDER BY w.id LIMIT $1
            "#,
            SWEEP_BATCH,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut moves = Vec::with_capacity(rows.len());
        for row in rows {
            let at = RowRef::item(row.id);
            let lease = Lease {
                item: ItemId(row.id),
                project: ProjectId(row.project_id),
                run: RunId(row.run_id),
                worker: WorkerId(row.worker),
                phase: at.work_phase(&row.phase)?,
                epoch: Epoch(row.lease_epoch),
                budget: at.budget(
                    row.attempts_granted,
                    row.attempts_used,
                    row.infra_failures,
                    row.moves,
                    row.tampers,
                )?,
                policy: claim::policy(
                    row.project_id,
                    row.max_infra_failures,
                    row.max_moves,
                    row.backoff_base_ms,
                    row.backoff_cap_ms,
                )?,
                until: row.until,
            };
            moves.push(Move::from_lost_lease(&lease, jitter)?);
        }
        let mut connection = self.pool.acquire().await?;
        let applied = apply::apply(&mut connection, &moves).await?;
        // None of them can be claimed yet, but their places in lanes are free.
        if !applied.written.is_empty() {
            claim::announce_work(&mut connection).await?;
        }
        drop(connection);
        self.evaluate_upstream(&applied.stopped).await?;
        Ok(applied.written.len() as u64)
    }

    /// When something comes due next: a lease, a backoff, a lane, a gate.
    async fn next_due(&self) -> Result<Option<Duration>, StoreError> {
        // In one statement, so that both readings of the clock are close together.
        let wait = sqlx::query_scalar!(
            r#"
            SELECT greatest(extract(epoch FROM due - clock_timestamp()) * 1000, 0)::bigint AS "wait!"
            FROM (SELECT least((SELECT min(wake_at) FROM work_items WHERE wake_at IS NOT NULL),
                               (SELECT min(lease_until) FROM work_items WHERE lease_owner IS NOT NULL),
                               (SELECT min(opens_at) FROM lanes WHERE opens_at > clock_timestamp()),
                               (SELECT min(least(due_at, deadline)) FROM coordination_gates WHERE state = 'open')) AS due) next
            WHERE due IS NOT NULL
            "#
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(wait.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }
}

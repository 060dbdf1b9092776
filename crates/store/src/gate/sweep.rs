//! Looking at gates when something happened, and now and then without any cause.
//!
//! Invariants: whoever stops an item has its gates evaluated right after; a sweep finds what that missed. Every batch is a transaction of its
//! own, and every statement reads closed gates only.

use damascus_core::{GateId, ItemId};

use super::settle::{GateSweep, settle};
use crate::{Store, StoreError};

/// How many gates are settled in one transaction.
const BATCH: usize = 256;
/// How many batches one call settles; what is left is the next sweep's.
const MAX_BATCHES: usize = 1_000;
/// How many closed gates one statement of a sweep looks at.
const PAGE: i64 = 2_000;
/// How many such statements one sweep makes.
const MAX_PAGES: usize = 1_000;

impl Store {
    /// Evaluates the gates that wait for these items, and those of these items themselves. Call it for items that came to a stop (see
    /// [`crate::Applied::stopped`]) or that go on again, after that has been committed. Repeating it does no harm.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`]; what was not done is then done by [`Store::sweep_gates`].
    pub async fn evaluate_upstream(&self, items: &[ItemId]) -> Result<GateSweep, StoreError> {
        let mut swept = GateSweep::default();
        if items.is_empty() {
            return Ok(swept);
        }
        let ids: Vec<i64> = items.iter().map(|item| item.0).collect();
        for _ in 0..MAX_BATCHES {
            let found = sqlx::query_scalar!(
                r#"
                (SELECT v.id AS "id!" FROM gates_to_settle v WHERE v.upstream_id = ANY($1) AND v.state = 'open' AND v.action IS NOT NULL LIMIT $2)
                UNION ALL
                (SELECT v.id FROM gates_to_settle v WHERE v.item_id = ANY($1) AND v.action = 'drop' LIMIT $2)
                "#,
                &ids,
                i64::try_from(BATCH).unwrap_or(i64::MAX),
            )
            .fetch_all(&self.pool)
            .await?;
            let done = self.settle_all(&found).await?;
            swept.add(done);
            if found.len() < BATCH || done.is_empty() {
                break;
            }
        }
        Ok(swept)
    }

    /// Settles what came due, and what an evaluation missed: [`Store::settle_due_gates`] and [`Store::heal_gates`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`]; what was done before stays done.
    pub async fn sweep_gates(&self) -> Result<GateSweep, StoreError> {
        let mut swept = self.settle_due_gates().await?;
        swept.add(self.heal_gates().await?);
        Ok(swept)
    }

    /// Settles what came due: timers and deadlines. Reads due gates only, so it may be called often.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`]; what was done before stays done.
    pub async fn settle_due_gates(&self) -> Result<GateSweep, StoreError> {
        let mut swept = GateSweep::default();
        for _ in 0..MAX_BATCHES {
            let found = sqlx::query_scalar!(
                r#"SELECT id FROM coordination_gates WHERE state = 'open' AND least(due_at, deadline) <= (SELECT clock_timestamp())
                   ORDER BY least(due_at, deadline) LIMIT $1"#,
                i64::try_from(BATCH).unwrap_or(i64::MAX),
            )
            .fetch_all(&self.pool)
            .await?;
            let done = self.settle_all(&found).await?;
            swept.add(done);
            if found.len() < BATCH || done.is_empty() {
                break;
            }
        }
        Ok(swept)
    }

    /// Finds what evaluations missed: walks all closed gates, a page at a time. Call it now and then.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`]; what was done before stays done.
    pub async fn heal_gates(&self) -> Result<GateSweep, StoreError> {
        let mut swept = GateSweep::default();
        let mut after = (0_i64, 0_i64);
        for _ in 0..MAX_PAGES {
            let page = sqlx::query!(
                r#"
                SELECT p.id AS "id!", p.item_id AS "item_id!", (SELECT v.action FROM gates_to_settle v WHERE v.id = p.id) AS action
                FROM (SELECT g.id, g.item_id FROM coordination_gates g
                      WHERE g.state IN ('open', 'expired') AND (g.item_id, g.id) > ($1, $2) ORDER BY g.item_id, g.id LIMIT $3) p
                "#,
                after.0,
                after.1,
                PAGE,
            )
            .fetch_all(&self.pool)
            .await?;
            let found: Vec<i64> = page.iter().filter(|row| row.action.is_some()).map(|row| row.id).collect();
            swept.add(self.settle_all(&found).await?);
            match page.iter().max_by_key(|row| (row.item_id, row.id)) {
                Some(last) if page.len() as i64 == PAGE => after = (last.item_id, last.id),
                _ => break,
            }
        }
        Ok(swept)
    }

    async fn settle_all(&self, gates: &[i64]) -> Result<GateSweep, StoreError> {
        let mut swept = GateSweep::default();
        for batch in gates.chunks(BATCH) {
            let batch: Vec<GateId> = batch.iter().map(|&id| GateId(id)).collect();
            let mut tx = self.pool.begin().await?;
            let done = settle(&mut tx, &batch).await?;
            tx.commit().await?;
            swept.add(done);
        }
        Ok(swept)
    }
}

//! Items under lock: what a decision about them needs.
//!
//! Invariant: items are locked in the order of their ids, and before anything that hangs on them (gates, issues), so that two transactions
//! never wait for each other.

use damascus_core::{Epoch, ItemId, ItemState, Policy};
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::{StoreError, claim};

/// An item that the transaction has locked.
#[derive(Debug, Clone)]
pub(crate) struct LockedItem {
    pub(crate) id: ItemId,
    /// `project/key`, as messages show it.
    pub(crate) name: String,
    pub(crate) epoch: Epoch,
    pub(crate) state: ItemState,
    pub(crate) policy: Policy,
    /// Attempts that the project grants.
    pub(crate) max_attempts: i16,
    pub(crate) held: bool,
}

impl LockedItem {
    /// `project/key (#id)`, as messages show it.
    pub(crate) fn shown(&self) -> String {
        format!("{} (#{})", self.name, self.id)
    }
}

/// Locks items, in the order of their ids; ids that name nothing are left out.
pub(crate) async fn lock(connection: &mut PgConnection, items: &[ItemId]) -> Result<Vec<LockedItem>, StoreError> {
    let ids: Vec<i64> = items.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        SELECT w.id, w.project_id, p.name AS project, s.key, w.lease_epoch, w.phase::text AS "phase!", w.resume_phase::text,
               w.block_reason::text, w.attempts_granted, w.attempts_used, w.infra_failures, w.moves, w.tampers, w.held,
               p.max_attempts, p.max_infra_failures, p.max_moves, p.backoff_base_ms, p.backoff_cap_ms
        FROM work_items w JOIN projects p ON p.id = w.project_id JOIN stories s ON s.item_id = w.id
        WHERE w.id = ANY($1) ORDER BY w.id FOR NO KEY UPDATE OF w
        "#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let at = RowRef::item(row.id);
            Ok(LockedItem {
                id: ItemId(row.id),
                name: format!("{}/{}", row.project, row.key),
                epoch: Epoch(row.lease_epoch),
                state: ItemState {
                    stage: at.stage(&row.phase, row.resume_phase.as_deref(), row.block_reason.as_deref())?,
                    budget: at.budget(
                        row.attempts_granted,
                        row.attempts_used,
                        row.infra_failures,
                        row.moves,
                        row.tampers,
                    )?,
                },
                policy: claim::policy(
                    row.project_id,
                    row.max_infra_failures,
                    row.max_moves,
                    row.backoff_base_ms,
                    row.backoff_cap_ms,
                )?,
                max_attempts: row.max_attempts,
                held: row.held,
            })
        })
        .collect()
}

/// Locks one item that must be there.
pub(crate) async fn lock_one(connection: &mut PgConnection, item: ItemId) -> Result<LockedItem, StoreError> {
    lock(connection, &[item]).await?.pop().ok_or_else(|| gone(item))
}

/// The error about an item that is named by a number.
pub(crate) fn gone(item: ItemId) -> StoreError {
    let hint = "; name it by its number, by project/key, or by a key that only one project has".to_owned();
    StoreError::NotFound { what: "item", name: format!("#{item}"), hint }
}

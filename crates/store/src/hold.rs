//! Writing on behalf of a run: only while its lease holds.
//!
//! Invariant: the epoch and the owner must both be the lease's; the item's row stays locked until the transaction ends, so that no transition
//! comes between the look and the writing.

use sqlx::PgConnection;

use crate::{Lease, StoreError};

/// Locks the item of a lease that still holds.
///
/// # Errors
/// [`StoreError::Refused`] when the lease is gone; [`StoreError::Database`].
pub(crate) async fn hold(connection: &mut PgConnection, lease: &Lease) -> Result<(), StoreError> {
    let held = sqlx::query_scalar!(
        "SELECT id FROM work_items WHERE id = $1 AND lease_epoch = $2 AND lease_owner = $3 FOR NO KEY UPDATE",
        lease.item.0,
        lease.epoch.0,
        lease.worker.0,
    )
    .fetch_optional(connection)
    .await?;
    held.map(|_| ()).ok_or(StoreError::Refused(damascus_core::Refusal::Stale))
}

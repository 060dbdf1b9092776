//! The only writer of `work_items.phase`.
//!
//! A transition is decided by [`damascus_core::step`] and written by the database function `apply_moves`, many at a time: the items, the ended
//! runs with verdict and evidence, the landings, the money, the human issues, the lanes and the events, in one statement.
//!
//! Invariant: a move is written only while the item's lease epoch and phase are those under which it was decided, and a run's report only
//! while its worker holds the lease; otherwise nothing of it is written but the money, which was spent all the same. (The owner counts
//! beside the epoch because claims are committed asynchronously: one that a crash of the server undid may be made again by another worker
//! under the same epoch.)

mod batch;
#[cfg(test)]
mod guard_tests;
mod moves;
mod passes;

use damascus_core::ItemId;
use serde_json::Value;
use sqlx::PgConnection;

use crate::StoreError;
use batch::Batch;
pub use moves::{Move, RunEnd};
pub(crate) use passes::Passes;

/// The most moves that one statement takes; a caller with more makes several.
pub const MAX_MOVES: usize = 512;

/// How long a lane stays closed when the provider named no time.
pub const DEFAULT_LANE_CLOSURE_MS: u64 = 60_000;
/// The longest that a lane is closed for at one word of a provider, in milliseconds: a week.
pub const MAX_LANE_CLOSURE_MS: u64 = 7 * 24 * 3600 * 1000;

/// What became of the moves of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The items whose move was written; the others were stale.
    pub written: Vec<ItemId>,
    /// How many of them can be claimed at once.
    pub claimable: usize,
    /// Items of `written` that have come to a stop (an end, or parked): what waits for them must be looked at.
    pub stopped: Vec<ItemId>,
}

impl Applied {
    /// Whether the item's move was written.
    #[must_use]
    pub fn wrote(&self, item: ItemId) -> bool {
        self.written.contains(&item)
    }

    pub(crate) fn of(moves: &[Move], written: Vec<ItemId>, claimable: usize) -> Self {
        let stops = |item: &ItemId| moves.iter().any(|one| one.item == *item && one.comes_to_a_stop());
        Self { stopped: written.iter().copied().filter(stops).collect(), written, claimable }
    }
}

/// Writes moves, at most [`MAX_MOVES`] at a time, each item at most once. Outside a transaction it is one round trip with its commit.
///
/// # Errors
/// [`StoreError::Invalid`] for a batch that breaks those rules; [`StoreError::Database`].
pub async fn apply(connection: &mut PgConnection, moves: &[Move]) -> Result<Applied, StoreError> {
    if moves.is_empty() {
        return Ok(Applied::default());
    }
    let rows = sqlx::query!(
        r#"SELECT item_id AS "item_id!", claimable AS "claimable!" FROM apply_moves($1)"#,
        document(moves)?
    )
    .fetch_all(connection)
    .await?;
    let claimable = rows.iter().filter(|row| row.claimable).count();
    Ok(Applied::of(moves, rows.into_iter().map(|row| ItemId(row.item_id)).collect(), claimable))
}

/// The batch as one document.
pub(crate) fn document(moves: &[Move]) -> Result<Value, StoreError> {
    batch::json(&Batch::of(moves)?)
}

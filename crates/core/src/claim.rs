//! The order in which items are claimed.
//!
//! Invariant: the order is total, so that two workers agree on who is next.

use crate::{ItemId, WorkPhase};

/// An item's place in the queue; lower is claimed first. Finish before you start, then priority, then rank, then age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimKey {
    class: i16,
    priority: i16,
    rank: i64,
    item: ItemId,
}

impl ClaimKey {
    /// The place of an item. `priority` 0 is the most urgent; `rank` is the order within it; ids rise with age.
    #[must_use]
    pub const fn new(phase: WorkPhase, priority: i16, rank: i64, item: ItemId) -> Self {
        Self { class: phase.claim_rank(), priority, rank, item }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_before_you_start_then_priority_then_rank_then_age() {
        let key = |phase, priority, rank, id| ClaimKey::new(phase, priority, rank, ItemId(id));
        let mut queue = [
            key(WorkPhase::Spec, 0, 0, 1),
            key(WorkPhase::Merge, 9, 9, 9),
            key(WorkPhase::Build, 1, 5, 2),
            key(WorkPhase::Build, 1, 5, 3),
            key(WorkPhase::Build, 1, 4, 4),
            key(WorkPhase::Build, 0, 9, 5),
            key(WorkPhase::Review, 5, 0, 6),
        ];
        queue.sort();
        let ids: Vec<i64> = queue.iter().map(|key| key.item.0).collect();
        assert_eq!(ids, [9, 6, 5, 4, 2, 3, 1]);
    }
}

//! Identifiers. Each is a number given by the database; the types keep them apart.
//!
//! Invariant: an id is positive; zero and below never name anything.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($($(#[$doc:meta])+ $name:ident),+ $(,)?) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

id!(
    /// A project: a repository that Damascus works on.
    ProjectId,
    /// A work item: one story of a project.
    ItemId,
    /// One execution of one phase of one item, under one lease.
    RunId,
    /// A worker process.
    WorkerId,
    /// A human issue.
    IssueId,
    /// A coordination gate.
    GateId,
    /// A lane: a named resource with a concurrency limit and an opening time.
    LaneId,
    /// The number of an item's lease. It rises with every claim, hand-back and transition, so that a report under an older one is
    /// recognised as stale.
    Epoch,
);

//! Phases: where an item stands.
//!
//! Invariant: an item in a [`WorkPhase`] can be claimed; one that is parked waits for a person; one that ended stays ended.

use crate::named_enum;

/// A phase that a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkPhase {
    /// A model refines the story into a spec. Entered on creation; left by the spec handler's verdict.
    Spec,
    /// An agent writes the code and a pull request is opened. Left by the build handler's verdict.
    Build,
    /// The tests run again in a clean checkout. Left by the reviewer's verdict.
    Review,
    /// The tested commit lands. Left by the merge handler's verdict.
    Merge,
}

named_enum!(WorkPhase, "working phase", { Spec => "spec", Build => "build", Review => "review", Merge => "merge" });

impl WorkPhase {
    /// Claim order: finish before you start. Lower is claimed first.
    #[must_use]
    pub const fn claim_rank(self) -> i16 {
        match self {
            Self::Merge => 0,
            Self::Review => 1,
            Self::Build => 2,
            Self::Spec => 3,
        }
    }

    /// The bit of this phase in an item's gate mask, as the database keeps it.
    #[must_use]
    pub const fn gate_bit(self) -> i16 {
        match self {
            Self::Spec => 1,
            Self::Build => 2,
            Self::Review => 4,
            Self::Merge => 8,
        }
    }
}

/// Where an item stands, as one word: what the database column holds and people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// See [`WorkPhase::Spec`].
    Spec,
    /// See [`WorkPhase::Build`].
    Build,
    /// See [`WorkPhase::Review`].
    Review,
    /// See [`WorkPhase::Merge`].
    Merge,
    /// Parked: a question waits for a person's answer. Left by an answer, a retry or a cancel.
    AwaitingHuman,
    /// Parked: a budget is spent. Left by a person's answer, retry or cancel.
    Blocked,
    /// End: the tested commit landed and was read back.
    Merged,
    /// End: a person gave it up.
    Cancelled,
}

named_enum!(Phase, "phase", {
    Spec => "spec", Build => "build", Review => "review", Merge => "merge",
    AwaitingHuman => "awaiting_human", Blocked => "blocked", Merged => "merged", Cancelled => "cancelled",
});

impl Phase {
    /// The working phase that this is, if it is one.
    #[must_use]
    pub const fn working(self) -> Option<WorkPhase> {
        match self {
            Self::Spec => Some(WorkPhase::Spec),
            Self::Build => Some(WorkPhase::Build),
            Self::Review => Some(WorkPhase::Review),
            Self::Merge => Some(WorkPhase::Merge),
            Self::AwaitingHuman | Self::Blocked | Self::Merged | Self::Cancelled => None,
        }
    }

    /// Whether the item waits for a person.
    #[must_use]
    pub const fn is_parked(self) -> bool {
        matches!(self, Self::AwaitingHuman | Self::Blocked)
    }

    /// Whether nothing more will happen to the item.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Merged | Self::Cancelled)
    }
}

impl From<WorkPhase> for Phase {
    fn from(phase: WorkPhase) -> Self {
        match phase {
            WorkPhase::Spec => Self::Spec,
            WorkPhase::Build => Self::Build,
            WorkPhase::Review => Self::Review,
            WorkPhase::Merge => Self::Merge,
        }
    }
}

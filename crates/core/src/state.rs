//! The state of an item, saying exactly what is true of it: no optional field stands for a stage.
//!
//! Invariant: a parked item knows where it resumes and why it stopped; an ended one has nothing left to decide.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::{Phase, WorkPhase, named_enum};

/// Why an item is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockReason {
    /// Every attempt that it was granted failed.
    AttemptsSpent,
    /// The surroundings failed too often.
    InfraFailures,
    /// The head or the base kept moving.
    Moves,
    /// Tampering was suspected again.
    Tampering,
    /// The money for it is spent.
    MoneySpent,
}

named_enum!(BlockReason, "block reason", {
    AttemptsSpent => "attempts_spent", InfraFailures => "infra_failures", Moves => "moves", Tampering => "tampering",
    MoneySpent => "money_spent",
});

/// Where an item stands, with what only that place knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// It can be claimed and run.
    Working(WorkPhase),
    /// A question waits for an answer; then it goes on in `resume`.
    AwaitingHuman {
        /// The phase that asked.
        resume: WorkPhase,
    },
    /// A budget is spent; when a person decides so, it goes on in `resume`.
    Blocked {
        /// The phase that would have come next.
        resume: WorkPhase,
        /// Which budget.
        reason: BlockReason,
    },
    /// Landed.
    Merged,
    /// Given up by a person.
    Cancelled,
}

impl Stage {
    /// The stage as one word.
    #[must_use]
    pub fn phase(self) -> Phase {
        match self {
            Self::Working(phase) => phase.into(),
            Self::AwaitingHuman { .. } => Phase::AwaitingHuman,
            Self::Blocked { .. } => Phase::Blocked,
            Self::Merged => Phase::Merged,
            Self::Cancelled => Phase::Cancelled,
        }
    }

    /// Where a parked item resumes; nothing for one that is not parked.
    #[must_use]
    pub const fn resume(self) -> Option<WorkPhase> {
        match self {
            Self::AwaitingHuman { resume } | Self::Blocked { resume, .. } => Some(resume),
            Self::Working(_) | Self::Merged | Self::Cancelled => None,
        }
    }

    /// Why the item is blocked; nothing for one that is not.
    #[must_use]
    pub const fn block_reason(self) -> Option<BlockReason> {
        match self {
            Self::Blocked { reason, .. } => Some(reason),
            Self::Working(_) | Self::AwaitingHuman { .. } | Self::Merged | Self::Cancelled => None,
        }
    }

    /// Puts a stage together from its three parts, as a database row has them.
    ///
    /// # Errors
    /// [`InconsistentState`] when the parts contradict each other.
    pub fn from_parts(
        phase: Phase,
        resume: Option<WorkPhase>,
        reason: Option<BlockReason>,
    ) -> Result<Self, InconsistentState> {
        match (phase, resume, reason) {
            (Phase::AwaitingHuman, Some(resume), None) => Ok(Self::AwaitingHuman { resume }),
            (Phase::Blocked, Some(resume), Some(reason)) => Ok(Self::Blocked { resume, reason }),
            (Phase::Merged, None, None) => Ok(Self::Merged),
            (Phase::Cancelled, None, None) => Ok(Self::Cancelled),
            (_, None, None) => phase.working().map(Self::Working).ok_or(InconsistentState { phase, resume, reason }),
            _ => Err(InconsistentState { phase, resume, reason }),
        }
    }
}

/// Parts of a stage that contradict each other: a row that no version of Damascus writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("inconsistent state: phase {phase}, resume {resume:?}, reason {reason:?}")]
pub struct InconsistentState {
    /// The phase found.
    pub phase: Phase,
    /// The resume phase found.
    pub resume: Option<WorkPhase>,
    /// The block reason found.
    pub reason: Option<BlockReason>,
}

/// What an item has used of what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Budget {
    /// Attempts granted so far: the first grant and what people added.
    pub attempts_granted: NonZeroU16,
    /// Attempts that failed.
    pub attempts_used: u16,
    /// Failures of the surroundings since the last retry by a person.
    pub infra_failures: u16,
    /// Moves of the head or the base since the last retry by a person.
    pub moves: u16,
    /// Suspicions of tampering since the last retry by a person.
    pub tampers: u16,
}

impl Budget {
    /// A fresh budget of this many attempts.
    #[must_use]
    pub const fn new(attempts: NonZeroU16) -> Self {
        Self { attempts_granted: attempts, attempts_used: 0, infra_failures: 0, moves: 0, tampers: 0 }
    }

    /// The budget after a person granted `attempts` more: what people decide on starts from zero again, attempts add up.
    #[must_use]
    pub const fn granted(self, attempts: NonZeroU16) -> Self {
        Self {
            attempts_granted: self.attempts_granted.saturating_add(attempts.get()),
            infra_failures: 0,
            moves: 0,
            tampers: 0,
            ..self
        }
    }
}

/// All that [`crate::step`] knows of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemState {
    /// Where it stands.
    pub stage: Stage,
    /// What it has used.
    pub budget: Budget,
}

impl ItemState {
    /// A new item: in `spec`, with a fresh budget.
    #[must_use]
    pub const fn new(attempts: NonZeroU16) -> Self {
        Self { stage: Stage::Working(WorkPhase::Spec), budget: Budget::new(attempts) }
    }

    /// The stage as one word.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.stage.phase()
    }
}

//! Verdicts: the typed outcome of a run, as one word.
//!
//! Invariant: a verdict says what happened, never what follows from it; that is [`crate::step`]'s alone.

use crate::named_enum;

/// What a run ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The phase reached its goal, and the evidence says so.
    Pass,
    /// The spec does not fit its schema, was cut off, or is wider than the item's scope.
    SpecInvalid,
    /// At least one question that blocks the work is open.
    SpecAmbiguous,
    /// The agent changed nothing.
    NoChange,
    /// The agent failed, or what it made does not build.
    BuildFailed,
    /// The diff breaks the project's policy.
    PolicyViolation,
    /// The spec can't be implemented as written.
    SpecWrong,
    /// A contract that the spec rests on has changed.
    ContractChanged,
    /// Tests fail, or prove too little.
    TestsFailed,
    /// A reviewer's opinion refuses the change.
    ReviewRejected,
    /// The change does not apply to the tip of the base branch.
    RebaseConflict,
    /// Tests or their runner look manipulated.
    TamperSuspected,
    /// The pull request's head is no longer what was reviewed.
    HeadMoved,
    /// The base branch moved while the candidate was tested.
    BaseMoved,
    /// Something of ours or of the surroundings failed: a forge, a disk, a lost lease.
    InfraError,
    /// The run took longer than it may.
    Timeout,
    /// A provider's rate limit or quota is spent.
    RateLimited,
}

named_enum!(Verdict, "verdict", {
    Pass => "pass", SpecInvalid => "spec_invalid", SpecAmbiguous => "spec_ambiguous", NoChange => "no_change",
    BuildFailed => "build_failed", PolicyViolation => "policy_violation", SpecWrong => "spec_wrong",
    ContractChanged => "contract_changed", TestsFailed => "tests_failed", ReviewRejected => "review_rejected",
    RebaseConflict => "rebase_conflict", TamperSuspected => "tamper_suspected", HeadMoved => "head_moved",
    BaseMoved => "base_moved", InfraError => "infra_error", Timeout => "timeout", RateLimited => "rate_limited",
});

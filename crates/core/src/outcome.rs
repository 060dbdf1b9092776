//! What a run reports: its outcome with the evidence, and what it cost.
//!
//! Invariant: a pass carries the proof of its own phase, a question carries its text; neither can be claimed bare.

use serde::{Deserialize, Serialize};

use crate::{MicroUsd, Proof, Question, Verdict, WorkPhase, named_enum};

/// The ways in which a run fails, other than by asking or by hitting a limit of its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// See [`Verdict::SpecInvalid`].
    SpecInvalid,
    /// See [`Verdict::NoChange`].
    NoChange,
    /// See [`Verdict::BuildFailed`].
    BuildFailed,
    /// See [`Verdict::PolicyViolation`].
    PolicyViolation,
    /// See [`Verdict::SpecWrong`].
    SpecWrong,
    /// See [`Verdict::ContractChanged`].
    ContractChanged,
    /// See [`Verdict::TestsFailed`].
    TestsFailed,
    /// See [`Verdict::ReviewRejected`].
    ReviewRejected,
    /// See [`Verdict::RebaseConflict`].
    RebaseConflict,
    /// See [`Verdict::TamperSuspected`].
    TamperSuspected,
    /// See [`Verdict::HeadMoved`].
    HeadMoved,
    /// See [`Verdict::BaseMoved`].
    BaseMoved,
    /// See [`Verdict::InfraError`].
    InfraError,
    /// See [`Verdict::Timeout`].
    Timeout,
}

named_enum!(Failure, "failure", {
    SpecInvalid => "spec_invalid", NoChange => "no_change", BuildFailed => "build_failed",
    PolicyViolation => "policy_violation", SpecWrong => "spec_wrong", ContractChanged => "contract_changed",
    TestsFailed => "tests_failed", ReviewRejected => "review_rejected", RebaseConflict => "rebase_conflict",
    TamperSuspected => "tamper_suspected", HeadMoved => "head_moved", BaseMoved => "base_moved",
    InfraError => "infra_error", Timeout => "timeout",
});

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::SpecInvalid => Self::SpecInvalid,
            Failure::NoChange => Self::NoChange,
            Failure::BuildFailed => Self::BuildFailed,
            Failure::PolicyViolation => Self::PolicyViolation,
            Failure::SpecWrong => Self::SpecWrong,
            Failure::ContractChanged => Self::ContractChanged,
            Failure::TestsFailed => Self::TestsFailed,
            Failure::ReviewRejected => Self::ReviewRejected,
            Failure::RebaseConflict => Self::RebaseConflict,
            Failure::TamperSuspected => Self::TamperSuspected,
            Failure::HeadMoved => Self::HeadMoved,
            Failure::BaseMoved => Self::BaseMoved,
            Failure::InfraError => Self::InfraError,
            Failure::Timeout => Self::Timeout,
        }
    }
}

/// What a run ended with, and what that rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The phase reached its goal.
    Pass(Proof),
    /// A person must answer before the work can go on.
    Ask {
        /// The first question; there is at least one.
        first: Question,
        /// The others.
        more: Vec<Question>,
    },
    /// A provider's limit was hit.
    RateLimited {
        /// How long the provider says to wait, in milliseconds; a default holds where it names no time.
        reopen_after_ms: Option<u64>,
        /// What the provider said, safe to show.
        detail: String,
    },
    /// Anything else.
    Fail {
        /// Which failure.
        failure: Failure,
        /// What happened, for the next run and for people; safe to show and bounded.
        detail: String,
    },
}

impl Outcome {
    /// The verdict that this outcome is in `phase`. A proof of another phase proves nothing here: that is a defect of the handler, and so
    /// an [`Verdict::InfraError`], never a pass.
    #[must_use]
    pub fn verdict(&self, phase: WorkPhase) -> Verdict {
        match self {
            Self::Pass(proof) if proof.phase() == phase => Verdict::Pass,
            Self::Pass(_) => Verdict::InfraError,
            Self::Ask { .. } => Verdict::SpecAmbiguous,
            Self::RateLimited { .. } => Verdict::RateLimited,
            Self::Fail { failure, .. } => (*failure).into(),
        }
    }
}

/// One model call or agent run, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostEntry {
    /// The provider or agent, such as `litellm`.
    pub provider: String,
    /// The model, as the provider names it.
    pub model: String,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// Tokens read from the provider's cache; part of `tokens_in`.
    pub tokens_cached: u64,
    /// The price.
    pub amount: MicroUsd,
    /// Whether the price was estimated from a table, instead of reported by the provider.
    pub estimated: bool,
}

/// All that a run reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost; a run that failed may have cost as much as one that passed.
    pub costs: Vec<CostEntry>,
}

impl RunReport {
    /// A report that cost nothing.
    #[must_use]
    pub const fn free(outcome: Outcome) -> Self {
        Self { outcome, costs: Vec::new() }
    }

    /// A failure that cost nothing; the detail is made safe to show and bounded.
    #[must_use]
    pub fn failed(failure: Failure, detail: &str) -> Self {
        Self::free(Outcome::Fail { failure, detail: crate::display::many_lines(detail, DETAIL_MAX_CHARS) })
    }
}

/// How much of a failure's detail is kept, in characters.
pub const DETAIL_MAX_CHARS: usize = 16_000;

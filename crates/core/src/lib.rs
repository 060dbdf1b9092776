//! The domain of Damascus, pure: what a work item is, which phases it passes, what a run may say of it, and the one
//! function, [`step`], that decides every transition.
//!
//! Invariant: nothing here reads a clock, a database, the network, a file or a source of randomness. Whatever varies
//! comes in as an argument, so that a test can exhaust it.

// A rule without a case must not compile: here, and only here, a wildcard arm is a warning.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod claim;
pub mod cycle;
pub mod display;
pub mod evidence;
pub mod gate;
pub mod ids;
pub mod issue;
pub mod money;
pub mod named;
pub mod outcome;
pub mod phase;
pub mod policy;
pub mod spec;
pub mod state;
pub mod table;
pub mod transition;
pub mod verdict;

pub use evidence::{
    CommitId, Digest, Hasher, LandingProof, Proof, ReviewProof, TestCounts, TestEvidence, TestReport, Unproven,
};
pub use gate::{GateCondition, GateKind, GateState};
pub use ids::{Epoch, GateId, IssueId, ItemId, LaneId, ProjectId, RunId, WorkerId};
pub use issue::{IssueKind, Question};
pub use money::MicroUsd;
pub use named::{Named, UnknownName};
pub use outcome::{CostEntry, Failure, Outcome, RunReport};
pub use phase::{Phase, WorkPhase};
pub use policy::{Backoff, Policy};
pub use spec::Spec;
pub use state::{BlockReason, Budget, InconsistentState, ItemState, Stage};
pub use transition::{Announcement, Charge, Effect, Event, EventKind, Refusal, Transition, step};
pub use verdict::Verdict;

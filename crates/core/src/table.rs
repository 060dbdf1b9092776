//! The table of transitions, made by asking [`step`] about every state and event: for the documentation and for the database's own check.
//!
//! Invariant: nothing here decides anything; a changed rule shows here because `step` changed.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use crate::transition::{Charge, EventKind, step};
use crate::{BlockReason, Budget, ItemState, Named, Phase, Policy, Stage, WorkPhase};

mod markdown;

pub use markdown::markdown;

/// One transition that can happen, budgets apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Where the item stood.
    pub from: Phase,
    /// What happened.
    pub event: EventKind,
    /// Where it stands then.
    pub to: Phase,
    /// What it used up.
    pub charge: Charge,
}

/// Every stage there is.
#[must_use]
pub fn stages() -> Vec<Stage> {
    let mut stages = vec![Stage::Merged, Stage::Cancelled];
    for &phase in WorkPhase::ALL {
        stages.push(Stage::Working(phase));
        stages.push(Stage::AwaitingHuman { resume: phase });
        stages.extend(BlockReason::ALL.iter().map(|&reason| Stage::Blocked { resume: phase, reason }));
    }
    stages
}

/// Every transition that can happen: each stage × each event, with a budget that is fresh and with one that is at its last.
#[must_use]
pub fn rows() -> BTreeSet<Row> {
    let (policy, fresh, last) = budgets();
    let mut rows = BTreeSet::new();
    for stage in stages() {
        for kind in EventKind::all() {
            for budget in [fresh, last] {
                let state = ItemState { stage, budget };
                if let Ok(done) = step(&state, &kind.event(NonZeroU16::MIN), &policy) {
                    rows.insert(Row { from: state.phase(), event: kind, to: done.to.phase(), charge: done.charge });
                }
            }
        }
    }
    rows
}

/// The default policy, a budget under it that is fresh, and one that every charge brings to its limit.
fn budgets() -> (Policy, Budget, Budget) {
    let policy = Policy::default();
    let fresh = Budget::new(crate::policy::DEFAULT_ATTEMPTS);
    let last = Budget {
        attempts_used: fresh.attempts_granted.get() - 1,
        infra_failures: policy.max_infra_failures.get() - 1,
        moves: policy.max_moves.get() - 1,
        tampers: policy.max_tampers.get() - 1,
        ..fresh
    };
    (policy, fresh, last)
}

/// The most runs that an item with this many attempts left can take before it ends or a person is asked.
///
/// Each attempt but the last costs up to three runs, the two that lead back to merge and the one that fails there; each move but
/// the last two, review and merge; each failure of the surroundings but the last one; spec, build and review come first, and one run
/// comes last, whichever way it ends.
#[must_use]
pub fn most_runs(policy: &Policy, attempts: NonZeroU16) -> u64 {
    let [attempts, moves, infra] = [attempts, policy.max_moves, policy.max_infra_failures].map(|n| u64::from(n.get()));
    3 + 3 * (attempts - 1) + 2 * (moves - 1) + (infra - 1) + 1
}

/// The legal `(from, event, to)` triples, as names: what the database's trigger must accept, and nothing else.
#[must_use]
pub fn legal_triples() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    rows().into_iter().map(|row| (row.from.name(), row.event.name(), row.to.name())).collect()
}

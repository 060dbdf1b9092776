//! The table of transitions, made by asking [`step`] about every state and event: for the documentation and for the database's own check.
//!
//! Invariant: nothing here decides anything; a changed rule shows here because `step` changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU16;

use crate::transition::{Charge, EventKind, step};
use crate::{BlockReason, Budget, ItemState, Named, Phase, Policy, Stage, WorkPhase};

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
    let policy = Policy::default();
    let fresh = Budget::new(crate::policy::DEFAULT_ATTEMPTS);
    let last = Budget {
        attempts_used: fresh.attempts_granted.get() - 1,
        infra_failures: policy.max_infra_failures.get() - 1,
        moves: policy.max_moves.get() - 1,
        tampers: policy.max_tampers.get() - 1,
        ..fresh
    };
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

/// The table as Markdown, for `docs/transitions.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Transitions\n\nGenerated from `step()` by a test; do not edit. A verdict that is missing under a phase is refused there.\n\
         \"last\" is where the item goes when the charge was its last.\n\n\
         | from | event | to | last | uses |\n|---|---|---|---|---|\n",
    );
    let mut grouped: BTreeMap<(Phase, EventKind), Vec<Row>> = BTreeMap::new();
    for row in rows() {
        grouped.entry((row.from, row.event)).or_default().push(row);
    }
    for ((from, event), rows) in grouped {
        // A parked item resumes in the phase that it recorded, so its rows name every working phase.
        let resumes = rows.len() > 2;
        let usual = rows.iter().find(|row| row.to != Phase::Blocked).or(rows.first());
        let to = if resumes { "the recorded phase" } else { usual.map_or("", |row| row.to.name()) };
        let last = if rows.len() == 2 && rows.iter().any(|row| row.to == Phase::Blocked) { "blocked" } else { "" };
        let uses = usual.map_or("", |row| match row.charge {
            Charge::Free => "–",
            Charge::Attempt => "an attempt",
            Charge::InfraFailure => "an infrastructure failure",
            Charge::Move => "a move",
        });
        // Writing to a String can't fail.
        let _ = writeln!(text, "| {from} | `{}` | {to} | {last} | {uses} |", event.name());
    }
    text
}

/// The legal `(from, event, to)` triples, as names: what the database's trigger must accept, and nothing else.
#[must_use]
pub fn legal_triples() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    rows().into_iter().map(|row| (row.from.name(), row.event.name(), row.to.name())).collect()
}

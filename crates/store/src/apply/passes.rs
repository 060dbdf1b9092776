//! Passes written without deciding them, for the bare client of the benchmark.
//!
//! Invariant: the same function with the same document as for any other move; the database's own guard still refuses what is illegal.

use std::collections::BTreeMap;

use damascus_core::{Named as _, Proof, WorkPhase};
use serde_json::Value;

use super::batch::{self, Batch, LandingRow, MoveRow, Told};
use crate::{Lease, StoreError};

/// The proof of each phase's pass, made once.
#[derive(Debug)]
pub(crate) struct Passes {
    evidence: BTreeMap<WorkPhase, Value>,
    landing: LandingRow,
}

impl Passes {
    pub(crate) fn new(proof: impl Fn(WorkPhase) -> Proof) -> Result<Self, StoreError> {
        let Proof::Merge(landing) = proof(WorkPhase::Merge) else {
            return Err(StoreError::Invalid("a landing needs its proof".to_owned()));
        };
        let evidence = WorkPhase::ALL.iter().map(|&phase| Ok((phase, batch::json(&proof(phase))?)));
        Ok(Self { evidence: evidence.collect::<Result<_, StoreError>>()?, landing: LandingRow::of(0, &landing)? })
    }

    /// A pass for each lease, as one document.
    pub(crate) fn document(&self, leases: &[Lease]) -> Result<Value, StoreError> {
        let mut passes = Batch::default();
        for lease in leases {
            passes.moves.push(self.pass(lease));
            if lease.phase == WorkPhase::Merge {
                passes.landings.push(LandingRow { item_id: lease.item.0, ..self.landing.clone() });
            }
        }
        batch::json(&passes)
    }

    fn pass(&self, lease: &Lease) -> MoveRow {
        let (to_phase, announcement) = match lease.phase {
            WorkPhase::Spec => ("build", "work.advanced"),
            WorkPhase::Build => ("review", "work.advanced"),
            WorkPhase::Review => ("merge", "work.advanced"),
            WorkPhase::Merge => ("merged", "work.merged"),
        };
        MoveRow {
            item_id: lease.item.0,
            epoch: lease.epoch.0,
            worker: Some(lease.worker.0),
            from_phase: lease.phase.name(),
            event: "pass",
            to_phase,
            resume_phase: None,
            block_reason: None,
            granted: lease.budget.attempts_granted.get(),
            used: lease.budget.attempts_used,
            infra: lease.budget.infra_failures,
            moves: lease.budget.moves,
            tampers: lease.budget.tampers,
            wake_ms: None,
            close_lane_ms: None,
            events: 1,
            close_issues: lease.phase == WorkPhase::Merge,
            announcement,
            ended: "reported",
            verdict: Some("pass"),
            charge: "free",
            detail: None,
            evidence: self.evidence.get(&lease.phase).cloned(),
            told: Told {
                from: lease.phase.name(),
                to: to_phase,
                cause: "pass",
                charge: "free",
                attempts_used: lease.budget.attempts_used,
                attempts_granted: lease.budget.attempts_granted.get(),
                resume: None,
                reason: None,
                wait_ms: None,
            },
        }
    }
}

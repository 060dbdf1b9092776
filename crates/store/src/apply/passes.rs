//! Passes written without deciding them, for the bare client of the benchmark.
//!
//! Invariant: the same statement with the same columns as any other move; the database's own guard still refuses what is illegal.

use damascus_core::{LandingProof, Named as _, Proof, WorkPhase};
use serde_json::Value;
use sqlx::PgConnection;

use super::columns::{Columns, json};
use crate::{Lease, StoreError};

/// The proof of each phase's pass, made once.
#[derive(Debug)]
pub(crate) struct Passes {
    evidence: [Value; 4],
    landing: Landing,
}

#[derive(Debug)]
struct Landing {
    base_branch: String,
    base_commit: String,
    landed_commit: String,
    tree: String,
    evidence: Value,
}

impl Landing {
    fn of(proof: &LandingProof) -> Result<Self, StoreError> {
        let tested = proof.review().evidence();
        Ok(Self {
            base_branch: proof.base_branch().to_owned(),
            base_commit: tested.base.to_string(),
            landed_commit: proof.landed().to_string(),
            tree: tested.tree.to_string(),
            evidence: json(proof)?,
        })
    }
}

impl Passes {
    pub(crate) fn new(proof: impl Fn(WorkPhase) -> Proof) -> Result<Self, StoreError> {
        let Proof::Merge(landing) = proof(WorkPhase::Merge) else {
            return Err(StoreError::Invalid("a landing needs its proof".to_owned()));
        };
        let evidence = |phase| json(&proof(phase));
        Ok(Self {
            evidence: [
                evidence(WorkPhase::Spec)?,
                evidence(WorkPhase::Build)?,
                evidence(WorkPhase::Review)?,
                evidence(WorkPhase::Merge)?,
            ],
            landing: Landing::of(&landing)?,
        })
    }

    /// Writes a pass for each lease; gives how many were written.
    pub(crate) async fn write(&self, connection: &mut PgConnection, leases: &[Lease]) -> Result<u64, StoreError> {
        if leases.is_empty() {
            return Ok(0);
        }
        let mut columns = Columns::default();
        for lease in leases {
            self.push(&mut columns, lease);
        }
        Ok(super::write(connection, &columns).await?.len() as u64)
    }

    fn push(&self, c: &mut Columns, lease: &Lease) {
        let (to, announcement) = match lease.phase {
            WorkPhase::Spec => ("build", "work.advanced"),
            WorkPhase::Build => ("review", "work.advanced"),
            WorkPhase::Review => ("merge", "work.advanced"),
            WorkPhase::Merge => ("merged", "work.merged"),
        };
        let small = |count: u16| i16::try_from(count).unwrap_or(i16::MAX);
        c.item_id.push(lease.item.0);
        c.epoch.push(lease.epoch.0);
        c.from_phase.push(lease.phase.name());
        c.event.push("pass");
        c.to_phase.push(to);
        c.resume_phase.push(None);
        c.block_reason.push(None);
        c.granted.push(small(lease.budget.attempts_granted.get()));
        c.used.push(small(lease.budget.attempts_used));
        c.infra.push(small(lease.budget.infra_failures));
        c.moves.push(small(lease.budget.moves));
        c.tampers.push(small(lease.budget.tampers));
        c.wake_ms.push(None);
        c.events.push(1);
        c.close_issues.push(lease.phase == WorkPhase::Merge);
        c.announcement.push(announcement);
        c.ended.push("reported");
        c.verdict.push(Some("pass"));
        c.charge.push("free");
        c.detail.push(None);
        let place = usize::try_from(3 - lease.phase.claim_rank()).unwrap_or(0);
        c.evidence.push(self.evidence.get(place).cloned());
        c.worker.push(Some(lease.worker.0));
        if lease.phase == WorkPhase::Merge {
            c.landing.item_id.push(lease.item.0);
            c.landing.base_branch.push(self.landing.base_branch.clone());
            c.landing.base_commit.push(self.landing.base_commit.clone());
            c.landing.landed_commit.push(self.landing.landed_commit.clone());
            c.landing.tree.push(self.landing.tree.clone());
            c.landing.evidence.push(self.landing.evidence.clone());
        }
    }
}

//! Moves as columns: one array per column, which is what a set-based statement takes.
//!
//! Invariant: all arrays of one group have the same length; each item appears at most once in a batch.

use std::collections::BTreeSet;

use damascus_core::{LandingProof, Named, Proof, Stage};
use serde_json::Value;

use super::{MAX_MOVES, Move};
use crate::StoreError;

#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) item_id: Vec<i64>,
    pub(super) epoch: Vec<i64>,
    pub(super) from_phase: Vec<&'static str>,
    pub(super) event: Vec<&'static str>,
    pub(super) to_phase: Vec<&'static str>,
    pub(super) resume_phase: Vec<Option<&'static str>>,
    pub(super) block_reason: Vec<Option<&'static str>>,
    pub(super) granted: Vec<i16>,
    pub(super) used: Vec<i16>,
    pub(super) infra: Vec<i16>,
    pub(super) moves: Vec<i16>,
    pub(super) tampers: Vec<i16>,
    pub(super) wake_ms: Vec<Option<i64>>,
    pub(super) events: Vec<i16>,
    pub(super) close_issues: Vec<bool>,
    pub(super) announcement: Vec<&'static str>,
    pub(super) ended: Vec<&'static str>,
    pub(super) verdict: Vec<Option<&'static str>>,
    pub(super) charge: Vec<&'static str>,
    pub(super) detail: Vec<Option<String>>,
    pub(super) evidence: Vec<Option<Value>>,
    pub(super) worker: Vec<Option<i64>>,
    pub(super) landing: Landings,
    pub(super) cost: Costs,
    pub(super) issue: Issues,
}

#[derive(Debug, Default)]
pub(super) struct Landings {
    pub(super) item_id: Vec<i64>,
    pub(super) base_branch: Vec<String>,
    pub(super) base_commit: Vec<String>,
    pub(super) landed_commit: Vec<String>,
    pub(super) tree: Vec<String>,
    pub(super) evidence: Vec<Value>,
}

#[derive(Debug, Default)]
pub(super) struct Costs {
    pub(super) item_id: Vec<i64>,
    pub(super) run_id: Vec<i64>,
    pub(super) worker_id: Vec<i64>,
    pub(super) phase: Vec<&'static str>,
    pub(super) ordinal: Vec<i16>,
    pub(super) provider: Vec<String>,
    pub(super) model: Vec<String>,
    pub(super) tokens_in: Vec<i64>,
    pub(super) tokens_out: Vec<i64>,
    pub(super) tokens_cached: Vec<i64>,
    pub(super) amount: Vec<i64>,
    pub(super) estimated: Vec<bool>,
}

#[derive(Debug, Default)]
pub(super) struct Issues {
    pub(super) item_id: Vec<i64>,
    pub(super) kind: Vec<&'static str>,
    pub(super) question: Vec<String>,
    pub(super) options: Vec<Value>,
    pub(super) proposed: Vec<Option<String>>,
}

impl Columns {
    pub(super) fn of(moves: &[Move]) -> Result<Self, StoreError> {
        let distinct: BTreeSet<_> = moves.iter().map(|one| one.item).collect();
        if distinct.len() != moves.len() || moves.len() > MAX_MOVES {
            return Err(StoreError::Invalid(format!(
                "a batch of {} moves of {} items; at most {MAX_MOVES}, each item once",
                moves.len(),
                distinct.len()
            )));
        }
        let mut columns = Self::default();
        for one in moves {
            columns.push(one)?;
        }
        Ok(columns)
    }

    fn push(&mut self, one: &Move) -> Result<(), StoreError> {
        let to = one.transition.to;
        self.item_id.push(one.item.0);
        self.epoch.push(one.epoch.0);
        self.from_phase.push(one.from.phase().name());
        self.event.push(one.event.kind().name());
        self.to_phase.push(to.phase().name());
        self.resume_phase.push(to.stage.resume().map(Named::name));
        self.block_reason.push(to.stage.block_reason().map(Named::name));
        self.granted.push(small(to.budget.attempts_granted.get()));
        self.used.push(small(to.budget.attempts_used));
        self.infra.push(small(to.budget.infra_failures));
        self.moves.push(small(to.budget.moves));
        self.tampers.push(small(to.budget.tampers));
        self.wake_ms.push(one.wake_ms);
        self.events.push(small(u16::try_from(1 + one.questions.len()).unwrap_or(u16::MAX)));
        self.close_issues.push(one.transition.effects.contains(&damascus_core::Effect::CloseIssues));
        self.announcement.push(one.announcement());
        self.ended.push(one.end.name());
        self.verdict.push(one.verdict.map(Named::name));
        self.charge.push(one.transition.charge.name());
        self.detail.push(one.detail.clone());
        self.evidence.push(one.proof.as_ref().map(json).transpose()?);
        self.worker.push(one.run.map(|run| run.worker.0));
        if let (Stage::Merged, Some(Proof::Merge(landing))) = (to.stage, &one.proof) {
            self.landing.push(one, landing)?;
        }
        self.cost.push(one);
        for (kind, question) in &one.questions {
            self.issue.item_id.push(one.item.0);
            self.issue.kind.push(kind.name());
            self.issue.question.push(question.text.clone());
            self.issue.options.push(json(&question.options)?);
            self.issue.proposed.push(question.default.clone());
        }
        Ok(())
    }
}

impl Landings {
    fn push(&mut self, one: &Move, landing: &LandingProof) -> Result<(), StoreError> {
        let tested = landing.review().evidence();
        self.item_id.push(one.item.0);
        self.base_branch.push(landing.base_branch().to_owned());
        self.base_commit.push(tested.base.to_string());
        self.landed_commit.push(landing.landed().to_string());
        self.tree.push(tested.tree.to_string());
        self.evidence.push(json(landing)?);
        Ok(())
    }
}

impl Costs {
    fn push(&mut self, one: &Move) {
        let Some(run) = one.run else { return };
        for (ordinal, cost) in one.costs.iter().enumerate() {
            self.item_id.push(one.item.0);
            self.run_id.push(run.id.0);
            self.worker_id.push(run.worker.0);
            self.phase.push(run.phase.name());
            self.ordinal.push(small(u16::try_from(ordinal).unwrap_or(u16::MAX)));
            self.provider.push(damascus_core::display::one_line(&cost.provider, 100));
            self.model.push(damascus_core::display::one_line(&cost.model, 200));
            let tokens_in = tokens(cost.tokens_in);
            self.tokens_in.push(tokens_in);
            self.tokens_out.push(tokens(cost.tokens_out));
            self.tokens_cached.push(tokens(cost.tokens_cached).min(tokens_in));
            // A negative price would give money back that was never there.
            self.amount.push(cost.amount.0.max(0));
            self.estimated.push(cost.estimated);
        }
    }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Invalid(format!("evidence can't be written down: {error}")))
}

/// Budgets are far below this; a count that is not stays at the top instead of wrapping.
fn small(count: u16) -> i16 {
    i16::try_from(count).unwrap_or(i16::MAX)
}

fn tokens(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

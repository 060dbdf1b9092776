//! Moves as the function `apply_moves` takes them: one document for the whole batch, so that it is written in one round trip.
//!
//! Invariant: the fields here and the columns that the function reads have the same names and types; each item appears at most once.

use std::collections::BTreeSet;

use damascus_core::{CostEntry, Effect, LandingProof, Named as _, Proof, Stage, display};
use serde::Serialize;
use serde_json::Value;

use super::{MAX_MOVES, Move};
use crate::StoreError;

/// The most attempts that the column holds.
const MAX_GRANTED: u16 = i16::MAX.unsigned_abs();

/// How much of a provider's and a model's name the ledger keeps, in characters.
const PROVIDER_MAX_CHARS: usize = 100;
const MODEL_MAX_CHARS: usize = 200;

#[derive(Debug, Default, Serialize)]
pub(super) struct Batch {
    pub(super) moves: Vec<MoveRow>,
    pub(super) landings: Vec<LandingRow>,
    pub(super) costs: Vec<CostRow>,
    pub(super) issues: Vec<IssueRow>,
}

#[derive(Debug, Serialize)]
pub(super) struct MoveRow {
    pub(super) item_id: i64,
    pub(super) epoch: i64,
    pub(super) worker: Option<i64>,
    pub(super) from_phase: &'static str,
    pub(super) event: &'static str,
    pub(super) to_phase: &'static str,
    pub(super) resume_phase: Option<&'static str>,
    pub(super) block_reason: Option<&'static str>,
    pub(super) granted: u16,
    pub(super) used: u16,
    pub(super) infra: u16,
    pub(super) moves: u16,
    pub(super) tampers: u16,
    pub(super) wake_ms: Option<i64>,
    pub(super) close_lane_ms: Option<u64>,
    pub(super) events: usize,
    pub(super) close_issues: bool,
    pub(super) announcement: &'static str,
    pub(super) ended: &'static str,
    pub(super) verdict: Option<&'static str>,
    pub(super) charge: &'static str,
    pub(super) detail: Option<String>,
    pub(super) evidence: Option<Value>,
    pub(super) told: Told,
}

/// What the event says of a transition; the run's number is added where the item had one.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) cause: &'static str,
    pub(super) charge: &'static str,
    pub(super) attempts_used: u16,
    pub(super) attempts_granted: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resume: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wait_ms: Option<i64>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct LandingRow {
    pub(super) item_id: i64,
    pub(super) base_branch: String,
    pub(super) base_commit: String,
    pub(super) landed_commit: String,
    pub(super) tree: String,
    pub(super) evidence: Value,
}

#[derive(Debug, Serialize)]
pub(super) struct CostRow {
    pub(super) item_id: i64,
    pub(super) run_id: i64,
    pub(super) worker_id: i64,
    pub(super) phase: &'static str,
    pub(super) ordinal: usize,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) tokens_in: i64,
    pub(super) tokens_out: i64,
    pub(super) tokens_cached: i64,
    pub(super) amount_microusd: i64,
    pub(super) estimated: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct IssueRow {
    pub(super) item_id: i64,
    pub(super) ordinal: usize,
    pub(super) kind: &'static str,
    pub(super) question: String,
    pub(super) options: Vec<String>,
    pub(super) proposed: Option<String>,
}

impl Batch {
    pub(super) fn of(moves: &[Move]) -> Result<Self, StoreError> {
        let distinct: BTreeSet<_> = moves.iter().map(|one| one.item).collect();
        if distinct.len() != moves.len() || moves.len() > MAX_MOVES {
            return Err(StoreError::Invalid(format!(
                "a batch of {} moves of {} items; at most {MAX_MOVES}, each item once",
                moves.len(),
                distinct.len()
            )));
        }
        let mut batch = Self::default();
        for one in moves {
            batch.push(one)?;
        }
        Ok(batch)
    }

    fn push(&mut self, one: &Move) -> Result<(), StoreError> {
        self.moves.push(MoveRow::of(one)?);
        if let (Stage::Merged, Some(Proof::Merge(landing))) = (one.transition.to.stage, &one.proof) {
            self.landings.push(LandingRow::of(one.item.0, landing)?);
        }
        if let Some(run) = one.run {
            let rows = one.costs.iter().enumerate().map(|(ordinal, cost)| CostRow::of(one, run, ordinal, cost));
            self.costs.extend(rows);
        }
        self.issues.extend(one.questions.iter().enumerate().map(|(ordinal, (kind, question))| IssueRow {
            item_id: one.item.0,
            ordinal,
            kind: kind.name(),
            question: question.text.clone(),
            options: question.options.clone(),
            proposed: question.default.clone(),
        }));
        Ok(())
    }
}

impl MoveRow {
    fn of(one: &Move) -> Result<Self, StoreError> {
        let to = one.transition.to;
        Ok(Self {
            item_id: one.item.0,
            epoch: one.epoch.0,
            worker: one.run.map(|run| run.worker.0),
            from_phase: one.from.phase().name(),
            event: one.event.kind().name(),
            to_phase: to.phase().name(),
            resume_phase: to.stage.resume().map(damascus_core::Named::name),
            block_reason: to.stage.block_reason().map(damascus_core::Named::name),
            // The column is a smallint; nobody is granted so many in earnest.
            granted: to.budget.attempts_granted.get().min(MAX_GRANTED),
            used: to.budget.attempts_used,
            infra: to.budget.infra_failures,
            moves: to.budget.moves,
            tampers: to.budget.tampers,
            wake_ms: one.wake_ms,
            close_lane_ms: one.lane_closure(),
            events: 1 + one.questions.len(),
            close_issues: one.transition.effects.contains(&Effect::CloseIssues),
            announcement: one.announcement(),
            ended: one.end.name(),
            verdict: one.verdict.map(damascus_core::Named::name),
            charge: one.transition.charge.name(),
            detail: one.detail.clone(),
            evidence: one.proof.as_ref().map(json).transpose()?,
            told: Told::of(one),
        })
    }
}

impl Told {
    fn of(one: &Move) -> Self {
        let to = one.transition.to;
        Self {
            from: one.from.phase().name(),
            to: to.phase().name(),
            cause: one.event.kind().name(),
            charge: one.transition.charge.name(),
            attempts_used: to.budget.attempts_used,
            attempts_granted: to.budget.attempts_granted.get(),
            resume: to.stage.resume().map(damascus_core::Named::name),
            reason: to.stage.block_reason().map(damascus_core::Named::name),
            wait_ms: one.wake_ms,
        }
    }
}

impl LandingRow {
    pub(super) fn of(item_id: i64, landing: &LandingProof) -> Result<Self, StoreError> {
        let tested = landing.review().evidence();
        Ok(Self {
            item_id,
            base_branch: landing.base_branch().to_owned(),
            base_commit: tested.base.to_string(),
            landed_commit: landing.landed().to_string(),
            tree: tested.tree.to_string(),
            evidence: json(landing)?,
        })
    }
}

impl CostRow {
    fn of(one: &Move, run: super::moves::ReportingRun, ordinal: usize, cost: &CostEntry) -> Self {
        let tokens = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let tokens_in = tokens(cost.tokens_in);
        Self {
            item_id: one.item.0,
            run_id: run.id.0,
            worker_id: run.worker.0,
            phase: run.phase.name(),
            ordinal,
            provider: display::one_line(&cost.provider, PROVIDER_MAX_CHARS),
            model: display::one_line(&cost.model, MODEL_MAX_CHARS),
            tokens_in,
            tokens_out: tokens(cost.tokens_out),
            tokens_cached: tokens(cost.tokens_cached).min(tokens_in),
            // A negative price would give money back that was never there.
            amount_microusd: cost.amount.0.max(0),
            estimated: cost.estimated,
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Invalid(format!("evidence can't be written down: {error}")))
}

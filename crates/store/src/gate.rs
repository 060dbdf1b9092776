//! Gates: conditions that must hold before an item may enter a phase.
//!
//! Invariants: only `satisfied` and `waived` let an item through, each with its evidence; a wait that can't end by itself has an open human
//! issue; whoever changes gates has locked the items concerned before, in the order of their ids.

mod list;
mod make;
mod mark;
mod outside;
mod settle;
mod sweep;

use chrono::{DateTime, Utc};
use damascus_core::{GateCondition, GateId, GateKind, GateState, ItemId, Phase, WorkPhase};
use serde::Serialize;
use serde_json::Value;

use crate::item::Upstream;

pub use list::GateFilter;
pub(crate) use list::of_item;
pub(crate) use make::{GateToMake, make, resolve_targets};
pub(crate) use mark::{Mark, mark, reopen};
pub use outside::OpenCondition;
pub use settle::GateSweep;

/// What a gate to make waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateTarget {
    /// A condition.
    Condition(GateCondition),
    /// The merge of the item of the same project that has this key; it may be created in the same call.
    ItemKey(String),
}

/// A gate to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGate {
    /// The phase that the item may not be run in before.
    pub phase: WorkPhase,
    /// What is waited for.
    pub waits_for: GateTarget,
    /// When the gate expires, which asks a person; nothing means never.
    pub deadline: Option<DateTime<Utc>>,
    /// Where it comes from, such as an import's file and line, or who made it.
    pub origin: String,
}

/// A gate that was made, or was there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MadeGate {
    /// Its number.
    pub gate: GateId,
    /// The item that waits.
    pub item: ItemId,
    /// Whether it was made now; one with the same item, phase and condition is made once.
    pub created: bool,
    /// Where it stands.
    pub state: GateState,
    /// What may not be what was meant; null when nothing.
    pub warning: Option<String>,
}

/// A gate as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// Its number.
    pub id: GateId,
    /// The item that waits.
    pub item_id: ItemId,
    /// The item as `project/key`.
    pub item: String,
    /// The phase that it keeps the item out of.
    pub phase: WorkPhase,
    /// What sort of condition.
    pub kind: GateKind,
    /// `open` and `expired` keep the item out; `satisfied` and `waived` let it through.
    pub state: GateState,
    /// What it waits for, tagged by `kind`.
    pub condition: GateCondition,
    /// The item waited for, where it is one; null else.
    pub upstream: Option<Upstream>,
    /// When it expires; null means never.
    pub deadline: Option<DateTime<Utc>>,
    /// What was seen, or who let the item through and why; null while open.
    pub evidence: Option<Value>,
    /// Where it comes from.
    pub origin: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it left `open`; null while open.
    pub settled_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// What it waits for, as the rest of a sentence that begins with "before".
    #[must_use]
    pub fn describe(&self) -> String {
        describe(&self.condition, self.upstream.as_ref().map(|up| (up.name.as_str(), up.phase)))
    }
}

/// A condition as the rest of a sentence that begins with "before"; `upstream` is the item waited for, with where it stands.
#[must_use]
pub fn describe(condition: &GateCondition, upstream: Option<(&str, Phase)>) -> String {
    match condition {
        GateCondition::ItemMerged { item } => match upstream {
            Some((name, phase)) => format!("{name} (#{item}, now {phase}) is merged"),
            None => format!("item #{item} is merged"),
        },
        GateCondition::ContractPublished { name, version } => {
            format!("the contract {name} is published in version {version}")
        }
        GateCondition::PrMerged { repo, number } => format!("the pull request {repo}#{number} is merged"),
        GateCondition::RefContains { repo, reference, commit } => format!("{reference} of {repo} contains {commit}"),
        GateCondition::Timer { until } => format!("{until}"),
        GateCondition::Human { question } => format!("a person approves: {question}"),
    }
}

/// The error about a gate that is named by a number.
pub(crate) fn gone(gate: GateId) -> crate::StoreError {
    crate::StoreError::NotFound { what: "gate", name: gate.to_string(), hint: String::new() }
}

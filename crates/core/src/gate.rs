//! Gates: conditions that must hold before an item may enter a phase.
//!
//! Invariant: only `satisfied` and `waived` let an item through. A gate that expired stays closed until a person decides: what was
//! not seen to hold does not hold.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommitId, ItemId, named_enum};

/// What sort of condition a gate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateKind {
    /// Another item has been merged.
    ItemMerged,
    /// A contract has been published in at least this version.
    ContractPublished,
    /// A pull request has been merged on its forge.
    PrMerged,
    /// A ref of a repository contains a commit.
    RefContains,
    /// A time has come.
    Timer,
    /// A person says so.
    Human,
}

named_enum!(GateKind, "gate kind", {
    ItemMerged => "item_merged", ContractPublished => "contract_published", PrMerged => "pr_merged",
    RefContains => "ref_contains", Timer => "timer", Human => "human",
});

/// Where a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateState {
    /// The condition has not been seen to hold. Left by an evaluation, a waiver or the deadline.
    Open,
    /// The condition was seen to hold; the evidence says when and how.
    Satisfied,
    /// A person let the item through without it.
    Waived,
    /// The deadline passed first. Still closed; left by a waiver.
    Expired,
}

named_enum!(GateState, "gate state", {
    Open => "open", Satisfied => "satisfied", Waived => "waived", Expired => "expired",
});

impl GateState {
    /// Whether the item must wait.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        match self {
            Self::Open | Self::Expired => true,
            Self::Satisfied | Self::Waived => false,
        }
    }
}

/// What a gate waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GateCondition {
    /// The item has been merged.
    ItemMerged {
        /// Which item.
        item: ItemId,
    },
    /// The contract has been published.
    ContractPublished {
        /// Its name.
        name: String,
        /// The least version.
        version: u32,
    },
    /// The pull request has been merged.
    PrMerged {
        /// `owner/name` on the project's forge.
        repo: String,
        /// Its number.
        number: u64,
    },
    /// The ref contains the commit.
    RefContains {
        /// `owner/name` on the project's forge, or a path to a local repository.
        repo: String,
        /// The ref, such as `refs/heads/main`.
        #[serde(rename = "ref")]
        reference: String,
        /// The commit that it must contain.
        commit: CommitId,
    },
    /// The time has come.
    Timer {
        /// From when on the item may go on, by the database's clock.
        until: DateTime<Utc>,
    },
    /// A person says so.
    Human {
        /// What the person is to check.
        question: String,
    },
}

impl GateCondition {
    /// What sort of condition this is.
    #[must_use]
    pub const fn kind(&self) -> GateKind {
        match self {
            Self::ItemMerged { .. } => GateKind::ItemMerged,
            Self::ContractPublished { .. } => GateKind::ContractPublished,
            Self::PrMerged { .. } => GateKind::PrMerged,
            Self::RefContains { .. } => GateKind::RefContains,
            Self::Timer { .. } => GateKind::Timer,
            Self::Human { .. } => GateKind::Human,
        }
    }

    /// The item that is waited for, where it is an item.
    #[must_use]
    pub const fn upstream(&self) -> Option<ItemId> {
        match self {
            Self::ItemMerged { item } => Some(*item),
            Self::ContractPublished { .. }
            | Self::PrMerged { .. }
            | Self::RefContains { .. }
            | Self::Timer { .. }
            | Self::Human { .. } => None,
        }
    }
}

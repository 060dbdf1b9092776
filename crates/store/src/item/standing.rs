//! Why an item is where it is, and what comes next: derived, with its evidence.
//!
//! Invariant: nothing here is stored; a standing is worked out from the item's row and what it rests on, at the moment it is asked for.

mod evidence;

use chrono::{DateTime, Utc};
use damascus_core::{
    BlockReason, GateCondition, GateId, GateState, IssueId, ItemId, Phase, RunId, WorkPhase, WorkerId,
};
use serde::Serialize;

pub(crate) use evidence::{Row, derive};

/// Why an item is where it is. The tag `state` says which; each carries what it rests on. The first that holds is given, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// Landed. Nothing more will happen.
    Merged {
        /// The proof of the landing.
        landing: i64,
        /// The branch that it landed on.
        base_branch: String,
        /// The commit that landed.
        commit: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A person gave it up. Nothing more will happen.
    Cancelled {
        /// When.
        since: DateTime<Utc>,
    },
    /// Questions wait for a person.
    AwaitingHuman {
        /// The phase that goes on after the answer.
        resume: WorkPhase,
        /// The open issues, oldest first.
        issues: Vec<IssueId>,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// A budget is spent; a person must decide.
    Blocked {
        /// Which budget.
        reason: BlockReason,
        /// The phase that goes on after the decision.
        resume: WorkPhase,
        /// The open issues, oldest first.
        issues: Vec<IssueId>,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// A worker runs it.
    Running {
        /// The phase that is run.
        phase: WorkPhase,
        /// The run.
        run: RunId,
        /// The worker.
        worker: WorkerId,
        /// Since when.
        since: DateTime<Utc>,
        /// When the lease runs out unless the worker renews it.
        lease_until: DateTime<Utc>,
    },
    /// A person asked to leave it alone.
    Held {
        /// The phase that goes on when it is released.
        phase: WorkPhase,
        /// Since when; null when the event that says so has been trimmed.
        since: Option<DateTime<Utc>>,
        /// Who asked; null as above.
        by: Option<String>,
        /// Why; null as above, or when no reason was given.
        why: Option<String>,
    },
    /// Gates keep it out of its phase.
    WaitingForGates {
        /// The phase that goes on when they are through.
        phase: WorkPhase,
        /// The gates, oldest first; at most ten.
        gates: Vec<ClosedGate>,
        /// How many more there are.
        more: u64,
    },
    /// It waits after a failure of the surroundings.
    BackingOff {
        /// The phase that is tried again.
        phase: WorkPhase,
        /// Until when.
        until: DateTime<Utc>,
        /// Failures so far since a person last decided.
        failures: u16,
    },
    /// Its project is paused.
    ProjectPaused {
        /// The phase that goes on when the project is resumed.
        phase: WorkPhase,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// A lane that it needs is closed.
    LaneClosed {
        /// The phase that goes on when the lane opens.
        phase: WorkPhase,
        /// The lane that opens last.
        lane: String,
        /// When it opens.
        opens_at: DateTime<Utc>,
        /// Why it is closed.
        reason: Option<String>,
    },
    /// It can be claimed as soon as a worker and its lanes have room.
    Ready {
        /// The phase that goes on.
        phase: WorkPhase,
        /// Since when it is in this phase.
        since: DateTime<Utc>,
    },
}

/// A gate that keeps an item out of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedGate {
    /// The gate.
    pub gate: GateId,
    /// `open` or `expired`.
    pub state: GateState,
    /// What it waits for.
    pub condition: GateCondition,
    /// The item waited for, where it is one; null else.
    pub upstream: Option<Upstream>,
    /// When it expires; null means never.
    pub deadline: Option<DateTime<Utc>>,
}

/// An item that another waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Upstream {
    /// Its number.
    pub id: ItemId,
    /// `project/key`.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
}

impl Standing {
    /// One sentence for people: why it is here, and what comes next. Without its subject and without a full stop.
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::Merged { base_branch, commit, .. } => format!("landed on {base_branch} as {commit}"),
            Self::Cancelled { .. } => "was given up".to_owned(),
            Self::AwaitingHuman { resume, issues, .. } => {
                format!("waits for an answer to {}; then goes on in {resume}", listed(issues))
            }
            Self::Blocked { reason, resume, issues, .. } => {
                format!("is blocked ({reason}) until a person decides on {}; then goes on in {resume}", listed(issues))
            }
            Self::Running { phase, run, worker, .. } => {
                format!("is being run in {phase} by worker {worker} (run {run})")
            }
            Self::Held { phase, by: Some(by), .. } => format!("is held by {by}; goes on in {phase} when released"),
            Self::Held { phase, by: None, .. } => format!("is held; goes on in {phase} when released"),
            Self::WaitingForGates { phase, gates, more } => {
                let first = gates.first().map_or_else(|| "a gate".to_owned(), ClosedGate::describe);
                match *more + gates.len().saturating_sub(1) as u64 {
                    0 => format!("may not enter {phase} before {first}"),
                    n => format!("may not enter {phase} before {first}, and {n} more"),
                }
            }
            Self::BackingOff { phase, until, failures } => {
                format!("backs off after failure {failures} of the surroundings; {phase} is tried again at {until}")
            }
            Self::ProjectPaused { phase, .. } => format!("is ready for {phase}, but its project is paused"),
            Self::LaneClosed { phase, lane, opens_at, reason } => {
                let why = reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
                format!("is ready for {phase}, but the lane {lane} is closed until {opens_at}{why}")
            }
            Self::Ready { phase, .. } => format!("is ready for {phase} and waits for a worker"),
        }
    }

    /// Whether nothing more will happen to the item.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Merged { .. } | Self::Cancelled { .. })
    }

    /// Whether the item goes on only when a person does something.
    #[must_use]
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::AwaitingHuman { .. } | Self::Blocked { .. } | Self::Held { .. } | Self::ProjectPaused { .. }
        )
    }
}

impl ClosedGate {
    /// What it waits for, as the rest of a sentence that begins with "before".
    #[must_use]
    pub fn describe(&self) -> String {
        let upstream = self.upstream.as_ref().map(|up| (up.name.as_str(), up.phase));
        let what = crate::gate::describe(&self.condition, upstream);
        if self.state == GateState::Expired { format!("{what} (its deadline has passed)") } else { what }
    }
}

fn listed(issues: &[IssueId]) -> String {
    match issues {
        [] => "its issues".to_owned(),
        [one] => format!("issue {one}"),
        [first, ..] => format!("issue {first} and {} more", issues.len() - 1),
    }
}

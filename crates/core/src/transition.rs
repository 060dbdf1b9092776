//! Section "phases, verdicts, transitions" of the contract, and nothing else: the one function that decides every transition.
//!
//! Invariant: [`step`] is pure and total. Between two decisions of a person every path through it is finite, since each verdict
//! either advances an item or uses up a budget (proven in `tests/termination.rs`).

use std::num::NonZeroU16;

use crate::state::{BlockReason, Budget, ItemState, Stage};
use crate::{IssueKind, Phase, Policy, Verdict, WorkPhase, named_enum};

/// Something that happened to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A run ended. A lost lease is reported as [`Verdict::InfraError`] on behalf of the run that held it.
    Verdict(Verdict),
    /// The next run would overspend what the item may cost.
    MoneySpent,
    /// A person answered what was asked.
    Answered,
    /// A person grants more attempts and lets the item go on.
    Retried {
        /// How many more.
        attempts: NonZeroU16,
    },
    /// A person gives the item up.
    Cancelled,
}

/// An event as one word: what the database keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// See [`Event::Verdict`].
    Verdict(Verdict),
    /// See [`Event::MoneySpent`].
    MoneySpent,
    /// See [`Event::Answered`].
    Answered,
    /// See [`Event::Retried`].
    Retried,
    /// See [`Event::Cancelled`].
    Cancelled,
}

impl EventKind {
    /// The stable name; a verdict's is the verdict's own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => crate::Named::name(verdict),
            Self::MoneySpent => "money_spent",
            Self::Answered => "answered",
            Self::Retried => "retried",
            Self::Cancelled => "cancelled",
        }
    }

    /// Every kind there is.
    pub fn all() -> impl Iterator<Item = Self> {
        <Verdict as crate::Named>::ALL.iter().copied().map(Self::Verdict).chain([
            Self::MoneySpent,
            Self::Answered,
            Self::Retried,
            Self::Cancelled,
        ])
    }

    /// The event of this kind; a retry grants `attempts`.
    #[must_use]
    pub const fn event(self, attempts: NonZeroU16) -> Event {
        match self {
            Self::Verdict(verdict) => Event::Verdict(verdict),
            Self::MoneySpent => Event::MoneySpent,
            Self::Answered => Event::Answered,
            Self::Retried => Event::Retried { attempts },
            Self::Cancelled => Event::Cancelled,
        }
    }
}

impl Event {
    /// The event as one word.
    #[must_use]
    pub const fn kind(self) -> EventKind {
        match self {
            Self::Verdict(verdict) => EventKind::Verdict(verdict),
            Self::MoneySpent => EventKind::MoneySpent,
            Self::Answered => EventKind::Answered,
            Self::Retried { .. } => EventKind::Retried,
            Self::Cancelled => EventKind::Cancelled,
        }
    }
}

/// What a transition uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Charge {
    /// Nothing.
    Free,
    /// One attempt.
    Attempt,
    /// One failure of the surroundings.
    InfraFailure,
    /// One move of the head or the base.
    Move,
}

named_enum!(Charge, "charge", { Free => "free", Attempt => "attempt", InfraFailure => "infra_failure", Move => "move" });

/// What the outbox announces a transition as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Announcement {
    /// A phase passed; the next one begins.
    Advanced,
    /// A run failed; the item works on.
    Retrying,
    /// A person is asked a question.
    AwaitingHuman,
    /// A budget is spent; a person must decide.
    Blocked,
    /// A person's decision lets a parked item go on.
    Resumed,
    /// The tested commit landed.
    Merged,
    /// A person gave the item up.
    Cancelled,
}

named_enum!(Announcement, "announcement", {
    Advanced => "work.advanced", Retrying => "work.retrying", AwaitingHuman => "work.awaiting_human",
    Blocked => "work.blocked", Resumed => "work.resumed", Merged => "work.merged", Cancelled => "work.cancelled",
});

/// What must be done beside writing the new state, in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Write this event to the outbox.
    Announce(Announcement),
    /// Open a human issue.
    OpenIssue(IssueKind),
    /// Close the item's open issues: the person has decided.
    CloseIssues,
    /// Wait before the next run; the number is that of the failures so far, for [`crate::Backoff::delay`].
    BackOff {
        /// Failures so far, at least one.
        failures: u16,
    },
    /// Close the lane that the run used, for every item.
    CloseLane,
}

/// A decided transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state after it.
    pub to: ItemState,
    /// What it used up.
    pub charge: Charge,
    /// What else must be done.
    pub effects: Vec<Effect>,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The event speaks of a lease that is gone. Dropped and logged, not an error.
    #[error("stale: the lease it reports under is gone")]
    Stale,
    /// The event has no place in this phase.
    #[error("{} is not possible in phase {from}", event.name())]
    Illegal {
        /// Where the item stands.
        from: Phase,
        /// What was tried.
        event: EventKind,
    },
}

/// What a verdict means in a phase: one row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Advance(WorkPhase),
    Land,
    Ask,
    Attempt(WorkPhase),
    Tamper(WorkPhase),
    Infra,
    RateLimit,
    Move(WorkPhase),
}

/// The rule for a verdict in a phase, or nothing where the verdict has no place.
const fn rule(phase: WorkPhase, verdict: Verdict) -> Option<Rule> {
    use Verdict as V;
    use WorkPhase::{Build, Merge, Review, Spec};
    match (phase, verdict) {
        (Spec, V::Pass) => Some(Rule::Advance(Build)),
        (Build, V::Pass) => Some(Rule::Advance(Review)),
        (Review, V::Pass) => Some(Rule::Advance(Merge)),
        (Merge, V::Pass) => Some(Rule::Land),

        (Spec, V::SpecAmbiguous) => Some(Rule::Ask),
        (Spec, V::SpecInvalid) | (Build | Review, V::SpecWrong | V::ContractChanged) => Some(Rule::Attempt(Spec)),
        (Build, V::NoChange | V::BuildFailed | V::PolicyViolation)
        | (Review, V::TestsFailed | V::ReviewRejected | V::RebaseConflict)
        | (Merge, V::RebaseConflict | V::TestsFailed) => Some(Rule::Attempt(Build)),
        (Review, V::TamperSuspected) => Some(Rule::Tamper(Build)),
        (Merge, V::HeadMoved | V::BaseMoved) => Some(Rule::Move(Review)),

        (Spec | Build | Review | Merge, V::InfraError | V::Timeout) => Some(Rule::Infra),
        (Spec | Build | Review | Merge, V::RateLimited) => Some(Rule::RateLimit),

        (Spec | Build | Merge, V::TamperSuspected | V::ReviewRejected)
        | (Spec | Build, V::TestsFailed | V::RebaseConflict)
        | (Spec | Merge, V::SpecWrong | V::ContractChanged)
        | (Build | Review | Merge, V::SpecInvalid | V::SpecAmbiguous)
        | (Spec | Review | Merge, V::NoChange | V::BuildFailed | V::PolicyViolation)
        | (Spec | Build | Review, V::HeadMoved | V::BaseMoved) => None,
    }
}

/// Decides what an event does to an item.
///
/// # Errors
/// [`Refusal::Illegal`] when the event has no place in the item's phase; the state is then unchanged.
pub fn step(state: &ItemState, event: &Event, policy: &Policy) -> Result<Transition, Refusal> {
    let illegal = Refusal::Illegal { from: state.phase(), event: event.kind() };
    match (state.stage, *event) {
        (Stage::Working(phase), Event::Verdict(verdict)) => {
            rule(phase, verdict).map(|rule| apply_rule(state.budget, phase, rule, policy)).ok_or(illegal)
        }
        (Stage::Working(phase), Event::MoneySpent) => {
            Ok(blocked(state.budget, Charge::Free, phase, BlockReason::MoneySpent))
        }
        (Stage::AwaitingHuman { resume }, Event::Answered) => Ok(resumed(state.budget, resume)),
        (Stage::Blocked { resume, .. }, Event::Answered) => {
            // An answer to a blocked item would lead nowhere without an attempt to use it in.
            Ok(resumed(state.budget.granted(NonZeroU16::MIN), resume))
        }
        (Stage::AwaitingHuman { resume } | Stage::Blocked { resume, .. }, Event::Retried { attempts }) => {
            Ok(resumed(state.budget.granted(attempts), resume))
        }
        (Stage::Working(_) | Stage::AwaitingHuman { .. } | Stage::Blocked { .. }, Event::Cancelled) => Ok(Transition {
            to: ItemState { stage: Stage::Cancelled, budget: state.budget },
            charge: Charge::Free,
            effects: vec![Effect::Announce(Announcement::Cancelled), Effect::CloseIssues],
        }),
        (Stage::Working(_), Event::Answered | Event::Retried { .. })
        | (Stage::AwaitingHuman { .. } | Stage::Blocked { .. }, Event::Verdict(_) | Event::MoneySpent)
        | (
            Stage::Merged | Stage::Cancelled,
            Event::Verdict(_) | Event::MoneySpent | Event::Answered | Event::Retried { .. } | Event::Cancelled,
        ) => Err(illegal),
    }
}

fn apply_rule(budget: Budget, phase: WorkPhase, rule: Rule, policy: &Policy) -> Transition {
    match rule {
        Rule::Advance(next) => working(budget, Charge::Free, next, vec![Effect::Announce(Announcement::Advanced)]),
        Rule::Land => Transition {
            to: ItemState { stage: Stage::Merged, budget },
            charge: Charge::Free,
            effects: vec![Effect::Announce(Announcement::Merged), Effect::CloseIssues],
        },
        Rule::Ask => Transition {
            to: ItemState { stage: Stage::AwaitingHuman { resume: phase }, budget },
            charge: Charge::Free,
            effects: vec![Effect::Announce(Announcement::AwaitingHuman), Effect::OpenIssue(IssueKind::Question)],
        },
        Rule::Attempt(next) => attempt_failed(budget, next, None),
        Rule::Tamper(next) => {
            let budget = Budget { tampers: budget.tampers.saturating_add(1), ..budget };
            let parked = budget.tampers >= policy.max_tampers.get();
            attempt_failed(budget, next, parked.then_some(BlockReason::Tampering))
        }
        Rule::Infra => infra_failed(budget, phase, policy, None),
        Rule::RateLimit => infra_failed(budget, phase, policy, Some(Effect::CloseLane)),
        Rule::Move(next) => {
            let budget = Budget { moves: budget.moves.saturating_add(1), ..budget };
            if budget.moves >= policy.max_moves.get() {
                return blocked(budget, Charge::Move, next, BlockReason::Moves);
            }
            working(budget, Charge::Move, next, vec![Effect::Announce(Announcement::Retrying)])
        }
    }
}

/// One attempt is used; the item goes on in `next` unless that was its last or `parked` says otherwise.
fn attempt_failed(budget: Budget, next: WorkPhase, parked: Option<BlockReason>) -> Transition {
    let budget = Budget { attempts_used: budget.attempts_used.saturating_add(1), ..budget };
    let spent = budget.attempts_used >= budget.attempts_granted.get();
    match parked.or(spent.then_some(BlockReason::AttemptsSpent)) {
        Some(reason) => blocked(budget, Charge::Attempt, next, reason),
        None => working(budget, Charge::Attempt, next, vec![Effect::Announce(Announcement::Retrying)]),
    }
}

/// The surroundings failed; the item tries the same phase again after a backoff, unless they failed too often.
fn infra_failed(budget: Budget, phase: WorkPhase, policy: &Policy, also: Option<Effect>) -> Transition {
    let budget = Budget { infra_failures: budget.infra_failures.saturating_add(1), ..budget };
    let mut transition = if budget.infra_failures >= policy.max_infra_failures.get() {
        blocked(budget, Charge::InfraFailure, phase, BlockReason::InfraFailures)
    } else {
        let back_off = Effect::BackOff { failures: budget.infra_failures };
        working(budget, Charge::InfraFailure, phase, vec![Effect::Announce(Announcement::Retrying), back_off])
    };
    transition.effects.extend(also);
    transition
}

fn working(budget: Budget, charge: Charge, phase: WorkPhase, effects: Vec<Effect>) -> Transition {
    Transition { to: ItemState { stage: Stage::Working(phase), budget }, charge, effects }
}

fn blocked(budget: Budget, charge: Charge, resume: WorkPhase, reason: BlockReason) -> Transition {
    Transition {
        to: ItemState { stage: Stage::Blocked { resume, reason }, budget },
        charge,
        effects: vec![Effect::Announce(Announcement::Blocked), Effect::OpenIssue(IssueKind::Blocked)],
    }
}

fn resumed(budget: Budget, phase: WorkPhase) -> Transition {
    working(budget, Charge::Free, phase, vec![Effect::Announce(Announcement::Resumed), Effect::CloseIssues])
}

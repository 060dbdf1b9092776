//! Random walks through [`step`] under random policies and budgets: what must hold of every single transition, and of every history.
//!
//! A walk mixes what is possible where it stands with what is not, so that it gets far and is refused often. The same holds of single
//! steps from states that no walk reaches.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::LazyLock;

use damascus_core::{
    Announcement, Backoff, BlockReason, Budget, Charge, Effect, Event, EventKind, IssueKind, ItemState, Named, Phase,
    Policy, Refusal, Stage, Transition, Verdict, WorkPhase, step, table,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseResult;

static ROWS: LazyLock<BTreeSet<table::Row>> = LazyLock::new(table::rows);
static TRIPLES: LazyLock<BTreeSet<(&str, &str, &str)>> = LazyLock::new(table::legal_triples);

fn nonzero(range: std::ops::RangeInclusive<u16>) -> impl Strategy<Value = NonZeroU16> {
    range.prop_filter_map("zero", NonZeroU16::new)
}

fn policies(highest: u16) -> impl Strategy<Value = Policy> {
    (nonzero(1..=highest), nonzero(1..=highest), nonzero(1..=highest)).prop_map(
        |(max_infra_failures, max_moves, max_tampers)| Policy {
            max_infra_failures,
            max_moves,
            max_tampers,
            backoff: Backoff::default(),
        },
    )
}

fn kinds() -> impl Strategy<Value = EventKind> {
    select(EventKind::all().collect::<Vec<_>>())
}

/// How the next event of a walk is found.
#[derive(Debug, Clone)]
enum Pick {
    /// A run passes.
    Pass,
    /// Something that is possible in the phase.
    Possible(Index),
    /// Anything.
    Any(EventKind),
}

fn picks() -> impl Strategy<Value = (Pick, NonZeroU16)> {
    let pick = prop_oneof![
        3 => Just(Pick::Pass),
        5 => any::<Index>().prop_map(Pick::Possible),
        2 => kinds().prop_map(Pick::Any),
    ];
    (pick, nonzero(1..=3))
}

impl Pick {
    fn event(&self, from: Phase, attempts: NonZeroU16) -> Event {
        let kind = match self {
            Self::Pass => EventKind::Verdict(Verdict::Pass),
            Self::Any(kind) => *kind,
            Self::Possible(index) => {
                // To give an item up is possible everywhere; it would end most walks before they led anywhere.
                let possible: Vec<EventKind> = ROWS
                    .iter()
                    .filter(|row| row.from == from && row.event != EventKind::Cancelled)
                    .map(|row| row.event)
                    .collect();
                if possible.is_empty() { EventKind::Cancelled } else { *index.get(&possible) }
            }
        };
        kind.event(attempts)
    }
}

const fn is_of_a_person(event: Event) -> bool {
    match event {
        Event::Answered | Event::Retried { .. } | Event::Cancelled => true,
        Event::Verdict(_) | Event::MoneySpent => false,
    }
}

fn announcement_for(event: Event, to: Phase) -> Announcement {
    match to {
        Phase::Merged => Announcement::Merged,
        Phase::Cancelled => Announcement::Cancelled,
        Phase::Blocked => Announcement::Blocked,
        Phase::AwaitingHuman => Announcement::AwaitingHuman,
        Phase::Spec | Phase::Build | Phase::Review | Phase::Merge if is_of_a_person(event) => Announcement::Resumed,
        Phase::Spec | Phase::Build | Phase::Review | Phase::Merge => {
            if event == Event::Verdict(Verdict::Pass) {
                Announcement::Advanced
            } else {
                Announcement::Retrying
            }
        }
    }
}

/// The effects that fit a change, in any order.
fn effects_for(event: Event, done: &Transition) -> Vec<Effect> {
    let to = done.to.phase();
    let mut effects = vec![Effect::Announce(announcement_for(event, to))];
    if to == Phase::AwaitingHuman {
        effects.push(Effect::OpenIssue(IssueKind::Question));
    }
    if to == Phase::Blocked {
        effects.push(Effect::OpenIssue(IssueKind::Blocked));
    }
    if is_of_a_person(event) || to.is_end() {
        effects.push(Effect::CloseIssues);
    }
    if done.charge == Charge::InfraFailure && to != Phase::Blocked {
        effects.push(Effect::BackOff { failures: done.to.budget.infra_failures });
    }
    if event == Event::Verdict(Verdict::RateLimited) {
        effects.push(Effect::CloseLane);
    }
    effects
}

/// What holds of one step, wherever it starts.
fn check_step(before: &ItemState, event: Event, policy: &Policy) -> TestCaseResult {
    let decided = step(before, &event, policy);
    prop_assert_eq!(&decided, &step(before, &event, policy), "two answers to the same question");
    let from = before.phase();
    let done = match decided {
        Err(refusal) => {
            prop_assert_eq!(refusal, Refusal::Illegal { from, event: event.kind() });
            prop_assert!(!ROWS.iter().any(|row| row.from == from && row.event == event.kind()));
            return Ok(());
        }
        Ok(done) => done,
    };
    prop_assert!(!from.is_end(), "an end was left");
    let triple = (from.name(), event.kind().name(), done.to.phase().name());
    prop_assert!(TRIPLES.contains(&triple), "{:?} is not in the table", triple);

    let mut expected = effects_for(event, &done);
    for effect in &done.effects {
        let place = expected.iter().position(|one| one == effect);
        prop_assert!(place.is_some(), "{:?} does not fit, or twice", effect);
        expected.swap_remove(place.unwrap_or_default());
    }
    prop_assert!(expected.is_empty(), "{:?} is missing", expected);
    Ok(())
}

/// Whether the review has passed since the last build, after one more step.
fn reviewed_after(reviewed: bool, before: Stage, event: Event, to: Stage) -> bool {
    let passed = (before, event) == (Stage::Working(WorkPhase::Review), Event::Verdict(Verdict::Pass));
    let back = |phase: WorkPhase| phase != WorkPhase::Merge;
    match to {
        Stage::Working(phase) if back(phase) => false,
        Stage::AwaitingHuman { resume } | Stage::Blocked { resume, .. } if back(resume) => false,
        Stage::Working(_) | Stage::AwaitingHuman { .. } | Stage::Blocked { .. } | Stage::Merged | Stage::Cancelled => {
            reviewed || passed
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_walk_keeps_to_the_rules(
        policy in policies(4),
        attempts in nonzero(1..=4),
        walk in prop::collection::vec(picks(), 0..60),
    ) {
        let mut state = ItemState::new(attempts);
        let mut reviewed = false;
        let mut granted = u32::from(attempts.get());
        for (pick, more) in walk {
            let event = pick.event(state.phase(), more);
            check_step(&state, event, &policy)?;
            let Ok(done) = step(&state, &event, &policy) else { continue };
            prop_assert!(!state.phase().is_end());
            reviewed = reviewed_after(reviewed, state.stage, event, done.to.stage);
            prop_assert!(reviewed || done.to.stage != Stage::Merged, "merged without a review");
            granted += match event {
                Event::Retried { attempts } => u32::from(attempts.get()),
                Event::Answered => u32::from(state.phase() == Phase::Blocked),
                Event::Verdict(_) | Event::MoneySpent | Event::Cancelled => 0,
            };
            state = done.to;
            let budget = state.budget;
            prop_assert_eq!(u32::from(budget.attempts_granted.get()), granted);
            prop_assert!(budget.attempts_used <= budget.attempts_granted.get());
            prop_assert!(budget.infra_failures <= policy.max_infra_failures.get());
            prop_assert!(budget.moves <= policy.max_moves.get());
            prop_assert!(budget.tampers <= policy.max_tampers.get());
            prop_assert_eq!(state.phase() == Phase::Blocked, state.stage.block_reason().is_some());
        }
    }

    #[test]
    fn every_step_keeps_to_the_rules_from_any_state(
        stage in select(table::stages()),
        counters in any::<[u16; 4]>(),
        granted in nonzero(1..=u16::MAX),
        policy in policies(u16::MAX),
        kind in kinds(),
        attempts in nonzero(1..=u16::MAX),
    ) {
        let [attempts_used, infra_failures, moves, tampers] = counters;
        let budget = Budget { attempts_granted: granted, attempts_used, infra_failures, moves, tampers };
        check_step(&ItemState { stage, budget }, kind.event(attempts), &policy)?;
    }

    #[test]
    fn a_walk_of_passes_merges_whatever_the_budget(policy in policies(3), attempts in nonzero(1..=3)) {
        let mut state = ItemState::new(attempts);
        for to in [Phase::Build, Phase::Review, Phase::Merge, Phase::Merged] {
            let done = step(&state, &Event::Verdict(Verdict::Pass), &policy);
            prop_assert_eq!(done.as_ref().map(|done| (done.to.phase(), done.charge)), Ok((to, Charge::Free)));
            state = done.map_or(state, |done| done.to);
        }
        prop_assert_eq!(state.budget, Budget::new(attempts));
    }
}

#[test]
fn the_reason_for_a_block_is_the_budget_that_was_spent() {
    let one = NonZeroU16::MIN;
    let policy = Policy { max_infra_failures: one, max_moves: one, max_tampers: one, backoff: Backoff::default() };
    for (phase, verdict, reason) in [
        (WorkPhase::Build, Verdict::NoChange, BlockReason::AttemptsSpent),
        (WorkPhase::Spec, Verdict::Timeout, BlockReason::InfraFailures),
        (WorkPhase::Merge, Verdict::BaseMoved, BlockReason::Moves),
        // Both the attempt and the suspicion were the last; tampering is what a person must know of.
        (WorkPhase::Review, Verdict::TamperSuspected, BlockReason::Tampering),
    ] {
        let state = ItemState { stage: Stage::Working(phase), budget: Budget::new(one) };
        let done = step(&state, &Event::Verdict(verdict), &policy);
        assert_eq!(done.map(|done| done.to.stage.block_reason()), Ok(Some(reason)));
    }
}

//! The table of transitions, row by row: what the contract says of each event in each stage, written down by hand and held against
//! [`step`] for every stage, every event and every budget that is at its last; and the rendered page against the one in `docs/`.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use damascus_core::{
    BlockReason, Budget, Charge, Event, EventKind, ItemState, Named, Phase, Policy, Refusal, Stage, Verdict, WorkPhase,
    step, table,
};

use Verdict as V;
use WorkPhase::{Build, Merge, Review, Spec};

/// Where a verdict leads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    /// Into this phase, for free.
    Next(WorkPhase),
    /// To the end.
    Merged,
    /// To a person with a question.
    Asks,
    /// Into this phase, for an attempt.
    Attempt(WorkPhase),
    /// Into this phase, for an attempt and a suspicion of tampering.
    Tamper(WorkPhase),
    /// Into the same phase, for a failure of the surroundings.
    Infra,
    /// Into this phase, for a move.
    Move(WorkPhase),
}

/// The contract's table; a verdict that is missing under a phase is refused there.
const VERDICTS: [(WorkPhase, V, To); 33] = [
    (Spec, V::Pass, To::Next(Build)),
    (Spec, V::SpecInvalid, To::Attempt(Spec)),
    (Spec, V::SpecAmbiguous, To::Asks),
    (Spec, V::InfraError, To::Infra),
    (Spec, V::Timeout, To::Infra),
    (Spec, V::RateLimited, To::Infra),
    (Build, V::Pass, To::Next(Review)),
    (Build, V::NoChange, To::Attempt(Build)),
    (Build, V::BuildFailed, To::Attempt(Build)),
    (Build, V::PolicyViolation, To::Attempt(Build)),
    (Build, V::SpecWrong, To::Attempt(Spec)),
    (Build, V::ContractChanged, To::Attempt(Spec)),
    (Build, V::InfraError, To::Infra),
    (Build, V::Timeout, To::Infra),
    (Build, V::RateLimited, To::Infra),
    (Review, V::Pass, To::Next(Merge)),
    (Review, V::TestsFailed, To::Attempt(Build)),
    (Review, V::ReviewRejected, To::Attempt(Build)),
    (Review, V::RebaseConflict, To::Attempt(Build)),
    (Review, V::TamperSuspected, To::Tamper(Build)),
    (Review, V::SpecWrong, To::Attempt(Spec)),
    (Review, V::ContractChanged, To::Attempt(Spec)),
    (Review, V::InfraError, To::Infra),
    (Review, V::Timeout, To::Infra),
    (Review, V::RateLimited, To::Infra),
    (Merge, V::Pass, To::Merged),
    (Merge, V::HeadMoved, To::Move(Review)),
    (Merge, V::BaseMoved, To::Move(Review)),
    (Merge, V::RebaseConflict, To::Attempt(Build)),
    (Merge, V::TestsFailed, To::Attempt(Build)),
    (Merge, V::InfraError, To::Infra),
    (Merge, V::Timeout, To::Infra),
    (Merge, V::RateLimited, To::Infra),
];

const ATTEMPTS: u16 = 3;
const INFRA_FAILURES: u16 = 10;
const MOVES: u16 = 5;
const TAMPERS: u16 = 2;

const fn nonzero(n: u16) -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(n - 1)
}

const FRESH: Budget = Budget::new(nonzero(ATTEMPTS));

/// A fresh budget, one each that has one left of one thing, and one that has one left of everything.
fn budgets() -> [Budget; 6] {
    let [attempts_used, infra_failures, moves, tampers] = [ATTEMPTS - 1, INFRA_FAILURES - 1, MOVES - 1, TAMPERS - 1];
    [
        FRESH,
        Budget { attempts_used, ..FRESH },
        Budget { infra_failures, ..FRESH },
        Budget { moves, ..FRESH },
        Budget { tampers, ..FRESH },
        Budget { attempts_used, infra_failures, moves, tampers, ..FRESH },
    ]
}

/// Every stage, written down here and not taken from the crate.
fn all_stages() -> Vec<Stage> {
    let mut stages = vec![Stage::Merged, Stage::Cancelled];
    for phase in [Spec, Build, Review, Merge] {
        stages.extend([Stage::Working(phase), Stage::AwaitingHuman { resume: phase }]);
        for reason in [
            BlockReason::AttemptsSpent,
            BlockReason::InfraFailures,
            BlockReason::Moves,
            BlockReason::Tampering,
            BlockReason::MoneySpent,
        ] {
            stages.push(Stage::Blocked { resume: phase, reason });
        }
    }
    stages
}

/// Every event; a retry with one attempt and with several.
fn all_events() -> Vec<Event> {
    let mut events: Vec<Event> = Verdict::ALL.iter().map(|&verdict| Event::Verdict(verdict)).collect();
    events.extend([1, 4].map(|attempts| Event::Retried { attempts: nonzero(attempts) }));
    events.extend([Event::MoneySpent, Event::Answered, Event::Cancelled]);
    events
}

/// What the contract says: the stage, the budget and what was used up; nothing where it refuses.
fn expected(stage: Stage, event: Event, budget: Budget) -> Option<(Stage, Budget, Charge)> {
    let started_again = Budget { infra_failures: 0, moves: 0, tampers: 0, ..budget };
    let granted = |n: u16| Budget { attempts_granted: nonzero(ATTEMPTS + n), ..started_again };
    match (stage, event) {
        (Stage::Merged | Stage::Cancelled, _) => None,
        (_, Event::Cancelled) => Some((Stage::Cancelled, budget, Charge::Free)),

        (Stage::Working(phase), Event::Verdict(verdict)) => {
            let rule = VERDICTS.iter().find(|(from, on, _)| (*from, *on) == (phase, verdict));
            rule.map(|&(.., to)| after_verdict(phase, to, budget))
        }
        (Stage::Working(resume), Event::MoneySpent) => {
            Some((Stage::Blocked { resume, reason: BlockReason::MoneySpent }, budget, Charge::Free))
        }
        (Stage::Working(_), Event::Answered | Event::Retried { .. }) => None,

        // An answer to a question costs and grants nothing; one to a blocked item grants the attempt to use it in.
        (Stage::AwaitingHuman { resume }, Event::Answered) => Some((Stage::Working(resume), budget, Charge::Free)),
        (Stage::Blocked { resume, .. }, Event::Answered) => Some((Stage::Working(resume), granted(1), Charge::Free)),
        (Stage::AwaitingHuman { resume } | Stage::Blocked { resume, .. }, Event::Retried { attempts }) => {
            Some((Stage::Working(resume), granted(attempts.get()), Charge::Free))
        }
        (Stage::AwaitingHuman { .. } | Stage::Blocked { .. }, Event::Verdict(_) | Event::MoneySpent) => None,
    }
}

fn after_verdict(phase: WorkPhase, to: To, before: Budget) -> (Stage, Budget, Charge) {
    let attempt = Budget { attempts_used: before.attempts_used + 1, ..before };
    let out_of_attempts = (attempt.attempts_used == ATTEMPTS).then_some(BlockReason::AttemptsSpent);
    let (next, budget, charge, parked) = match to {
        To::Merged => return (Stage::Merged, before, Charge::Free),
        To::Asks => return (Stage::AwaitingHuman { resume: phase }, before, Charge::Free),
        To::Next(next) => (next, before, Charge::Free, None),
        To::Attempt(next) => (next, attempt, Charge::Attempt, out_of_attempts),
        To::Tamper(next) => {
            let budget = Budget { tampers: before.tampers + 1, ..attempt };
            let again = (budget.tampers == TAMPERS).then_some(BlockReason::Tampering);
            (next, budget, Charge::Attempt, again.or(out_of_attempts))
        }
        To::Infra => {
            let budget = Budget { infra_failures: before.infra_failures + 1, ..before };
            let spent = budget.infra_failures == INFRA_FAILURES;
            (phase, budget, Charge::InfraFailure, spent.then_some(BlockReason::InfraFailures))
        }
        To::Move(next) => {
            let budget = Budget { moves: before.moves + 1, ..before };
            (next, budget, Charge::Move, (budget.moves == MOVES).then_some(BlockReason::Moves))
        }
    };
    let stage = parked.map_or(Stage::Working(next), |reason| Stage::Blocked { resume: next, reason });
    (stage, budget, charge)
}

#[test]
fn table_defaults_are_those_of_the_contract() {
    let policy = Policy::default();
    assert_eq!(damascus_core::policy::DEFAULT_ATTEMPTS.get(), ATTEMPTS);
    assert_eq!(
        (policy.max_infra_failures.get(), policy.max_moves.get(), policy.max_tampers.get()),
        (INFRA_FAILURES, MOVES, TAMPERS)
    );
}

#[test]
fn table_holds_for_every_stage_event_and_budget() {
    let policy = Policy::default();
    let mut decided = 0;
    for stage in all_stages() {
        for event in all_events() {
            for budget in budgets() {
                let state = ItemState { stage, budget };
                let found = step(&state, &event, &policy).map(|done| (done.to.stage, done.to.budget, done.charge));
                let illegal = Refusal::Illegal { from: stage.phase(), event: event.kind() };
                assert_eq!(found, expected(stage, event, budget).ok_or(illegal), "{event:?} in {state:?}");
                decided += usize::from(found.is_ok());
            }
        }
    }
    // 33 verdicts, money and cancel in 4 phases; 3 human events and a second retry in 24 parked stages: with 6 budgets each.
    assert_eq!(decided, (33 + 2 * 4 + 4 * 24) * 6);
}

#[test]
fn table_ends_refuse_everything() {
    for stage in [Stage::Merged, Stage::Cancelled] {
        for event in all_events() {
            let refused = step(&ItemState { stage, budget: FRESH }, &event, &Policy::default());
            assert_eq!(refused, Err(Refusal::Illegal { from: stage.phase(), event: event.kind() }));
        }
    }
}

#[test]
fn table_lists_every_stage_and_event_once() {
    let listed = table::stages();
    assert_eq!(listed.len(), 30);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), all_stages().into_iter().collect());
    let kinds: Vec<EventKind> = EventKind::all().collect();
    assert_eq!(kinds.len(), Verdict::ALL.len() + 4);
    assert_eq!(
        kinds.iter().copied().collect::<BTreeSet<_>>(),
        all_events().into_iter().map(Event::kind).collect::<BTreeSet<_>>()
    );
    let names: BTreeSet<&str> = kinds.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), kinds.len(), "two events share a name");
    for kind in kinds {
        assert_eq!(kind.event(nonzero(2)).kind(), kind);
    }
}

#[test]
fn table_for_the_database_holds_what_can_happen_and_nothing_else() {
    let mut triples = BTreeSet::new();
    for stage in all_stages() {
        for event in all_events() {
            for (to, ..) in budgets().into_iter().filter_map(|budget| expected(stage, event, budget)) {
                triples.insert((stage.phase().name(), event.kind().name(), to.phase().name()));
            }
        }
    }
    assert_eq!(table::legal_triples(), triples);
}

#[test]
fn table_stages_come_back_from_their_parts_and_from_no_others() {
    let options = |all: &'static [WorkPhase]| std::iter::once(None).chain(all.iter().copied().map(Some));
    let mut whole = BTreeSet::new();
    for &phase in Phase::ALL {
        for resume in options(WorkPhase::ALL) {
            for reason in std::iter::once(None).chain(BlockReason::ALL.iter().copied().map(Some)) {
                match Stage::from_parts(phase, resume, reason) {
                    Ok(stage) => {
                        assert_eq!((stage.phase(), stage.resume(), stage.block_reason()), (phase, resume, reason));
                        whole.insert(stage);
                    }
                    Err(found) => assert_eq!((found.phase, found.resume, found.reason), (phase, resume, reason)),
                }
            }
        }
    }
    assert_eq!(whole, all_stages().into_iter().collect());
}

#[test]
fn table_in_the_documentation_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/transitions.md");
    let rendered = table::markdown();
    if std::env::var_os("DAMASCUS_REGENERATE").is_some() {
        std::fs::write(path, &rendered).expect("docs/transitions.md can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == rendered,
        "docs/transitions.md differs from what step() does; look at the change, then write it with \
         `DAMASCUS_REGENERATE=1 cargo nextest run -p damascus-core table`"
    );
}

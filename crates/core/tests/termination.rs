//! Termination, proven twice over [`step`] itself.
//!
//! 1. A measure falls with every verdict in every state, reachable or not: a tuple of what is left, compared from the left. That is the
//!    proof that a person can follow.
//! 2. The graph of all states that a new item can reach without a person has no cycle, every path through it ends in a state that only a
//!    person can leave or nobody, and the longest is as long as [`table::most_runs`] says.
//!
//! Steps that are broken on purpose show that both proofs would notice.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use damascus_core::policy::DEFAULT_ATTEMPTS;
use damascus_core::table::{self, most_runs};
use damascus_core::{
    Backoff, Budget, Event, ItemState, Named, Policy, Refusal, Stage, Transition, Verdict, WorkPhase, cycle, step,
};
use proptest::prelude::*;

type Step = fn(&ItemState, &Event, &Policy) -> Result<Transition, Refusal>;

const fn nonzero(n: u16) -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(n.saturating_sub(1))
}

fn policy(infra_failures: u16, moves: u16, tampers: u16) -> Policy {
    Policy {
        max_infra_failures: nonzero(infra_failures),
        max_moves: nonzero(moves),
        max_tampers: nonzero(tampers),
        backoff: Backoff::default(),
    }
}

/// What happens without a person.
fn automatic_events() -> impl Iterator<Item = Event> {
    Verdict::ALL.iter().copied().map(Event::Verdict).chain([Event::MoneySpent])
}

// --- the measure

/// What is left to an item: whether it works at all, attempts, moves, failures of the surroundings, phases until it lands.
fn measure(state: &ItemState, policy: &Policy) -> (bool, u16, u16, u16, u8) {
    let Stage::Working(phase) = state.stage else { return (false, 0, 0, 0, 0) };
    let Budget { attempts_granted, attempts_used, infra_failures, moves, tampers: _ } = state.budget;
    let phases = match phase {
        WorkPhase::Spec => 4,
        WorkPhase::Build => 3,
        WorkPhase::Review => 2,
        WorkPhase::Merge => 1,
    };
    (
        true,
        attempts_granted.get().saturating_sub(attempts_used),
        policy.max_moves.get().saturating_sub(moves),
        policy.max_infra_failures.get().saturating_sub(infra_failures),
        phases,
    )
}

/// The first event after which less is not left.
fn not_decreasing(step: Step, state: &ItemState, policy: &Policy) -> Option<Event> {
    automatic_events()
        .find(|event| step(state, event, policy).is_ok_and(|done| measure(&done.to, policy) >= measure(state, policy)))
}

/// Every working state whose counters are around their limits, or around the ends of their type.
fn corner_states(policy: &Policy) -> Vec<ItemState> {
    let around = |limit: NonZeroU16| [0, limit.get() - 1, limit.get(), u16::MAX];
    let mut states = Vec::new();
    for attempts_granted in [nonzero(1), nonzero(3), NonZeroU16::MAX] {
        for attempts_used in around(attempts_granted) {
            for infra_failures in around(policy.max_infra_failures) {
                for moves in around(policy.max_moves) {
                    for tampers in around(policy.max_tampers) {
                        let budget = Budget { attempts_granted, attempts_used, infra_failures, moves, tampers };
                        states.extend(
                            WorkPhase::ALL.iter().map(|&phase| ItemState { stage: Stage::Working(phase), budget }),
                        );
                    }
                }
            }
        }
    }
    states
}

#[test]
fn less_is_left_after_every_verdict_at_every_limit() {
    for policy in [Policy::default(), policy(1, 1, 1), policy(u16::MAX, u16::MAX, u16::MAX)] {
        for state in corner_states(&policy) {
            assert_eq!(not_decreasing(step, &state, &policy), None, "in {state:?}");
        }
    }
}

#[test]
fn nothing_happens_without_a_person_where_nothing_is_left() {
    for stage in table::stages().into_iter().filter(|stage| stage.phase().working().is_none()) {
        let state = ItemState { stage, budget: Budget::new(DEFAULT_ATTEMPTS) };
        for event in automatic_events() {
            assert!(step(&state, &event, &Policy::default()).is_err(), "{event:?} in {state:?}");
        }
    }
}

proptest! {
    #[test]
    fn less_is_left_after_every_verdict_in_every_state(
        phase in prop::sample::select(WorkPhase::ALL),
        limits in any::<[u16; 4]>(),
        used in any::<[u16; 4]>(),
    ) {
        let [attempts, infra, moves, tampers] = limits;
        let policy = policy(infra, moves, tampers);
        let [attempts_used, infra_failures, moves, tampers] = used;
        let budget = Budget { attempts_granted: nonzero(attempts), attempts_used, infra_failures, moves, tampers };
        let state = ItemState { stage: Stage::Working(phase), budget };
        prop_assert_eq!(not_decreasing(step, &state, &policy), None);
    }
}

// --- the graph

/// The states that can be reached without a person, with an edge for every automatic event that [`step`] accepts.
struct Graph {
    states: Vec<ItemState>,
    /// From state to state, by number; whether a run led there.
    edges: Vec<Vec<(usize, bool)>>,
}

impl Graph {
    fn explore(step: Step, policy: &Policy, starts: &[ItemState]) -> Self {
        let mut graph = Self { states: Vec::new(), edges: Vec::new() };
        let mut numbers: BTreeMap<ItemState, usize> = BTreeMap::new();
        let mut number_of = |states: &mut Vec<ItemState>, state: ItemState| {
            *numbers.entry(state).or_insert_with(|| {
                states.push(state);
                states.len() - 1
            })
        };
        for &start in starts {
            number_of(&mut graph.states, start);
        }
        while let Some(&state) = graph.states.get(graph.edges.len()) {
            let mut out = Vec::new();
            for event in automatic_events() {
                if let Ok(done) = step(&state, &event, policy) {
                    out.push((number_of(&mut graph.states, done.to), matches!(event, Event::Verdict(_))));
                }
            }
            graph.edges.push(out);
        }
        graph
    }

    /// The members of a cycle, if there is one.
    fn cycle(&self) -> Option<Vec<ItemState>> {
        let pairs: Vec<(usize, usize)> =
            self.edges.iter().enumerate().flat_map(|(from, out)| out.iter().map(move |&(to, _)| (from, to))).collect();
        Some(cycle::find(&pairs)?.into_iter().map(|number| self.states[number]).collect())
    }

    /// The most runs on any path from each state. Only for a graph without cycles.
    fn most_runs(&self) -> Vec<u64> {
        let mut longest: Vec<Option<u64>> = vec![None; self.states.len()];
        // A state is looked at again when all that it leads to is known.
        let mut open: Vec<usize> = (0..self.states.len()).collect();
        while let Some(&from) = open.last() {
            let unknown: Vec<usize> =
                self.edges[from].iter().map(|&(to, _)| to).filter(|&to| longest[to].is_none()).collect();
            if unknown.is_empty() {
                let runs = self.edges[from].iter().filter_map(|&(to, run)| Some(longest[to]? + u64::from(run)));
                longest[from] = Some(runs.max().unwrap_or(0));
                open.pop();
            } else {
                open.extend(unknown);
            }
        }
        longest.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The states in which a path ends.
    fn ends(&self) -> impl Iterator<Item = &ItemState> {
        self.states.iter().zip(&self.edges).filter(|(_, out)| out.is_empty()).map(|(state, _)| state)
    }
}

#[test]
fn a_new_item_ends_or_asks_a_person_after_at_most_27_runs() {
    let policy = Policy::default();
    let graph = Graph::explore(step, &policy, &[ItemState::new(DEFAULT_ATTEMPTS)]);
    assert_eq!(graph.cycle(), None);
    assert!(graph.ends().all(|state| state.phase().is_parked() || state.phase().is_end()));
    assert!(graph.ends().any(|state| state.stage == Stage::Merged));
    assert!(graph.states.len() > 2_000, "only {} states explored", graph.states.len());
    assert_eq!(graph.most_runs()[0], 27);
    assert_eq!(most_runs(&policy, DEFAULT_ATTEMPTS), 27);
    assert!(table::markdown().contains("after at most 27 runs"));
}

#[test]
fn the_most_runs_are_exact_under_every_small_policy() {
    for attempts in 1..=3 {
        for infra_failures in 1..=3 {
            for moves in 1..=3 {
                for tampers in 1..=2 {
                    let policy = policy(infra_failures, moves, tampers);
                    let graph = Graph::explore(step, &policy, &[ItemState::new(nonzero(attempts))]);
                    assert_eq!(graph.cycle(), None, "{policy:?}");
                    assert_eq!(graph.most_runs()[0], most_runs(&policy, nonzero(attempts)), "{policy:?}");
                }
            }
        }
    }
}

#[test]
fn after_a_decision_the_runs_are_bounded_by_the_attempts_that_are_left() {
    let policy = policy(2, 2, 2);
    let decisions = [1, 3].map(|attempts| Event::Retried { attempts: nonzero(attempts) });
    let decisions = decisions.iter().chain([&Event::Answered, &Event::Cancelled]);
    let mut starts = vec![ItemState::new(DEFAULT_ATTEMPTS)];
    // What two people in a row may lead to.
    for _ in 0..2 {
        let graph = Graph::explore(step, &policy, &starts);
        let parked: Vec<&ItemState> = graph.ends().filter(|state| state.phase().is_parked()).collect();
        assert!(!parked.is_empty());
        let decide = |state: &&ItemState| {
            decisions.clone().filter_map(|event| Some(step(state, event, &policy).ok()?.to)).collect::<Vec<_>>()
        };
        starts = parked.iter().flat_map(decide).collect();
        starts.sort_unstable();
        starts.dedup();
        let graph = Graph::explore(step, &policy, &starts);
        assert_eq!(graph.cycle(), None);
        for (state, runs) in graph.states.iter().zip(graph.most_runs()) {
            let left = state.budget.attempts_granted.get() - state.budget.attempts_used;
            assert!(runs <= most_runs(&policy, nonzero(left)), "{runs} from {state:?}");
        }
    }
}

// --- broken on purpose

/// [`step`], but failures of the surroundings are not counted.
fn uncounted_infra(state: &ItemState, event: &Event, policy: &Policy) -> Result<Transition, Refusal> {
    let mut done = step(state, event, policy)?;
    done.to.budget.infra_failures = state.budget.infra_failures;
    Ok(done)
}

/// [`step`], but moves are not counted.
fn uncounted_moves(state: &ItemState, event: &Event, policy: &Policy) -> Result<Transition, Refusal> {
    let mut done = step(state, event, policy)?;
    done.to.budget.moves = state.budget.moves;
    Ok(done)
}

/// [`step`], but attempts are not counted.
fn uncounted_attempts(state: &ItemState, event: &Event, policy: &Policy) -> Result<Transition, Refusal> {
    let mut done = step(state, event, policy)?;
    done.to.budget.attempts_used = state.budget.attempts_used;
    Ok(done)
}

#[test]
fn both_proofs_notice_a_step_that_does_not_count() {
    let policy = policy(3, 3, 2);
    for (broken, what) in [
        (uncounted_infra as Step, "failures of the surroundings"),
        (uncounted_moves, "moves"),
        (uncounted_attempts, "attempts"),
    ] {
        let graph = Graph::explore(broken, &policy, &[ItemState::new(nonzero(3))]);
        let found = graph.cycle();
        assert!(found.is_some(), "no cycle although {what} are not counted");
        let mut on_it = found.iter().flatten();
        assert!(on_it.all(|state| matches!(state.stage, Stage::Working(_))), "{found:?}");
        let noticed = graph.states.iter().any(|state| not_decreasing(broken, state, &policy).is_some());
        assert!(noticed, "the measure falls although {what} are not counted");
    }
}

/// [`step`], but one failure of the surroundings more than the policy allows.
fn one_too_many(state: &ItemState, event: &Event, policy: &Policy) -> Result<Transition, Refusal> {
    step(state, event, &Policy { max_infra_failures: policy.max_infra_failures.saturating_add(1), ..*policy })
}

#[test]
fn the_longest_path_notices_a_limit_that_is_off_by_one() {
    let graph = Graph::explore(one_too_many, &Policy::default(), &[ItemState::new(DEFAULT_ATTEMPTS)]);
    assert_eq!(graph.most_runs()[0], 28);
}

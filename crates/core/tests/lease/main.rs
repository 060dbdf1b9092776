//! The protocol around [`step`], checked exhaustively by a model checker: workers that claim, report, crash, hand back or wake up late, a
//! sweep that reports a lost lease on a worker's behalf, a server that crashes and forgets a claim, and a person who decides at any moment.
//!
//! What it proves, in every state that can be reached: a report under an old lease changes nothing; what merged passed its review since
//! the last build; a charge uses up a budget, and an item is blocked exactly when one is spent; an end is never left; without a person
//! every path comes to rest. Protocols that are broken on purpose show that the checker would notice.

mod properties;
mod protocol;

use std::collections::HashMap;
use std::num::NonZeroU16;

use damascus_core::policy::DEFAULT_ATTEMPTS;
use damascus_core::{Backoff, Policy, cycle};
use stateright::{Checker, HasDiscoveries, Model};

use properties::{RULES, broken_rule};
use protocol::{Action, Protocol, World};

fn small(infra_failures: u16, moves: u16) -> Policy {
    let nonzero = |n: u16| NonZeroU16::MIN.saturating_add(n - 1);
    Policy {
        max_infra_failures: nonzero(infra_failures),
        max_moves: nonzero(moves),
        max_tampers: nonzero(2),
        backoff: Backoff::default(),
    }
}

/// Small limits and two decisions: a person meets every counter at every value, and grants all attempts but the first.
fn two_decisions() -> Protocol {
    Protocol::new(small(2, 2), NonZeroU16::MIN, 2)
}

/// A cycle in the graph of all states that can be reached. A lease that is handed back or forgotten, and claimed again, leads back to where
/// it was, so these two are followed but are no edges.
fn cycle_of(protocol: &Protocol) -> Option<Vec<World>> {
    let mut worlds = protocol.init_states();
    let mut numbers: HashMap<World, usize> = worlds.iter().cloned().zip(0..).collect();
    let mut edges = Vec::new();
    let mut from = 0;
    while let Some(world) = worlds.get(from).cloned() {
        for (action, next) in protocol.next_steps(&world) {
            let to = *numbers.entry(next.clone()).or_insert_with(|| {
                worlds.push(next.clone());
                worlds.len() - 1
            });
            if matches!(action, Action::HandBack | Action::ForgetClaim) {
                assert_eq!((next.item, next.reviewed, next.decisions), (world.item, world.reviewed, world.decisions));
            } else {
                edges.push((from, to));
            }
        }
        from += 1;
    }
    Some(cycle::find(&edges)?.into_iter().map(|number| worlds[number].clone()).collect())
}

/// Looks at every world that can be reached, and tells how many there are.
fn check(protocol: Protocol) -> usize {
    let checker = protocol.checker().spawn_bfs().join();
    assert_eq!(first_broken(&checker), None);
    checker.assert_properties();
    checker.unique_state_count()
}

/// The rule that was found broken first, and how.
fn first_broken(checker: &impl Checker<Protocol>) -> Option<(&'static str, Vec<Action>)> {
    let path = checker.discovery(RULES)?;
    Some((broken_rule(checker.model(), path.last_state())?, path.into_actions()))
}

#[test]
fn a_person_decides_twice_at_any_moment() {
    let worlds = check(two_decisions());
    assert!(worlds > 8_000, "only {worlds} worlds");
}

#[test]
fn nobody_decides_under_the_default_policy() {
    let worlds = check(Protocol::new(Policy::default(), DEFAULT_ATTEMPTS, 0));
    assert!(worlds > 13_000, "only {worlds} worlds");
}

#[test]
fn only_a_lease_without_a_report_leads_back() {
    assert_eq!(cycle_of(&Protocol::new(small(2, 2), NonZeroU16::MIN, 1)), None);
}

#[test]
fn the_checker_notices_what_is_broken() {
    let late = "a late report changes nothing";
    for (broken, rule) in [
        (Protocol { guards_epoch: false, ..two_decisions() }, late),
        (Protocol { guards_owner: false, ..two_decisions() }, late),
        (Protocol { counts_infra: false, ..two_decisions() }, "a charge uses what it says"),
    ] {
        let checker = broken.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        assert_eq!(first_broken(&checker).map(|(rule, _)| rule), Some(rule), "{:?}", checker.model());
    }
}

#[test]
fn a_failure_that_is_not_counted_is_found_as_a_cycle() {
    let uncounted = Protocol { counts_infra: false, ..Protocol::new(small(2, 2), NonZeroU16::MIN, 0) };
    let found = cycle_of(&uncounted).unwrap_or_default();
    assert!(!found.is_empty());
    assert!(found.iter().all(|world| !world.rests()), "{found:?}");
}

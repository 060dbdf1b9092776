//! Tests by name, each once.
//!
//! Invariant: a name counts once; the same name twice is no second test.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use damascus_core::TestCounts;
use damascus_core::display::one_line;

use super::text::{MAX_TESTS, contradiction, quote};
use super::{TestOutcome, Tests, Unreadable};

/// The longest name of a test, in characters.
const MAX_NAME_CHARS: usize = 1_000;

/// Collects tests by name.
#[derive(Default)]
pub(super) struct Tally {
    named: BTreeMap<String, TestOutcome>,
    again: BTreeMap<String, u32>,
    free_names: bool,
}

impl Tally {
    /// For formats in which an honest project may give one name to two tests. They still don't count, but don't smell.
    pub(super) fn of_free_names() -> Self {
        Self { free_names: true, ..Self::default() }
    }

    /// Adds a test. A name that is there already is a contradiction.
    pub(super) fn add(&mut self, name: &str, outcome: TestOutcome) -> Result<(), Unreadable> {
        match self.named.entry(checked(name)?) {
            Entry::Occupied(there) => Err(contradiction(
                !self.free_names,
                format!(
                    "{} is reported twice; give every test its own name, or let the report name their files",
                    quote(there.key())
                ),
            )),
            Entry::Vacant(free) => {
                free.insert(outcome);
                if self.named.len() > MAX_TESTS as usize {
                    return Err(Unreadable::TooLarge { what: "tests in a report", bound: MAX_TESTS as usize });
                }
                Ok(())
            }
        }
    }

    /// Adds a test of a runner that does not say which file it is in, so that two may have one name: later ones get a number. Only for
    /// formats whose own counts bound how many there are.
    pub(super) fn add_numbered(&mut self, name: &str, outcome: TestOutcome) -> Result<(), Unreadable> {
        let times = self.again.entry(checked(name)?).or_default();
        *times += 1;
        let name = if *times == 1 { name.to_owned() } else { format!("{name}#{times}") };
        self.add(&name, outcome)
    }

    /// Adds a failure, on top of what the name may have had.
    pub(super) fn fail(&mut self, name: &str) -> Result<(), Unreadable> {
        self.named.insert(checked(name)?, TestOutcome::Failed);
        Ok(())
    }

    /// Makes a failure a pass: a later attempt of the same test, which the runner counts as passed.
    pub(super) fn pass_after_failing(&mut self, name: &str) {
        if let Some(outcome) = self.named.get_mut(&one_line(name.trim(), MAX_NAME_CHARS)) {
            *outcome = TestOutcome::Passed;
        }
    }

    pub(super) fn outcome(&self, name: &str) -> Option<TestOutcome> {
        self.named.get(&one_line(name.trim(), MAX_NAME_CHARS)).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// How many have this outcome.
    pub(super) fn of(&self, outcome: TestOutcome) -> u32 {
        let count = self.named.values().filter(|o| **o == outcome).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What was collected, counted by name.
    pub(super) fn tests(self) -> Tests {
        let counts = TestCounts {
            passed: self.of(TestOutcome::Passed),
            failed: self.of(TestOutcome::Failed),
            skipped: self.of(TestOutcome::Skipped),
        };
        Tests { counts, named: self.named }
    }
}

fn checked(name: &str) -> Result<String, Unreadable> {
    let name = name.trim();
    if name.chars().count() > MAX_NAME_CHARS {
        return Err(Unreadable::TooLarge { what: "characters in a test's name", bound: MAX_NAME_CHARS });
    }
    Ok(one_line(name, MAX_NAME_CHARS))
}

//! Rules for a project that has none of its own, from the files of the usual ecosystems.
//!
//! Invariant: a test command is only taken from what the project itself declares; where that is silent, nothing is detected. Manifests
//! count only in the root of the repository. Where several ecosystems have a test command, the first in the order of [`ECOSYSTEMS`] is
//! taken: compilers first, since their manifests state the whole project; then `package.json`, whose test script is an explicit
//! choice; then Python, whose runner is inferred; then make, which may only wrap the others.

mod compiled;
mod make;
mod node;
mod python;

use std::collections::BTreeSet;
use std::time::Duration;

use damascus_core::display::one_line;

use super::{NothingDetected, ProjectRules, RuleLimits, RuleSource, Step, Steps, TIMEOUT_DEFAULT_S, TestRule, to_toml};
use crate::report::Format;

/// A manifest that is larger is not read, in bytes.
const MANIFEST_MAX_BYTES: usize = 1024 * 1024;
/// How much of a script from the repository a message repeats, in characters.
const SHOWN_MAX_CHARS: usize = 80;
/// What is recognised.
const LOOKED_FOR: &str = "Cargo.toml, go.mod, pom.xml, build.gradle(.kts), package.json with a test script of a known runner, \
     Python tests (pytest or unittest), a Makefile whose test target runs a known runner";

/// Every ecosystem, in the order in which they are tried.
const ECOSYSTEMS: &[Probe] =
    &[compiled::rust, compiled::go, compiled::maven, compiled::gradle, node::node, python::python, make::make];

/// Looks for one ecosystem; nothing where there is no sign of it.
type Probe = fn(&Tree<'_>) -> Option<Seen>;

/// What a probe sees.
struct Seen {
    /// Such as `Rust (Cargo.toml)`.
    name: String,
    /// How it is tested, or why it isn't, with a file that a person could begin with.
    found: Result<Plan, Untestable>,
}

/// Steps and test of one ecosystem.
struct Plan {
    steps: Steps,
    test: TestRule,
}

/// Why an ecosystem gives no test, and what its rules could look like.
struct Untestable {
    reason: String,
    example: Plan,
}

/// A listing of paths, and a way to read some.
struct Tree<'a> {
    paths: &'a BTreeSet<String>,
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl Tree<'_> {
    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// The text of a listed file, if it is not too large.
    fn text(&self, path: &str) -> Option<String> {
        self.has(path).then(|| (self.read)(path)).flatten().filter(|text| text.len() <= MANIFEST_MAX_BYTES)
    }
}

/// Detects the usual ecosystems from a listing of paths and the contents of a few manifests. `read(path)` gives a file's text.
///
/// # Errors
/// When nothing is found, or nothing with a test command: what was looked for, and a ready-to-paste `.damascus.toml`.
pub fn detect(
    paths: &BTreeSet<String>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Result<ProjectRules, NothingDetected> {
    let tree = Tree { paths, read };
    let mut chosen: Option<(String, Plan)> = None;
    let mut passed_over = Vec::new();
    let mut example = None;
    for seen in ECOSYSTEMS.iter().filter_map(|probe| probe(&tree)) {
        match seen.found {
            Ok(plan) if chosen.is_none() => chosen = Some((seen.name, plan)),
            Ok(_) => passed_over.push(seen.name),
            Err(why) => {
                passed_over.push(format!("{}: {}", seen.name, why.reason));
                example.get_or_insert(why.example);
            }
        }
    }
    match chosen {
        Some((ecosystem, plan)) => Ok(rules(plan, RuleSource::Detected { ecosystem, also_seen: passed_over })),
        None => Err(nothing(&passed_over, example)),
    }
}

fn nothing(seen: &[String], example: Option<Plan>) -> NothingDetected {
    let example = example.unwrap_or_else(|| plan(Steps::default(), &["make", "test"], Format::ExitCode));
    let notes = "# How the test reports: junit (with a file), pytest, unittest, cargo_test, nextest, go_test, node, vitest, jest, tap.\n\
                 # exit_code counts no tests: every proof then shows that it rests on less.\n";
    NothingDetected {
        reason: if seen.is_empty() { "there is no manifest that is known here".to_owned() } else { seen.join("; ") },
        looked_for: LOOKED_FOR,
        example: format!("{notes}{}", to_toml(&rules(example, RuleSource::File))),
    }
}

fn rules(plan: Plan, source: RuleSource) -> ProjectRules {
    ProjectRules {
        steps: plan.steps,
        test: plan.test,
        protected: Vec::new(),
        scope: Vec::new(),
        waive_fail_on_base: Vec::new(),
        agent: None,
        agent_model: None,
        agent_minutes: None,
        agent_turns: None,
        spec_model: None,
        limits: RuleLimits::default(),
        source,
    }
}

fn plan(steps: Steps, test: &[&str], format: Format) -> Plan {
    Plan { steps, test: TestRule { step: offline(test), format, report_file: None } }
}

fn offline(command: &[&str]) -> Step {
    Step {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        timeout: Duration::from_secs(TIMEOUT_DEFAULT_S),
        network: false,
    }
}

fn online(command: &[&str]) -> Step {
    Step { network: true, ..offline(command) }
}

/// Something from the repository, for a message.
fn shown(text: &str) -> String {
    one_line(text.trim(), SHOWN_MAX_CHARS)
}

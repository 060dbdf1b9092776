//! The project's own rules: `.damascus.toml` as the base branch has it, or what the usual ecosystems suggest.
//!
//! Invariant: an unknown key or a value out of bounds is an error with its place; a rule is never guessed where the file is silent about
//! something that decides a pass.

mod detect;
mod error;
mod keys;
mod read;
mod values;
mod write;

use std::fmt;
use std::time::Duration;

use damascus_core::Digest;
use damascus_core::spec::ChangeKind;
use serde_json::json;

use crate::report::Format;

pub use detect::detect;
pub use error::{NothingDetected, RulesError};
pub use read::parse;
pub use write::to_toml;

/// The file with the project's rules, in the root of the repository.
pub const FILE: &str = ".damascus.toml";
/// The folder of a project's own prompt templates.
pub const PROMPT_DIR: &str = ".damascus/prompts";
/// The project's own template for the spec phase.
pub const SPEC_PROMPT: &str = ".damascus/prompts/spec.md";
/// The project's own template for the build phase.
pub const BUILD_PROMPT: &str = ".damascus/prompts/build.md";

/// The largest `.damascus.toml` that is read, in bytes.
pub const FILE_MAX_BYTES: usize = 64 * 1024;
/// The shortest that a step may be given, in seconds.
pub const TIMEOUT_MIN_S: u64 = 1;
/// The longest that a step may be given, in seconds: four hours.
pub const TIMEOUT_MAX_S: u64 = 4 * 3_600;
/// What a step is given when the file does not say, in seconds: a quarter of an hour.
pub const TIMEOUT_DEFAULT_S: u64 = 900;
/// How many arguments a command may have, its program included.
pub const COMMAND_MAX_ARGS: usize = 256;
/// How long one argument may be, in bytes.
pub const ARG_MAX_BYTES: usize = 8 * 1024;
/// How many globs a list may have.
pub const GLOBS_MAX: usize = 500;
/// How long a path or glob may be, in bytes.
pub const PATH_MAX_BYTES: usize = 1_024;
/// How long the name of an agent or model may be, in bytes.
pub const NAME_MAX_BYTES: usize = 200;
/// The longest that an agent may be given, in minutes: a day.
pub const AGENT_MINUTES_MAX: u32 = 24 * 60;
/// The most turns that an agent may be given.
pub const AGENT_TURNS_MAX: u32 = 10_000;

/// What decides how a project's changes are made and tested. Equal rules were read from equal text, or detected from equal trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRules {
    /// What is run before the tests, in order.
    pub steps: Steps,
    /// What is run as the test.
    pub test: TestRule,
    /// Globs of what no story may change unless its spec names the file; in addition to the built-in ones (see [`crate::diff`]).
    pub protected: Vec<String>,
    /// Globs of what stories may change at all; empty: everything that is not protected.
    pub scope: Vec<String>,
    /// Kinds of change whose tests need not fail on the base. In order, each once.
    pub waive_fail_on_base: Vec<ChangeKind>,
    /// The agent to build with; none: the operator's default.
    pub agent: Option<String>,
    /// The model for the agent; none: the agent's default.
    pub agent_model: Option<String>,
    /// How long the agent may work on one attempt, in minutes.
    pub agent_minutes: Option<u32>,
    /// How many turns the agent may take in one attempt.
    pub agent_turns: Option<u32>,
    /// The model for the spec phase; none: the gateway's default.
    pub spec_model: Option<String>,
    /// Bounds on a change and on what runs.
    pub limits: RuleLimits,
    /// Where the rules come from.
    pub source: RuleSource,
}

/// A command with its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The program and its arguments; never empty, without NUL. A command given as a text is `sh -c TEXT`.
    pub command: Vec<String>,
    /// How long it may take, in whole seconds; [`TIMEOUT_MIN_S`] to [`TIMEOUT_MAX_S`].
    pub timeout: Duration,
    /// Whether it may use the network.
    pub network: bool,
}

/// What is run before the tests, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Fetches what the project needs; usually the only step with a network.
    pub setup: Option<Step>,
    /// Compiles.
    pub build: Option<Step>,
    /// Checks style.
    pub lint: Option<Step>,
}

/// What is run as the test, and how it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRule {
    /// The command.
    pub step: Step,
    /// How it reports.
    pub format: Format,
    /// Where it writes its report, relative to the root of the tree; none: the report is its output. The last part may hold one `*`
    /// that stands for any text without `/` (`target/surefire-reports/TEST-*.xml`): then every file that matches is part of the
    /// report. The caller removes what matches before each run; a change that adds such a file is refused (see [`crate::diff`]).
    pub report_file: Option<String>,
}

/// Bounds on a change and on what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleLimits {
    /// How many files a change may touch.
    pub diff_files: u32,
    /// How many bytes a change may add: lines that were not there before, or the whole of what is no text.
    pub diff_bytes: u64,
    /// Memory for a step, in MiB.
    pub memory_mib: u32,
    /// Processes of a step at one time.
    pub processes: u32,
    /// What a tree may grow to on disk, in MiB.
    pub tree_mib: u32,
}

/// A bound as the file may set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The least that may be set.
    pub min: u64,
    /// What holds when the file does not say.
    pub default: u64,
    /// The most that may be set.
    pub max: u64,
}

/// Files of a change.
pub const DIFF_FILES: Bound = Bound { min: 1, default: 200, max: 10_000 };
/// Bytes of a change.
pub const DIFF_BYTES: Bound = Bound { min: 1_024, default: 1024 * 1024, max: 64 * 1024 * 1024 };
/// Memory of a step, in MiB.
pub const MEMORY_MIB: Bound = Bound { min: 64, default: 4_096, max: 262_144 };
/// Processes of a step.
pub const PROCESSES: Bound = Bound { min: 8, default: 512, max: 32_768 };
/// A tree on disk, in MiB.
pub const TREE_MIB: Bound = Bound { min: 16, default: 8_192, max: 1_048_576 };

impl Default for RuleLimits {
    fn default() -> Self {
        let small = |bound: Bound| u32::try_from(bound.default).unwrap_or(u32::MAX);
        Self {
            diff_files: small(DIFF_FILES),
            diff_bytes: DIFF_BYTES.default,
            memory_mib: small(MEMORY_MIB),
            processes: small(PROCESSES),
            tree_mib: small(TREE_MIB),
        }
    }
}

/// Where rules come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleSource {
    /// `.damascus.toml`.
    File,
    /// The files of an ecosystem.
    Detected {
        /// Such as `Rust (Cargo.toml)`.
        ecosystem: String,
        /// What else is there and was passed over, with the reason where it has no test command; for people.
        also_seen: Vec<String>,
    },
}

impl fmt::Display for RuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str(FILE),
            Self::Detected { ecosystem, also_seen } if also_seen.is_empty() => write!(f, "detected: {ecosystem}"),
            Self::Detected { ecosystem, also_seen } => {
                write!(f, "detected: {ecosystem}; also seen: {}", also_seen.join(", "))
            }
        }
    }
}

impl TestRule {
    /// Whether `path` is where the runner writes its report, or a part of it.
    #[must_use]
    pub fn is_report(&self, path: &str) -> bool {
        let Some(pattern) = &self.report_file else { return false };
        match pattern.split_once('*') {
            None => path == pattern,
            Some((before, after)) => path
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|middle| !middle.contains('/')),
        }
    }
}

impl ProjectRules {
    /// A digest of everything that decides a verdict; two equal digests test alike.
    ///
    /// Which agent or model is used, and where the rules come from, is left out: it decides what is made, not how it is judged.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        let step = |step: &Step| json!([step.command, step.timeout.as_secs(), step.network]);
        let limits = self.limits;
        let all = json!({
            "version": 1,
            "setup": self.steps.setup.as_ref().map(step),
            "build": self.steps.build.as_ref().map(step),
            "lint": self.steps.lint.as_ref().map(step),
            "test": [step(&self.test.step), json!(self.test.format), json!(self.test.report_file)],
            "protected": self.protected,
            "scope": self.scope,
            "waive": self.waive_fail_on_base,
            "limits": [u64::from(limits.diff_files), limits.diff_bytes, u64::from(limits.memory_mib),
                u64::from(limits.processes), u64::from(limits.tree_mib)],
        });
        Digest::of(all.to_string().as_bytes())
    }
}

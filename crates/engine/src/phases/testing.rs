//! Running a project's own checks on a tree, in the sandbox, and reading what they report.
//!
//! Invariants: a tree is tested as it was checked out, by commands that the base branch names, without the network unless they say otherwise;
//! a report that was there before the run is not its report; what can't be read never counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use damascus_checks::project::{ProjectRules, Step};
use damascus_checks::report::{self, Format, Output, Tests};
use damascus_core::{CommitId, Digest, Spec, TestEvidence, TestReport};
use damascus_sandbox::{Access, Ended, Job, Limits, Mount, Network, Stopped, WORK};
use damascus_store::tested::Tested as Remembered;
use tokio_util::sync::CancellationToken;

use super::Trouble;
use super::log::{Live, Log};
use super::workshop::Workshop;

mod report_file;

/// How much a run of the checks may print, in bytes.
const OUTPUT_MAX_BYTES: u64 = 64 << 20;
/// How many failed tests are told of.
const FAILURES_MAX: usize = 10;

/// One command that was run on a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// `setup`, `build`, `lint`, `test`, or `spec` for the spec's own command.
    pub name: &'static str,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How it ended; a signal shows as 128 plus its number.
    pub exit_code: i32,
    /// Which limit stopped it, if one did.
    pub stopped: Option<String>,
    /// Wall-clock time.
    pub wall: Duration,
    /// Hash of all that it printed.
    pub log_sha256: Digest,
    /// The end of what it printed, safe to show.
    pub tail: String,
    /// What may be the matter, if its output looks familiar.
    pub hint: Option<&'static str>,
}

impl Check {
    /// Whether it ended well.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.exit_code == 0 && self.stopped.is_none()
    }
}

/// How the checks came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every command ended well, and the report could be read.
    Green,
    /// One did not; what an agent or a person should know.
    Red(String),
    /// The report contradicts itself in a way that smells of forgery.
    Suspicious(String),
}

/// The checks of one tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// What was run, in order; the first that fails is the last.
    pub checks: Vec<Check>,
    /// What the test command gives to rest a verdict on; none when it was not reached.
    pub evidence: Option<TestEvidence>,
    /// Test by test, where the report names them.
    pub tests: Tests,
    /// How it came out.
    pub verdict: Verdict,
}

/// What is tested.
pub(crate) struct Subject<'a> {
    /// The folder with the files; the checks may change it.
    pub(crate) dir: &'a Path,
    pub(crate) commit: &'a CommitId,
    pub(crate) tree: &'a CommitId,
    pub(crate) base: &'a CommitId,
    pub(crate) rules: &'a ProjectRules,
    /// With a spec, its own command is run besides.
    pub(crate) spec: Option<&'a Spec>,
}

/// What a tree is tested with, hashed: two results with the same are interchangeable.
pub(crate) fn recipe(rules: &ProjectRules, spec: Option<&Spec>) -> Digest {
    let own = spec.map(|spec| (&spec.tests.command, &spec.tests.cwd, spec.tests.timeout_s));
    let own = own.filter(|(command, ..)| !command.is_empty());
    Digest::of(format!("{} {}", rules.sha256(), serde_json::json!(own)).as_bytes())
}

/// A result as it is remembered. Names that are too many to keep are left out: then only the counts can be compared.
pub(crate) fn remembered(evidence: TestEvidence, tests: &Tests) -> Remembered {
    let mut named = serde_json::json!(tests);
    if named.to_string().len() > damascus_store::tested::TESTS_MAX_BYTES {
        named = serde_json::json!(Tests { counts: tests.counts, ..Tests::default() });
    }
    // The store says when it was stored.
    Remembered { evidence, tests: named, at: chrono::DateTime::UNIX_EPOCH }
}

/// Tests as they were remembered.
pub(crate) fn read_tests(remembered: serde_json::Value) -> Result<Tests, Trouble> {
    serde_json::from_value(remembered)
        .map_err(|error| Trouble::surroundings(format_args!("a remembered test result can't be read: {error}")))
}

impl Workshop {
    /// Runs all checks on a tree, up to the first that fails.
    pub(crate) async fn test(
        &self,
        subject: &Subject<'_>,
        live: Option<&Live>,
        cancelled: &CancellationToken,
    ) -> Result<Tested, Trouble> {
        let rules = subject.rules;
        let mut tested =
            Tested { checks: Vec::new(), evidence: None, tests: Tests::default(), verdict: Verdict::Green };
        let before = [("setup", &rules.steps.setup), ("build", &rules.steps.build), ("lint", &rules.steps.lint)];
        for (name, step) in before {
            let Some(step) = step else { continue };
            let (check, _) = self.step(name, step, PathBuf::from(WORK), subject, live, cancelled).await?;
            if !tested.passed(check) {
                return Ok(tested);
            }
        }
        self.test_command(subject, &mut tested, live, cancelled).await?;
        if tested.verdict == Verdict::Green
            && let Some(spec) = subject.spec.filter(|spec| !spec.tests.command.is_empty())
        {
            let step = Step {
                command: spec.tests.command.clone(),
                timeout: match spec.tests.timeout_s {
                    0 => rules.test.step.timeout,
                    seconds => Duration::from_secs(seconds.into()).min(rules.test.step.timeout),
                },
                network: false,
            };
            let directory = Path::new(WORK).join(&spec.tests.cwd);
            let (check, _) = self.step("spec", &step, directory, subject, live, cancelled).await?;
            tested.passed(check);
        }
        Ok(tested)
    }

    /// Runs the set-up alone; says whether it ended well.
    pub(crate) async fn set_up(&self, subject: &Subject<'_>, cancelled: &CancellationToken) -> Result<bool, Trouble> {
        let Some(step) = &subject.rules.steps.setup else { return Ok(true) };
        let (check, _) = self.step("setup", step, PathBuf::from(WORK), subject, None, cancelled).await?;
        Ok(check.passed())
    }

    async fn test_command(
        &self,
        subject: &Subject<'_>,
        tested: &mut Tested,
        live: Option<&Live>,
        cancelled: &CancellationToken,
    ) -> Result<(), Trouble> {
        let rule = &subject.rules.test;
        if let Some(pattern) = &rule.report_file {
            // What is in the way of its folder is in the way of reading it, too, and told then.
            report_file::remove(subject.dir, pattern).or_else(|error| report_file::blame_the_tree(error).map(drop))?;
        }
        let (check, log) = self.step("test", &rule.step, PathBuf::from(WORK), subject, live, cancelled).await?;
        let mut files = Vec::new();
        let mut misplaced = None;
        if let Some(pattern) = &rule.report_file {
            match report_file::read(subject.dir, pattern) {
                Ok(found) => files = found,
                Err(error) => misplaced = Some(report_file::blame_the_tree(error)?),
            }
        }
        let (report, tests, suspicion) = match misplaced {
            Some(why) => (TestReport::Unreadable, Tests::default(), Some(Verdict::Suspicious(why))),
            None => read_reports(rule.format, &check, &log, &files),
        };
        tested.evidence = Some(TestEvidence {
            command: check.command.clone(),
            exit_code: check.exit_code,
            head: subject.commit.clone(),
            base: subject.base.clone(),
            tree: subject.tree.clone(),
            report,
            log_sha256: check.log_sha256.clone(),
            duration_ms: u64::try_from(check.wall.as_millis()).unwrap_or(u64::MAX),
        });
        tested.tests = tests;
        let failed = failed_tests(rule.format, &check, &log, &files);
        if !tested.passed(check) {
            if let Verdict::Red(text) = &mut tested.verdict {
                text.push_str(&failed);
            }
        } else if let Some(problem) = suspicion {
            tested.verdict = problem;
        } else if let TestReport::Counted(counts) = report
            && counts.failed > 0
        {
            tested.verdict =
                Verdict::Red(format!("{} tests failed although the command ended with 0.{failed}", counts.failed));
        }
        Ok(())
    }

    /// Runs one command on the tree.
    async fn step(
        &self,
        name: &'static str,
        step: &Step,
        directory: PathBuf,
        subject: &Subject<'_>,
        live: Option<&Live>,
        cancelled: &CancellationToken,
    ) -> Result<(Check, Log), Trouble> {
        let limits = &subject.rules.limits;
        let job = Job {
            argv: step.command.clone(),
            directory,
            environment: environment(),
            mounts: vec![Mount {
                host: subject.dir.to_owned(),
                inside: PathBuf::from(WORK),
                access: Access::ReadWrite,
            }],
            network: if step.network { Network::Host } else { Network::None },
            limits: Limits {
                wall: step.timeout,
                silence: None,
                output_bytes: OUTPUT_MAX_BYTES,
                processes: limits.processes,
                memory_bytes: u64::from(limits.memory_mib) << 20,
                tree_bytes: u64::from(limits.tree_mib) << 20,
                cpu: step.timeout.saturating_mul(CPU_PER_WALL),
                ..Limits::default()
            },
            input: Vec::new(),
        };
        let mut live = live.cloned();
        if let Some(live) = &mut live {
            crate::ports::agent::Transcript::write(
                live,
                &format!("$ {}", damascus_core::display::one_line(&step.command.join(" "), 300)),
            );
        }
        let mut log = Log::following(live);
        let ended = self.parts.sandbox.run(&job, &mut log, cancelled).await?;
        if ended.stopped == Some(Stopped::Cancelled) {
            return Err(Trouble::surroundings("the run was told to stop"));
        }
        if ended.stopped == Some(Stopped::DiskFull) {
            let full = format_args!("the disk became full during \"{name}\". Free some space; it is tried again");
            return Err(Trouble::surroundings(full));
        }
        Ok((check(name, step, &ended, &log), log))
    }
}

/// Processor time that a step may take for each second of wall-clock time: it may use many cores.
const CPU_PER_WALL: u32 = 16;

/// What every step sees, beside what the sandbox sets.
fn environment() -> BTreeMap<String, String> {
    let set = [
        ("CI", "true"),
        ("NO_COLOR", "1"),
        ("FORCE_COLOR", "0"),
        ("CARGO_TERM_COLOR", "never"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn check(name: &'static str, step: &Step, ended: &Ended, log: &Log) -> Check {
    let exit_code = ended.exit.code();
    let stopped = ended.stopped.map(|limit| match limit {
        Stopped::WallClock => format!("it did not end within {} s", step.timeout.as_secs()),
        Stopped::Output => format!("it printed more than {} MiB", OUTPUT_MAX_BYTES >> 20),
        Stopped::Silence => "it was silent for too long".to_owned(),
        Stopped::Disk => "the tree grew beyond its limit".to_owned(),
        Stopped::DiskFull => "the disk became full".to_owned(),
        Stopped::Memory => "its processes took more memory than allowed".to_owned(),
        Stopped::Cancelled => "it was told to stop".to_owned(),
    });
    Check {
        name,
        command: step.command.clone(),
        exit_code,
        stopped,
        wall: ended.wall,
        log_sha256: log.digest(),
        tail: log.tail(),
        hint: if exit_code == 0 { None } else { report::hint(exit_code, &log.all()) },
    }
}

impl Tested {
    /// Notes a check; says whether it passed.
    fn passed(&mut self, check: Check) -> bool {
        let passed = check.passed();
        if !passed {
            self.verdict = Verdict::Red(told(&check));
        }
        self.checks.push(check);
        passed
    }

    /// Why it is not green; none when it is.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Green => None,
            Verdict::Red(why) | Verdict::Suspicious(why) => Some(why),
        }
    }

    /// The check that failed, if one did.
    #[must_use]
    pub fn failed_check(&self) -> Option<&Check> {
        self.checks.iter().find(|check| !check.passed())
    }
}

/// What is told of a check that failed.
fn told(check: &Check) -> String {
    let command = damascus_core::display::one_line(&check.command.join(" "), 300);
    let how = check.stopped.clone().unwrap_or_else(|| format!("it ended with exit code {}", check.exit_code));
    let mut text = format!("The check \"{}\" failed: {how}.\nCommand: {command}\n", check.name);
    if let Some(hint) = check.hint {
        text.push_str(&format!("Hint: {hint}\n"));
    }
    if !check.tail.trim().is_empty() {
        text.push_str(&format!("The end of its output:\n{}\n", check.tail.trim_end()));
    }
    text
}

/// Reads one report, or the sum of several files.
fn read_reports(format: Format, check: &Check, log: &Log, files: &[Vec<u8>]) -> (TestReport, Tests, Option<Verdict>) {
    if format == Format::ExitCode {
        return (TestReport::ExitCodeOnly, Tests::default(), None);
    }
    let output = |file| Output {
        stdout: &log.out,
        stderr: &log.err,
        truncated: log.cut || check.stopped.is_some(),
        file,
        exit_code: check.exit_code,
    };
    let mut sum = Tests::default();
    let each: Vec<Option<&[u8]>> =
        if files.is_empty() { vec![None] } else { files.iter().map(|file| Some(file.as_slice())).collect() };
    for file in each {
        match report::read(format, &output(file)) {
            Ok(tests) => add(&mut sum, tests),
            Err(error) => {
                let text = format!("The tests' report can't be believed: {error}");
                let verdict = if error.suspicious() { Verdict::Suspicious(text) } else { Verdict::Red(text) };
                return (TestReport::Unreadable, Tests::default(), Some(verdict));
            }
        }
    }
    (TestReport::Counted(sum.counts), sum, None)
}

fn add(sum: &mut Tests, one: Tests) {
    sum.counts.passed = sum.counts.passed.saturating_add(one.counts.passed);
    sum.counts.failed = sum.counts.failed.saturating_add(one.counts.failed);
    sum.counts.skipped = sum.counts.skipped.saturating_add(one.counts.skipped);
    sum.named.extend(one.named);
}

fn failed_tests(format: Format, check: &Check, log: &Log, files: &[Vec<u8>]) -> String {
    let output = Output {
        stdout: &log.out,
        stderr: &log.err,
        truncated: log.cut,
        file: files.first().map(Vec::as_slice),
        exit_code: check.exit_code,
    };
    let failed = report::failures(format, &output, FAILURES_MAX);
    let mut text = String::new();
    for one in &failed {
        text.push_str(&format!("\nFailed test: {}\n{}\n", one.name, one.excerpt));
    }
    text
}

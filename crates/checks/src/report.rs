//! Test reports: what a runner said about which test.
//!
//! Invariant: a report that contradicts itself, is cut off or counts differently in two places is not readable; it is never rounded up.

mod assertions;
mod cargo;
mod command;
mod failures;
mod go;
mod hint;
mod jest;
mod junit;
mod nextest;
mod node;
mod pytest;
mod tally;
mod tap;
mod text;
mod unittest;
mod unreadable;
mod vitest;

use std::collections::BTreeMap;

use damascus_core::{TestCounts, named_enum};

use self::text::Streams;

pub use self::command::format_of;
pub use self::failures::{FailedTest, failures};
pub use self::hint::hint;
pub use self::unreadable::Unreadable;

/// The largest stream or report file that is read, in bytes.
pub const MAX_REPORT_BYTES: usize = 32 * 1024 * 1024;

/// How a runner reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// JUnit XML in a file.
    Junit,
    /// pytest's output.
    Pytest,
    /// unittest's output.
    Unittest,
    /// cargo test's output.
    CargoTest,
    /// cargo nextest's output.
    Nextest,
    /// The output of go test, plain or `-json`.
    GoTest,
    /// The output of node's own runner: spec or TAP reporter.
    Node,
    /// vitest's output or its JSON.
    Vitest,
    /// jest's output or its JSON.
    Jest,
    /// The Test Anything Protocol.
    Tap,
    /// Nothing but an exit code; only where the project's configuration declares it.
    ExitCode,
}

named_enum!(Format, "report format", {
    Junit => "junit", Pytest => "pytest", Unittest => "unittest", CargoTest => "cargo_test", Nextest => "nextest",
    GoTest => "go_test", Node => "node", Vitest => "vitest", Jest => "jest", Tap => "tap", ExitCode => "exit_code",
});

/// How one test came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TestOutcome {
    /// It ran and passed.
    Passed,
    /// It ran and failed, or could not run.
    Failed,
    /// It did not run.
    Skipped,
}

named_enum!(TestOutcome, "outcome of a test", { Passed => "passed", Failed => "failed", Skipped => "skipped" });

/// What a report says.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tests {
    /// The counts.
    pub counts: TestCounts,
    /// Each test by its full name, where the format names them; empty where it only counts. Skipped tests, and files that could not
    /// be loaded, may have no name; tests that passed always have one where any has.
    pub named: BTreeMap<String, TestOutcome>,
}

/// What a test run left behind, as bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// What it wrote to standard output.
    pub stdout: &'a [u8],
    /// What it wrote to standard error.
    pub stderr: &'a [u8],
    /// Whether either of the two was cut. Formats that are read from them are then [`Unreadable::Truncated`].
    pub truncated: bool,
    /// The report file, where the format has one (only [`Format::Junit`] has). That it was written by this run is for the caller to see to.
    pub file: Option<&'a [u8]>,
    /// The exit code of the command.
    pub exit_code: i32,
}

/// Reads the report of a test run.
///
/// What is read is no verdict: an exit code other than 0 is no pass, whatever the report counts, and that the counts are not lower
/// than the base's is for the caller to see to. Code under test runs inside most runners and can print, or make the runner print,
/// whatever it likes; what is checked here is that no two parts of a report differ. Formats that a test can reach least, best first:
/// nextest, JUnit of nextest, TAP of node, JSON of jest and vitest, `-v` and `-json`, and last the plain forms that only sum up.
///
/// # Errors
///
/// Why the report can't be believed. [`Format::ExitCode`] has none and is always [`Unreadable::ExitCodeOnly`].
pub fn read(format: Format, output: &Output<'_>) -> Result<Tests, Unreadable> {
    let tests = match format {
        Format::Junit => junit::read(output)?,
        Format::ExitCode => return Err(Unreadable::ExitCodeOnly),
        Format::Pytest => pytest::read(&Streams::of(output)?)?,
        Format::Unittest => unittest::read(&Streams::of(output)?)?,
        Format::CargoTest => cargo::read(&Streams::of(output)?)?,
        Format::Nextest => nextest::read(&Streams::of(output)?)?,
        Format::GoTest => go::read(&Streams::of(output)?)?,
        Format::Node => node::read(&Streams::of(output)?)?,
        Format::Vitest => vitest::read(&Streams::of(output)?)?,
        Format::Jest => jest::read(&Streams::of(output)?)?,
        Format::Tap => tap::read(&Streams::of(output)?)?,
    };
    let TestCounts { passed, failed, skipped } = tests.counts;
    if passed == 0 && failed == 0 {
        return Err(Unreadable::NoTests { what: format!("none ran, {skipped} were skipped") });
    }
    if output.exit_code == 0 && failed > 0 {
        return Err(Unreadable::Contradiction {
            what: format!("{failed} tests failed, and the command ended with exit code 0"),
            suspicious: true,
        });
    }
    Ok(tests)
}

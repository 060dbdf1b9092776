//! The JSON that jest and vitest both write (`--json`, `--reporter=json`).
//!
//! Invariant: its totals agree with its tests, one by one; a file that failed without a failed test is a failure.

use serde::Deserialize;

use super::tally::Tally;
use super::text::{MAX_TESTS, Streams, contradiction, malformed};
use super::{TestOutcome, Tests, Unreadable};

/// The whole report. Unknown fields are left out; a field that comes twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    num_total_tests: u64,
    num_passed_tests: u64,
    num_failed_tests: u64,
    num_pending_tests: u64,
    #[serde(default)]
    num_todo_tests: u64,
    #[serde(default)]
    num_failed_test_suites: u64,
    success: bool,
    pub(super) test_results: Vec<File>,
}

/// One file of tests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) assertion_results: Vec<Assertion>,
}

/// One test.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Assertion {
    #[serde(default)]
    ancestor_titles: Vec<String>,
    title: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) failure_messages: Option<Vec<String>>,
}

impl Assertion {
    pub(super) fn name(&self, file: &str) -> String {
        let mut name = file.to_owned();
        for part in self.ancestor_titles.iter().chain([&self.title]) {
            name.push_str(" > ");
            name.push_str(part);
        }
        name
    }
}

/// The one report on the streams, if there is any.
pub(super) fn find(streams: &Streams) -> Result<Option<Report>, Unreadable> {
    let lines = streams.stdout.lines().chain(streams.stderr.lines());
    let mut found = lines.filter(|line| line.starts_with('{') && line.contains("\"numTotalTests\""));
    let Some(first) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(contradiction(true, "two JSON reports in one output; one command must run the runner once"));
    }
    serde_json::from_str(first).map(Some).map_err(|fault| malformed(format!("its JSON: {fault}")))
}

pub(super) fn read(report: &Report) -> Result<Tests, Unreadable> {
    if report.num_total_tests > u64::from(MAX_TESTS) {
        return Err(Unreadable::TooLarge { what: "tests in a report", bound: MAX_TESTS as usize });
    }
    let mut tally = Tally::of_free_names();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut failed_files = 0;
    for file in &report.test_results {
        let mut any_failed = false;
        for test in &file.assertion_results {
            let (counter, outcome) = match test.status.as_str() {
                "passed" => (&mut passed, TestOutcome::Passed),
                "failed" => (&mut failed, TestOutcome::Failed),
                "pending" | "skipped" | "todo" | "disabled" => (&mut skipped, TestOutcome::Skipped),
                status => return Err(malformed(format!("the status {} of a test", super::text::quote(status)))),
            };
            *counter += 1;
            any_failed |= outcome == TestOutcome::Failed;
            tally.add(&test.name(&file.name), outcome)?;
        }
        if file.status == "passed" && any_failed {
            return Err(contradiction(true, "a file passed with a test in it that failed"));
        }
        if file.status == "failed" {
            failed_files += 1;
            if !any_failed {
                tally.fail(&file.name)?;
            }
        }
    }
    let told = (
        report.num_passed_tests,
        report.num_failed_tests,
        report.num_pending_tests.saturating_add(report.num_todo_tests),
    );
    let sum = passed + failed + skipped;
    if told != (passed, failed, skipped) || sum != report.num_total_tests {
        let what = format!(
            "its totals count {} tests and {} passed, {sum} and {passed} are listed",
            report.num_total_tests, report.num_passed_tests
        );
        return Err(contradiction(true, what));
    }
    let any_failed = tally.of(TestOutcome::Failed) > 0;
    if report.success && (any_failed || report.num_failed_test_suites > 0) {
        return Err(contradiction(true, "it is a success, with failures"));
    }
    if report.num_failed_test_suites > 0 && failed_files == 0 {
        tally.fail("a file of tests")?;
    }
    // Something outside the tests failed, such as a threshold or an error that none of them caught.
    if !report.success && !any_failed && sum > 0 {
        tally.fail("the run as a whole")?;
    }
    if tally.is_empty() {
        return Err(Unreadable::NoTests { what: "\"numTotalTests\": 0".to_owned() });
    }
    Ok(tally.tests())
}

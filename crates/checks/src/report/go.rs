//! go test's output: `-v` or `-json`.
//!
//! Invariant: every test that started has one result, in a package that has one too; a package that is ok has no failure and said PASS.
//! Without `-v` or `-json` go does not say which tests ran, and there is no report. go does not keep what a test prints apart from
//! its report under `-v`: a test can invent other tests there (not hide its package's exit code).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::tally::Tally;
use super::text::{Streams, contradiction, malformed, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "go test's lines per package, such as \"ok  \\texample.org/a\\t0.004s\"",
    advice: "see that the command runs go test -json (or -v)",
};

const NO_NAMES: Unreadable = Unreadable::Missing {
    expected: "go test's lines per test",
    advice: "add -json (or -v) to go test: without it, it does not say which tests ran",
};

/// What is known of one package while its part is read.
#[derive(Default)]
struct Package<'a> {
    /// Tests that started, and their result.
    tests: BTreeMap<&'a str, Option<TestOutcome>>,
    /// It said PASS.
    said_pass: bool,
}

impl<'a> Package<'a> {
    fn start(&mut self, test: &'a str) -> Result<(), Unreadable> {
        match self.tests.insert(test, None) {
            None => Ok(()),
            Some(_) => Err(contradiction(true, format!("{} started twice", quote(test)))),
        }
    }

    fn end(&mut self, test: &str, outcome: TestOutcome) -> Result<(), Unreadable> {
        match self.tests.get_mut(test) {
            Some(there @ None) => *there = Some(outcome),
            Some(_) => return Err(contradiction(true, format!("{} has two results", quote(test)))),
            None => return Err(contradiction(true, format!("{} has a result and never started", quote(test)))),
        }
        Ok(())
    }

    /// The package's own result: moves its tests into `tally`.
    fn close(self, name: &str, passed: bool, tally: &mut Tally) -> Result<(), Unreadable> {
        let mut failed = false;
        for (test, outcome) in &self.tests {
            // A test without a result in a package that failed was running when it broke off.
            let outcome = outcome.unwrap_or(TestOutcome::Failed);
            if passed && outcome == TestOutcome::Failed {
                let what = format!("package {} passed, and {} in it did not", quote(name), quote(test));
                return Err(contradiction(true, what));
            }
            failed |= outcome == TestOutcome::Failed;
            tally.add(&format!("{name}.{test}"), outcome)?;
        }
        if passed && !self.tests.is_empty() && !self.said_pass {
            let what = format!("package {} is ok without having said PASS; does a test end the process?", quote(name));
            return Err(contradiction(true, what));
        }
        if !passed && !failed {
            tally.fail(&format!("{name} (package)"))?;
        }
        Ok(())
    }
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let is_mark = |line: &str| event(line).is_some() || package_line(line).is_some();
    let lines = streams.with_mark(is_mark, MISSING)?;
    let mut tally = Tally::default();
    if lines.iter().any(|line| event(line).is_some()) {
        json(&lines, &mut tally)?;
    } else {
        let started = lines.iter().any(|line| line.starts_with("=== RUN "));
        let ran = lines.iter().filter_map(|line| package_line(line)).any(|(_, ran)| ran == Some(true));
        let nothing = lines.iter().any(|line| line.ends_with("[no tests to run]"));
        if !started && ran && !nothing {
            return Err(NO_NAMES);
        }
        verbose(&lines, &mut tally)?;
    }
    if tally.is_empty() {
        return Err(Unreadable::NoTests { what: "no package has tests that were run".to_owned() });
    }
    Ok(tally.tests())
}

/// `ok  \tname\t0.004s`, `FAIL\tname [build failed]`, `?   \tname\t[no test files]`: the name, and whether it passed if it ran.
fn package_line(line: &str) -> Option<(&str, Option<bool>)> {
    let (word, rest) = line.split_once('\t')?;
    let name = rest.split(['\t', ' ']).next().filter(|name| !name.is_empty())?;
    match word.trim_end() {
        "ok" if rest.len() > name.len() => Some((name, Some(true))),
        "FAIL" if rest.len() > name.len() => Some((name, Some(false))),
        "?" if rest.ends_with("[no test files]") => Some((name, None)),
        _ => None,
    }
}

/// `    --- PASS: TestTable/a (0.00s)`
pub(super) fn result_line(line: &str) -> Option<(&str, TestOutcome)> {
    let rest = line.trim_start_matches(' ').strip_prefix("--- ")?;
    let (word, rest) = rest.split_once(": ")?;
    let outcome = match word {
        "PASS" => TestOutcome::Passed,
        "FAIL" => TestOutcome::Failed,
        "SKIP" => TestOutcome::Skipped,
        _ => return None,
    };
    let (name, time) = rest.split_once(" (")?;
    time.ends_with("s)").then_some((name, outcome))
}

fn verbose(lines: &[&str], tally: &mut Tally) -> Result<(), Unreadable> {
    let mut package = Package::default();
    for line in lines {
        if let Some(test) = line.strip_prefix("=== RUN ") {
            package.start(test.trim())?;
        } else if let Some((test, outcome)) = result_line(line) {
            package.end(test, outcome)?;
        } else if *line == "PASS" {
            package.said_pass = true;
        } else if let Some((name, passed)) = package_line(line) {
            match passed {
                Some(passed) => std::mem::take(&mut package).close(name, passed, tally)?,
                None if package.tests.is_empty() => {}
                None => return Err(contradiction(true, format!("package {} has no tests, and ran some", quote(name)))),
            }
        }
    }
    if package.tests.is_empty() {
        Ok(())
    } else {
        Err(Unreadable::Broken { what: "tests ran in a package that has no result".to_owned() })
    }
}

/// One line of `-json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    pub(super) action: String,
    #[serde(default)]
    pub(super) package: String,
    #[serde(default)]
    pub(super) test: Option<String>,
    #[serde(default)]
    pub(super) output: String,
}

pub(super) fn event(line: &str) -> Option<Event> {
    if line.starts_with('{') { serde_json::from_str(line).ok() } else { None }
}

/// What the events say of one package.
#[derive(Default)]
struct Told {
    /// By test: whether it started, the results of its events, those that it printed.
    tests: BTreeMap<String, (u32, Vec<TestOutcome>, Vec<TestOutcome>)>,
    said_pass: bool,
    ended: Vec<Option<bool>>,
}

fn json(lines: &[&str], tally: &mut Tally) -> Result<(), Unreadable> {
    let mut packages = BTreeMap::<String, Told>::new();
    for line in lines {
        let Some(event) = event(line) else {
            if line.starts_with('{') {
                return Err(malformed(format!("a line that is no event of go test -json: {}", quote(line))));
            }
            if let Some((name, Some(false))) = package_line(line) {
                tally.fail(&format!("{name} (package)"))?;
            }
            continue;
        };
        if event.action == "build-output" || event.action == "build-fail" {
            continue;
        }
        told(packages.entry(event.package.clone()).or_default(), event);
    }
    for (name, told) in &packages {
        let [passed] = told.ended[..] else {
            let what = format!("package {} has {} results instead of one", quote(name), told.ended.len());
            return Err(contradiction(told.ended.len() > 1, what));
        };
        let mut package = Package { said_pass: told.said_pass, ..Package::default() };
        for (test, (starts, results, printed)) in &told.tests {
            for _ in 0..*starts {
                package.start(test)?;
            }
            for result in results {
                package.end(test, *result)?;
            }
            // go's own converter takes the exit of a process for the pass of the test that was running.
            if results[..] == [TestOutcome::Passed] && printed[..] != [TestOutcome::Passed] {
                return Err(contradiction(true, format!("{} passed without a line of its own", quote(test))));
            }
        }
        match passed {
            Some(passed) => package.close(name, passed, tally)?,
            None if package.tests.is_empty() => {}
            // A package in which nothing but skipped tests ran is skipped itself in no version of go.
            None => return Err(contradiction(true, format!("package {} was skipped, and ran tests", quote(name)))),
        }
    }
    Ok(())
}

fn told(package: &mut Told, event: Event) {
    let result = match event.action.as_str() {
        "pass" => Some(TestOutcome::Passed),
        "fail" => Some(TestOutcome::Failed),
        "skip" => Some(TestOutcome::Skipped),
        _ => None,
    };
    let Some(test) = event.test else {
        package.said_pass |= event.action == "output" && event.output.trim_end() == "PASS";
        if let Some(result) = result {
            package.ended.push((result != TestOutcome::Skipped).then_some(result == TestOutcome::Passed));
        }
        return;
    };
    let printed = result_line(event.output.trim_end()).filter(|(name, _)| *name == test).map(|(_, outcome)| outcome);
    if result.is_none() && event.action != "run" && printed.is_none() {
        return;
    }
    let (starts, results, lines) = package.tests.entry(test).or_default();
    *starts += u32::from(event.action == "run");
    results.extend(result);
    lines.extend(printed);
}

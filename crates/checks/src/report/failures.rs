//! Which tests failed, for whoever has to mend them.
//!
//! Invariant: feedback, never evidence: nothing here is counted. Bounded and safe to show.

use std::collections::BTreeMap;

use damascus_core::display::{many_lines, one_line};

use super::text::{Streams, is_duration};
use super::{Format, Output, TestOutcome, assertions, go, junit, nextest, node, tap};

/// The longest name that is shown, in characters.
const MAX_NAME_CHARS: usize = 300;

/// The longest excerpt, in characters: the end of what the test printed.
const MAX_EXCERPT_CHARS: usize = 2_000;

/// The most of a test's text that is kept while it is collected, in lines.
const MAX_KEPT_LINES: usize = 400;

/// The most failed tests that are told, whatever was asked for.
const MAX_FAILURES: usize = 1_000;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTest {
    /// Its full name, on one line.
    pub name: String,
    /// The end of what it printed; may be empty.
    pub excerpt: String,
}

impl FailedTest {
    fn new(name: &str, text: &str) -> Self {
        let text = text.trim_matches('\n').trim_end();
        let skipped = text.chars().count().saturating_sub(MAX_EXCERPT_CHARS - 2);
        let end: String = text.chars().skip(skipped).collect();
        let cut = if skipped > 0 { "…\n" } else { "" };
        Self {
            name: one_line(name.trim(), MAX_NAME_CHARS),
            excerpt: many_lines(&format!("{cut}{end}"), MAX_EXCERPT_CHARS),
        }
    }
}

/// At most `max` failed tests with the end of what each printed. Reads what it can, even where [`super::read`] refuses the report.
#[must_use]
pub fn failures(format: Format, output: &Output<'_>, max: usize) -> Vec<FailedTest> {
    let max = max.min(MAX_FAILURES);
    if format == Format::Junit {
        let failed = junit::cases(output).into_iter().filter(|case| case.outcome == TestOutcome::Failed);
        return failed.take(max).map(|case| FailedTest::new(&case.name, &case.text)).collect();
    }
    // A log that was cut is good enough to tell of.
    let Ok(streams) = Streams::of(&Output { truncated: false, ..*output }) else { return Vec::new() };
    let lines: Vec<&str> = streams.stdout.lines().chain(streams.stderr.lines()).collect();
    let mut found = match format {
        Format::Junit | Format::ExitCode => Vec::new(),
        Format::Pytest => pytest(&lines),
        Format::Unittest => sections(&lines, unittest_head, |line| line.starts_with("Ran ")),
        Format::CargoTest => {
            sections(&lines, cargo_head, |line| line == "failures:" || line.starts_with("test result: "))
        }
        Format::Nextest => sections(&lines, nextest_head, |line| line.starts_with('─') || nextest_ends(line)),
        Format::GoTest => go_test(&lines),
        Format::Node => node_tests(&lines),
        Format::Vitest => json(&streams).unwrap_or_else(|| sections(&lines, vitest_head, |line| line.starts_with('⎯'))),
        Format::Jest => json(&streams).unwrap_or_else(|| sections(&lines, jest_head, jest_ends)),
        Format::Tap => sections(&lines, tap_head, tap_ends),
    };
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|failed| seen.insert(failed.name.clone()));
    found.truncate(max);
    found
}

/// The parts of `lines` that start with a line that `head` names, up to the next such line or one at which `ends` answers true.
fn sections<'a>(
    lines: &[&'a str],
    head: impl Fn(&'a str) -> Option<&'a str>,
    ends: impl Fn(&str) -> bool,
) -> Vec<FailedTest> {
    let mut found = Vec::new();
    let mut open: Option<(&str, Vec<&str>)> = None;
    for line in lines {
        let name = head(line);
        if name.is_some() || ends(line) {
            found.extend(open.take().map(|(name, text)| told(name, &text)));
            open = name.map(|name| (name, Vec::new()));
        } else if let Some((_, text)) = &mut open {
            text.push(line);
        }
        if found.len() >= MAX_FAILURES {
            return found;
        }
    }
    found.extend(open.map(|(name, text)| told(name, &text)));
    found
}

fn told(name: &str, text: &[&str]) -> FailedTest {
    FailedTest::new(name, &text[text.len().saturating_sub(MAX_KEPT_LINES)..].join("\n"))
}

/// `____ test_many[77] ____`; without such a part, what the short summary lists.
fn pytest(lines: &[&str]) -> Vec<FailedTest> {
    let found = sections(lines, pytest_head, |line| line.starts_with("==") && line.ends_with("=="));
    if !found.is_empty() {
        return found;
    }
    let listed = lines.iter().filter_map(|line| line.strip_prefix("FAILED ").or(line.strip_prefix("ERROR ")));
    let listed = listed.map(|line| line.split_once(" - ").unwrap_or((line, "")));
    listed.take(MAX_FAILURES).map(|(name, text)| FailedTest::new(name, text)).collect()
}

fn pytest_head(line: &str) -> Option<&str> {
    // A frame of spaced underscores separates entries of one traceback.
    let name = line.strip_prefix("__")?.strip_suffix("__")?.trim_matches('_').strip_prefix(' ')?.strip_suffix(' ')?;
    (!name.is_empty() && !name.starts_with("_ ")).then_some(name)
}

fn unittest_head(line: &str) -> Option<&str> {
    ["FAIL: ", "ERROR: ", "UNEXPECTED SUCCESS: "].iter().find_map(|word| line.strip_prefix(word))
}

fn cargo_head(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

fn nextest_head(line: &str) -> Option<&str> {
    nextest::failed(line)
}

fn nextest_ends(line: &str) -> bool {
    line.split_at_checked(12).is_some_and(|(word, rest)| {
        rest.starts_with(" [") && ["PASS", "SKIP", "SLOW", "LEAK", "START"].contains(&word.trim_start())
    })
}

fn vitest_head(line: &str) -> Option<&str> {
    line.strip_prefix(" FAIL  ")
}

fn jest_head(line: &str) -> Option<&str> {
    line.strip_prefix("  ● ").filter(|name| !name.starts_with("Console"))
}

fn jest_ends(line: &str) -> bool {
    ["PASS ", "FAIL ", "Tests:", "Test Suites:", "  ● Console", "Summary of all failing tests"]
        .iter()
        .any(|word| line.starts_with(word))
}

fn tap_head(line: &str) -> Option<&str> {
    tap::test(line.trim_start()).filter(|test| test.outcome == TestOutcome::Failed).map(|test| test.name)
}

fn tap_ends(line: &str) -> bool {
    line.trim() == "..." || tap::test(line.trim_start()).is_some()
}

/// The list at the end of the spec reporter, or what TAP says.
fn node_tests(lines: &[&str]) -> Vec<FailedTest> {
    match lines.iter().rposition(|line| *line == "✖ failing tests:") {
        Some(at) => sections(&lines[at + 1..], node_head, |line| line.starts_with("test at ")),
        None => sections(lines, tap_head, tap_ends),
    }
}

fn node_head(line: &str) -> Option<&str> {
    node::failed(line).or_else(|| {
        let (name, time) = line.strip_prefix("✖ ")?.strip_suffix(')')?.rsplit_once(" (")?;
        is_duration(time).then_some(name)
    })
}

/// What each failed test printed, from its start and from below its result.
fn go_test(lines: &[&str]) -> Vec<FailedTest> {
    if lines.iter().any(|line| go::event(line).is_some()) {
        return go_json(lines);
    }
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut printed: Vec<&str> = Vec::new();
    let mut below = false;
    for line in lines {
        if line.starts_with("=== ") {
            printed.clear();
            below = false;
        } else if let Some((name, outcome)) = go::result_line(line) {
            below = outcome == TestOutcome::Failed && found.len() < MAX_FAILURES;
            if below {
                found.push((name, std::mem::take(&mut printed)));
            }
        } else if line.starts_with("FAIL\t") || line.starts_with("ok  \t") || *line == "FAIL" {
            below = false;
        } else if below {
            if let Some((_, text)) = found.last_mut() {
                text.push(line);
            }
        } else {
            printed.push(line);
        }
    }
    found.iter().map(|(name, text)| told(name, text)).collect()
}

fn go_json(lines: &[&str]) -> Vec<FailedTest> {
    let mut printed = BTreeMap::<(String, String), String>::new();
    let mut found = Vec::new();
    for event in lines.iter().filter_map(|line| go::event(line)) {
        let Some(test) = event.test else { continue };
        let key = (event.package, test);
        match event.action.as_str() {
            "output" if !event.output.starts_with("=== ") => printed.entry(key).or_default().push_str(&event.output),
            "fail" if found.len() < MAX_FAILURES => {
                let text = printed.remove(&key).unwrap_or_default();
                found.push(FailedTest::new(&format!("{}.{}", key.0, key.1), &text));
            }
            _ => {}
        }
    }
    found
}

/// The failures of jest's or vitest's JSON, where there is one.
fn json(streams: &Streams) -> Option<Vec<FailedTest>> {
    let report = assertions::find(streams).ok()??;
    let mut found = Vec::new();
    for file in &report.test_results {
        let mut any = false;
        for test in file.assertion_results.iter().filter(|test| test.status == "failed") {
            any = true;
            let text = test.failure_messages.as_deref().unwrap_or_default().join("\n");
            found.push(FailedTest::new(&test.name(&file.name), &text));
        }
        if !any && file.status == "failed" {
            found.push(FailedTest::new(&file.name, &file.message));
        }
        if found.len() >= MAX_FAILURES {
            break;
        }
    }
    Some(found)
}

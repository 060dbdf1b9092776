//! cargo nextest's output.
//!
//! Invariant: the summary agrees with the announcement and with the lines of the tests. Where a profile shows no lines (`status-level`
//! below `pass`), it rests on less: the summary and the announcement alone.

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, malformed, only, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "nextest's line \"Summary [   0.020s] 3 tests run: 3 passed, 0 skipped\"",
    advice: "see that the code builds and that the command runs cargo nextest run",
};

/// The column in which nextest's right-aligned words end.
const WORD_COLUMNS: usize = 12;

struct Summary {
    run: u32,
    passed: u32,
    failed: u32,
    skipped: u32,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let lines = match streams.with_mark(|line| word(line, "Summary").is_some(), MISSING) {
        Err(missing @ Unreadable::Missing { .. }) => {
            let mut both = streams.stderr.lines().chain(streams.stdout.lines());
            return Err(match both.find(|line| line.starts_with("error: could not compile ")) {
                Some(line) => Unreadable::Broken { what: quote(line) },
                None => missing,
            });
        }
        lines => lines?,
    };
    let Some((end, text)) = only(&lines, "summary", |line| word(line, "Summary"))? else { return Err(MISSING) };
    let summary = summary(text).ok_or_else(|| malformed(quote(text)))?;
    if summary.passed + summary.failed != summary.run {
        return Err(contradiction(true, quote(text)));
    }
    let before = &lines[..end];
    if let Some((_, announced)) = only(before, "announcement", announced)?
        && summary.run > announced
    {
        return Err(contradiction(true, format!("{announced} tests announced, {} summed up", summary.run)));
    }
    if summary.run == 0 {
        return Err(Unreadable::NoTests { what: quote(lines[end]) });
    }
    let counts = TestCounts { passed: summary.passed, failed: summary.failed, skipped: summary.skipped };
    let mut tally = Tally::default();
    for line in before {
        let Some((attempt, outcome, name)) = test_line(line) else { continue };
        match tally.outcome(name) {
            // Only a later attempt may change what a test has.
            Some(TestOutcome::Failed) if attempt > 1 => {
                if outcome == TestOutcome::Passed {
                    tally.pass_after_failing(name);
                }
            }
            _ => tally.add(name, outcome)?,
        }
    }
    let shown = (tally.of(TestOutcome::Passed), tally.of(TestOutcome::Failed));
    if shown == (0, 0) || (shown.0 == 0 && shown.1 == summary.failed) {
        return Ok(Tests { counts, ..Tests::default() });
    }
    if shown != (summary.passed, summary.failed) {
        let what = format!(
            "{} passed and {} failed tests have a line, the summary counts {} and {}",
            shown.0, shown.1, summary.passed, summary.failed
        );
        return Err(contradiction(true, what));
    }
    // Skipped tests are named only where the profile shows them.
    let named = tally.tests();
    Ok(Tests { counts: TestCounts { skipped: summary.skipped, ..named.counts }, named: named.named })
}

/// What follows `word`, right-aligned, and ` [`.
fn word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = line.split_at_checked(WORD_COLUMNS)?;
    if head.trim_start() == word { rest.strip_prefix(" [") } else { None }
}

/// `    Starting 5 tests across 2 binaries (2 tests skipped)`
fn announced(line: &str) -> Option<u32> {
    let (head, rest) = line.split_at_checked(WORD_COLUMNS)?;
    if head.trim_start() != "Starting" { None } else { count(rest.trim_start().split(' ').next()?) }
}

/// `   0.026s] 3/5 tests run: 2 passed (1 slow), 1 failed, 2 skipped`
fn summary(text: &str) -> Option<Summary> {
    let (_, text) = text.split_once("] ")?;
    let (run, parts) = text.split_once(" run: ")?;
    let run = run.strip_suffix(" tests").or_else(|| run.strip_suffix(" test"))?;
    let mut summary =
        Summary { run: count(run.split_once('/').map_or(run, |(ran, _)| ran))?, passed: 0, failed: 0, skipped: 0 };
    let mut rest = parts;
    while !rest.is_empty() {
        let (number, after) = rest.split_once(' ')?;
        let end = after.find([',', '(']).unwrap_or(after.len());
        let (what, after) = after.split_at(end);
        *match what.trim_end() {
            "passed" => &mut summary.passed,
            "skipped" => &mut summary.skipped,
            "failed" | "exec failed" | "timed out" => &mut summary.failed,
            _ => return None,
        } += count(number)?;
        // What stands in brackets tells more about these, and counts no others.
        let after = if after.starts_with('(') { after.split_once(')')?.1 } else { after };
        rest = after.trim_start_matches(',').trim_start();
    }
    Some(summary)
}

/// `        PASS [   0.007s] (1/5) sample tests::one`, `  TRY 2 PASS [   0.009s] …`: the attempt, the outcome, the name.
fn test_line(line: &str) -> Option<(u32, TestOutcome, &str)> {
    let (head, rest) = line.split_at_checked(WORD_COLUMNS)?;
    let head = head.trim_start();
    let (attempt, word) = match head.strip_prefix("TRY ") {
        Some(retried) => {
            let (attempt, word) = retried.split_once(' ')?;
            (count(attempt)?, word)
        }
        None => (1, head),
    };
    let outcome = match word {
        "PASS" | "LEAK" => TestOutcome::Passed,
        "FAIL" | "ABORT" | "TIMEOUT" | "TMT" | "EXECFAIL" | "XFAIL" | "LEAK-FAIL" | "LKFAIL" | "FLKY-FL" => {
            TestOutcome::Failed
        }
        _ if word.starts_with("SIG") => TestOutcome::Failed,
        "SKIP" => TestOutcome::Skipped,
        _ => return None,
    };
    let (_, name) = rest.strip_prefix(" [")?.split_once("] ")?;
    let name = if name.starts_with('(') { name.split_once(") ")?.1 } else { name };
    Some((attempt, outcome, name.trim()))
}

/// The name on a line that says that a test failed.
pub(super) fn failed(line: &str) -> Option<&str> {
    test_line(line).filter(|(_, outcome, _)| *outcome == TestOutcome::Failed).map(|(_, _, name)| name)
}

//! jest's output: the default reporter, `--verbose`, or `--json`.
//!
//! Invariant: the lines "Tests:" and "Test Suites:" agree with the lines of the files, and under `--verbose` with those of the tests.
//! Without it the number of passed tests rests on less: on one line alone.

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, is_duration, malformed, only, quote};
use super::{TestOutcome, Tests, Unreadable, assertions};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "jest's line \"Tests:       3 passed, 3 total\", or its JSON",
    advice: "see that the command runs jest (--verbose names the tests, --json too) and that no test ends the process",
};

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: u32,
    failed: u32,
    skipped: u32,
    total: u32,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let report = assertions::find(streams)?;
    let is_mark = |line: &str| line.starts_with("Tests:") && labelled(line, "Tests:").is_some();
    if let Some(report) = report {
        let tests = assertions::read(&report)?;
        // Beside the JSON, jest writes its usual lines: both must say the same.
        let all: Vec<&str> = streams.stdout.lines().chain(streams.stderr.lines()).collect();
        if let Some((_, sum)) = only(&all, "line \"Tests:\"", |line| labelled(line, "Tests:"))?
            && sum.passed != tests.counts.passed
        {
            let what =
                format!("its JSON counts {} passed tests, the line \"Tests:\" {}", tests.counts.passed, sum.passed);
            return Err(contradiction(true, what));
        }
        return Ok(tests);
    }
    let mut all = streams.stdout.lines().chain(streams.stderr.lines());
    let empty = all.any(|line| line.starts_with("No tests found, exiting with code "));
    let lines = match streams.with_mark(is_mark, MISSING) {
        Err(Unreadable::Missing { .. }) if empty => {
            return Err(Unreadable::NoTests { what: "jest found no tests".to_owned() });
        }
        lines => lines?,
    };
    // A line that something was printed in front of is the runner's all the same.
    if lines.iter().filter(|line| line.contains("Tests:") && line.trim_end().ends_with(" total")).count() > 1 {
        return Err(contradiction(true, "two lines \"Tests:\", one of them after other text"));
    }
    let Some((end, sum)) = only(&lines, "line \"Tests:\"", |line| labelled(line, "Tests:"))? else {
        return Err(MISSING);
    };
    let Some((_, suites)) = only(&lines, "line \"Test Suites:\"", |line| labelled(line, "Test Suites:"))? else {
        return Err(malformed("no line \"Test Suites:\""));
    };
    verbose(&lines[..end], sum, suites)
}

/// `Tests:       2 failed, 1 skipped, 3 passed, 6 total`
fn labelled(line: &str, label: &str) -> Option<Sum> {
    let parts = line.strip_prefix(label)?.trim_start();
    let mut sum = Sum::default();
    // "1 skipped, 1 passed, 1 of 2 total": files that were skipped are not among those that ran.
    let mut counted = 0_u32;
    let mut whole = None;
    for part in parts.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number = count(number)?;
        let field = match word {
            "passed" => &mut sum.passed,
            "failed" => &mut sum.failed,
            "skipped" | "todo" | "pending" => &mut sum.skipped,
            "total" => {
                whole = Some(number);
                continue;
            }
            _ => {
                whole = word.strip_prefix("of ").and_then(|word| word.strip_suffix(" total")).and_then(count);
                whole?;
                continue;
            }
        };
        *field += number;
        counted += number;
    }
    sum.total = whole?;
    (counted == sum.total).then_some(sum)
}

/// `PASS ./a.test.js (5.1 s)`, `FAIL unit ./a.test.js`: whether it passed, and the name.
fn file_line(line: &str) -> Option<(bool, &str)> {
    let (passed, name) =
        line.strip_prefix("PASS ").map(|n| (true, n)).or(line.strip_prefix("FAIL ").map(|n| (false, n)))?;
    let timed = name.strip_suffix(')').and_then(|name| name.rsplit_once(" ("));
    Some((passed, timed.filter(|(_, time)| is_duration(time)).map_or(name, |(name, _)| name)))
}

/// `    ✓ two (2 ms)`: the outcome and the name.
fn test_line(text: &str) -> Option<(TestOutcome, &str)> {
    let (outcome, name) = [
        ("✓ ", TestOutcome::Passed),
        ("✕ ", TestOutcome::Failed),
        ("○ skipped ", TestOutcome::Skipped),
        ("✎ todo ", TestOutcome::Skipped),
    ]
    .into_iter()
    .find_map(|(mark, outcome)| Some((outcome, text.strip_prefix(mark)?)))?;
    let timed = name.strip_suffix(')').and_then(|name| name.rsplit_once(" ("));
    Some((outcome, timed.filter(|(_, time)| is_duration(time)).map_or(name, |(name, _)| name)))
}

fn verbose(lines: &[&str], sum: Sum, suites: Sum) -> Result<Tests, Unreadable> {
    let mut tally = Tally::of_free_names();
    let mut files = (0_u32, 0_u32);
    let mut broken = 0_u32;
    // The file whose tests are listed, and the groups that are open; the list ends at an empty line.
    let mut file: Option<&str> = None;
    let mut groups: Vec<&str> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some((passed, name)) = file_line(line) {
            *(if passed { &mut files.0 } else { &mut files.1 }) += 1;
            groups.clear();
            file = Some(name);
            if !passed && lines.get(at + 1).is_some_and(|next| next.contains("● Test suite failed to run")) {
                broken += 1;
                tally.fail(name)?;
            }
            continue;
        }
        let text = line.trim_start_matches(' ');
        let Some(name) = file.filter(|_| !text.is_empty() && !text.starts_with('●')) else {
            file = None;
            continue;
        };
        let depth = ((line.len() - text.len()) / 2).saturating_sub(1);
        groups.truncate(depth);
        match test_line(text) {
            Some((outcome, test)) => {
                let path: String = groups.iter().map(|group| format!("{group} > ")).collect();
                tally.add(&format!("{name} > {path}{test}"), outcome)?;
            }
            None => groups.push(text),
        }
    }
    let listed = tally.len() > broken as usize;
    let shown = (tally.of(TestOutcome::Passed), tally.of(TestOutcome::Failed));
    // Files of which all is skipped have no line.
    let files_agree = files == (suites.passed, suites.failed);
    if !files_agree
        || (listed && (shown != (sum.passed, sum.failed + broken) || tally.len() != (sum.total + broken) as usize))
    {
        let what = format!(
            "{} files and {} passed tests have a line, {} and {} are summed up",
            files.0 + files.1,
            if listed { shown.0 } else { sum.passed },
            suites.passed + suites.failed,
            sum.passed
        );
        return Err(contradiction(true, what));
    }
    let outside = broken.max(u32::from(suites.failed > 0 && sum.failed == 0));
    if sum.total == 0 {
        let what = format!("jest's line \"Tests:\" counts none, {} files failed", quote(&suites.failed.to_string()));
        return Err(if suites.failed > 0 { Unreadable::Broken { what } } else { Unreadable::NoTests { what } });
    }
    let counts = TestCounts { passed: sum.passed, failed: sum.failed + outside, skipped: sum.skipped };
    Ok(Tests { counts, named: if listed { tally.tests().named } else { Default::default() } })
}

//! vitest's output: the default or the verbose reporter, or JSON.
//!
//! Invariant: the line "Tests" agrees with the lines of the files, or of the tests under `--reporter=verbose`, which is the only text
//! that names them all.

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, is_duration, malformed, only, quote};
use super::{TestOutcome, Tests, Unreadable, assertions};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "vitest's line \"Tests  3 passed (3)\", or its JSON",
    advice: "see that the command runs vitest run with the default, verbose or json reporter",
};

/// The line `Tests` or `Test Files`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    passed: u32,
    failed: u32,
    skipped: u32,
    total: u32,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    if let Some(report) = assertions::find(streams)? {
        return assertions::read(&report);
    }
    let mut all = streams.stdout.lines().chain(streams.stderr.lines());
    let empty = all.any(|line| line.starts_with("No test files found"));
    let is_mark = |line: &str| labelled(line, "Tests").is_some();
    let lines = match streams.with_mark(is_mark, MISSING) {
        Err(Unreadable::Missing { .. }) if empty => {
            return Err(Unreadable::NoTests { what: "vitest found no test files".to_owned() });
        }
        lines => lines?,
    };
    let Some((end, text)) = only(&lines, "line that sums up", |line| labelled(line, "Tests"))? else {
        return Err(MISSING);
    };
    let files = only(&lines, "line that sums up", |line| labelled(line, "Test Files"))?;
    let errors = only(&lines, "line that sums up", |line| labelled(line, "Errors"))?;
    let files = files.and_then(|(_, text)| sum(text)).ok_or_else(|| malformed("no line \"Test Files\""))?;
    if text == "no tests" {
        let what = format!("vitest's line \"Tests  no tests\", {} files failed", files.failed);
        return Err(if files.failed > 0 { Unreadable::Broken { what } } else { Unreadable::NoTests { what } });
    }
    let sum = sum(text).ok_or_else(|| malformed(quote(text)))?;
    let mut tally = Tally::of_free_names();
    let mut shown = (0, 0);
    let mut broken = 0;
    for line in &lines[..end] {
        if let Some((name, total, failed)) = file_line(line) {
            shown = (shown.0 + 1, shown.1 + total);
            // A file that could not be loaded.
            if line.starts_with(" ❯ ") && failed == 0 {
                broken += 1;
                tally.fail(name)?;
            }
        } else if let Some((name, outcome)) = test_line(line) {
            tally.add(name, outcome)?;
        }
    }
    let failed_outside = broken + u32::from(errors.is_some()) + u32::from(files.failed > 0 && sum.failed + broken == 0);
    let named = tally.len() > broken as usize;
    let agree = if named {
        tally.len() == (sum.total + broken) as usize
            && (tally.of(TestOutcome::Passed), tally.of(TestOutcome::Failed)) == (sum.passed, sum.failed + broken)
    } else {
        // A file in which all was skipped has a line too.
        shown == (files.total, sum.total)
    };
    if !agree {
        let what = format!(
            "{} files and {} tests are shown, {} and {} summed up",
            shown.0,
            if named { tally.len() } else { shown.1 as usize },
            files.total,
            sum.total
        );
        return Err(contradiction(true, what));
    }
    let counts = TestCounts { passed: sum.passed, failed: sum.failed + failed_outside, skipped: sum.skipped };
    Ok(Tests { counts, named: if named { tally.tests().named } else { Default::default() } })
}

/// What follows a right-aligned label and two spaces: `      Tests  3 passed (3)`.
fn labelled<'a>(line: &'a str, label: &str) -> Option<&'a str> {
    if !line.starts_with(' ') {
        return None;
    }
    line.trim_start()
        .strip_prefix(label)?
        .strip_prefix("  ")
        .filter(|text| *text == "no tests" || sum(text).is_some() || label == "Errors")
}

/// `2 failed | 3 passed | 1 skipped | 1 todo (7)`
fn sum(text: &str) -> Option<Sum> {
    let (parts, total) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let mut sum = Sum { total: count(total)?, ..Sum::default() };
    let mut counted = 0_u32;
    for part in parts.split(" | ") {
        let (number, word) = part.split_once(' ')?;
        let number = count(number)?;
        counted += number;
        *match word {
            "passed" => &mut sum.passed,
            "failed" => &mut sum.failed,
            "skipped" | "todo" => &mut sum.skipped,
            _ => return None,
        } += number;
    }
    (counted == sum.total).then_some(sum)
}

/// ` ✓ a.test.js (2 tests) 5ms`, ` ❯ a.test.js (6 tests | 2 failed) 21ms`: the name, how many tests, how many failed.
fn file_line(line: &str) -> Option<(&str, u32, u32)> {
    let rest = [" ✓ ", " ❯ ", " ↓ ", " × "].iter().find_map(|mark| line.strip_prefix(mark))?;
    let (name, rest) = rest.rsplit_once(" (")?;
    let (inside, _) = rest.split_once(')')?;
    let mut parts = inside.split(" | ");
    let total = parts.next()?;
    let total = count(total.strip_suffix(" tests").or_else(|| total.strip_suffix(" test"))?)?;
    let failed = parts.find_map(|part| part.strip_suffix(" failed")).map_or(Some(0), count)?;
    Some((name, total, failed))
}

/// ` ✓ a.test.js > group > two 1ms`
fn test_line(line: &str) -> Option<(&str, TestOutcome)> {
    let marks = [
        (" ✓ ", TestOutcome::Passed),
        (" × ", TestOutcome::Failed),
        (" ↓ ", TestOutcome::Skipped),
        (" □ ", TestOutcome::Skipped),
    ];
    let (name, outcome) = marks.into_iter().find_map(|(mark, outcome)| Some((line.strip_prefix(mark)?, outcome)))?;
    let mut name = name;
    // What may follow the name: a reason, repeats, the time.
    while let Some((before, last)) =
        name.rsplit_once(" (").filter(|(_, last)| last.starts_with("retry x") || last.starts_with("repeat x"))
    {
        debug_assert!(!last.is_empty());
        name = before;
    }
    if let Some((before, time)) = name.rsplit_once(' ')
        && is_duration(time)
    {
        name = before.trim_end();
    }
    name.contains(" > ").then_some((name, outcome))
}

//! pytest's output: plain, `-q`, `-v` or `-rA`, with or without xdist.
//!
//! Invariant: the one line that sums up must agree with what the run showed test by test: lines under `-v`, dots and letters else.
//! Plain output rests on less than `-v`: dots have no names.

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, is_duration, only, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "pytest's last line, such as \"3 passed in 0.12s\"",
    advice: "run pytest without -qq and without plugins that change its output, or with --junitxml and the format junit",
};

/// What the last line counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Summary {
    passed: u32,
    failed: u32,
    errors: u32,
    skipped: u32,
    xfailed: u32,
    xpassed: u32,
    /// Words that the letters of a run don't show one to one: reruns, subtests, a plugin's own.
    others: bool,
}

impl Summary {
    fn ran(self) -> u32 {
        self.passed + self.failed + self.skipped + self.xfailed + self.xpassed
    }
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let lines = streams.with_mark(|line| summary(line).is_some(), MISSING)?;
    let Some((end, summary)) = only(&lines, "line that sums up", summary)? else {
        return Err(MISSING);
    };
    if summary.ran() == 0 {
        if summary.errors > 0 {
            let what = format!("none ran, errors while pytest collected tests: {}", summary.errors);
            return Err(Unreadable::Broken { what });
        }
        return Err(Unreadable::NoTests { what: quote(lines[end]) });
    }
    let shown = &lines[..lines.iter().take(end).position(|line| is_section(line)).unwrap_or(end)];
    if let Some(collected) = shown.iter().find_map(|line| collected(line))
        && summary.ran() > collected
    {
        let what = format!("{} tests collected, {} summed up", collected, summary.ran());
        return Err(contradiction(true, what));
    }
    let verbose: Vec<_> = shown.iter().filter_map(|line| verbose(line)).collect();
    if verbose.is_empty() {
        letters_agree(shown, summary)?;
        return named_at_the_end(&lines[..end], summary);
    }
    let mut seen = Summary { others: summary.others, ..Summary::default() };
    for (_, word) in &verbose {
        *seen.field(word) += 1;
    }
    agree(seen, summary)?;
    let mut tally = Tally::default();
    for (name, word) in verbose {
        let outcome = outcome(word);
        match tally.outcome(name) {
            // A test that passed and then failed to clean up has two lines.
            Some(TestOutcome::Passed | TestOutcome::Failed) if word == "ERROR" => tally.fail(name)?,
            Some(TestOutcome::Failed) if summary.others => tally.fail(name)?,
            _ if word == "RERUN" => {}
            _ => tally.add(name, outcome)?,
        }
    }
    Ok(tally.tests())
}

impl Summary {
    fn field(&mut self, word: &str) -> &mut u32 {
        match word {
            "PASSED" | "." => &mut self.passed,
            "FAILED" | "F" => &mut self.failed,
            "SKIPPED" | "s" => &mut self.skipped,
            "XFAIL" | "x" => &mut self.xfailed,
            "XPASS" | "X" => &mut self.xpassed,
            _ => &mut self.errors,
        }
    }
}

fn outcome(word: &str) -> TestOutcome {
    match word {
        "PASSED" | "XPASS" => TestOutcome::Passed,
        "SKIPPED" | "XFAIL" => TestOutcome::Skipped,
        _ => TestOutcome::Failed,
    }
}

/// `=== 2 failed, 5 passed in 0.12s ===`, without the frame under `-q`.
fn summary(line: &str) -> Option<Summary> {
    let framed = line.starts_with("==") && line.ends_with("==");
    let core = if framed { line.trim_matches('=').trim() } else { line };
    let (counted, time) = core.rsplit_once(" in ")?;
    if !is_duration(time.split_once(" (").map_or(time, |(seconds, _)| seconds)) {
        return None;
    }
    let mut summary = Summary::default();
    if counted == "no tests ran" {
        return Some(summary);
    }
    let mut known = false;
    for part in counted.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number = count(number)?;
        let field = match word {
            "passed" => &mut summary.passed,
            "failed" => &mut summary.failed,
            "error" | "errors" => &mut summary.errors,
            "skipped" => &mut summary.skipped,
            "xfailed" => &mut summary.xfailed,
            "xpassed" => &mut summary.xpassed,
            "deselected" | "warning" | "warnings" => {
                known = true;
                continue;
            }
            word if word.bytes().all(|b| b.is_ascii_lowercase() || b == b' ') => {
                summary.others = true;
                continue;
            }
            _ => return None,
        };
        *field = number;
        known = true;
    }
    known.then_some(summary)
}

/// A frame such as `=== FAILURES ===` that ends the part in which tests run.
fn is_section(line: &str) -> bool {
    line.starts_with("==") && line.ends_with("==") && !line.contains(" test session starts ") && line.contains(' ')
}

/// `collected 11 items / 1 deselected / 10 selected`: how many may run.
fn collected(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("collecting ... ").unwrap_or(line).strip_prefix("collected ")?;
    if let Some(selected) = rest.strip_suffix(" selected") {
        return count(selected.rsplit(' ').next()?);
    }
    count(rest.split(' ').next()?)
}

/// A line of `-v`: `a.py::test PASSED [ 9%]`, or xdist's `[gw0] [ 9%] PASSED a.py::test`. The name and the word.
fn verbose(line: &str) -> Option<(&str, &'static str)> {
    const WORDS: [&str; 7] = ["PASSED", "FAILED", "SKIPPED", "XFAIL", "XPASS", "ERROR", "RERUN"];
    if line.starts_with("[gw") {
        let (_, rest) = line.split_once("] ")?;
        let rest = if rest.starts_with('[') { rest.split_once("] ")?.1 } else { rest };
        let (word, name) = rest.split_once(' ')?;
        let word = WORDS.into_iter().find(|w| *w == word)?;
        return name.contains("::").then(|| (name.trim_end(), word));
    }
    let line = without_percentage(line);
    for word in WORDS {
        if let Some(name) = line.strip_suffix(word).and_then(|name| name.strip_suffix(' '))
            && is_test_name(name)
        {
            return Some((name, word));
        }
    }
    // Only these carry a reason.
    let reasoned = ["SKIPPED", "XFAIL", "XPASS"].into_iter().filter(|_| line.ends_with(')'));
    let placed = reasoned.filter_map(|word| line.rfind(&format!(" {word} (")).map(|at| (at, word)));
    let (at, word) = placed.max()?;
    is_test_name(&line[..at]).then(|| (&line[..at], word))
}

fn is_test_name(name: &str) -> bool {
    name.split_once("::").is_some_and(|(file, _)| !file.is_empty() && !file.starts_with(' '))
}

fn without_percentage(line: &str) -> &str {
    let line = line.trim_end();
    let Some(open) = line.rfind('[').filter(|_| line.ends_with("%]")) else { return line };
    let inside = line[open + 1..line.len() - 2].trim();
    if count(inside).is_some() { line[..open].trim_end() } else { line }
}

/// Compares the letters that plain output shows with the summary.
fn letters_agree(shown: &[&str], summary: Summary) -> Result<(), Unreadable> {
    let mut seen = Summary { others: summary.others, ..Summary::default() };
    for line in shown {
        let line = without_percentage(line);
        let (file, letters) = line.rsplit_once(' ').unwrap_or(("", line));
        let is_file = file.is_empty() || (file.contains('.') && !file.contains(' '));
        if !is_file || !letters.chars().all(|c| ".FsxXER,u-".contains(c)) {
            continue;
        }
        for letter in letters.chars().filter(|c| ".FsxXE".contains(*c)) {
            *seen.field(letter.encode_utf8(&mut [0; 4])) += 1;
        }
    }
    agree(seen, summary)
}

fn agree(seen: Summary, summary: Summary) -> Result<(), Unreadable> {
    let agree = if summary.others {
        (seen.passed, seen.xpassed) == (summary.passed, summary.xpassed) && seen.failed >= summary.failed
    } else {
        seen == summary
    };
    if agree {
        return Ok(());
    }
    let what = format!(
        "the run shows {} passed and {} failed or broken, the last line sums up {} and {}; without -s, or with --junitxml, they agree",
        seen.passed,
        seen.failed + seen.errors,
        summary.passed,
        summary.failed + summary.errors
    );
    Err(contradiction(summary.passed > seen.passed, what))
}

/// The names that `-rA` lists below "short test summary info", where it lists all that passed. Skipped tests have no names there.
fn named_at_the_end(lines: &[&str], summary: Summary) -> Result<Tests, Unreadable> {
    // Without names each error may be of a test that had passed and then failed to clean up: it counts once, as failed.
    let counts = TestCounts {
        passed: (summary.passed + summary.xpassed).saturating_sub(summary.errors),
        failed: summary.failed + summary.errors,
        skipped: summary.skipped + summary.xfailed,
    };
    let is_head = |line: &str| (is_section(line) && line.contains(" short test summary info ")).then_some(());
    let Some((head, ())) = only(lines, "short test summary", is_head)? else {
        return Ok(Tests { counts, ..Tests::default() });
    };
    let mut tally = Tally::default();
    let mut twice = 0;
    let mut failures = (0, 0);
    for line in &lines[head + 1..] {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        // A reason follows failures and expected ones after " - "; a name may hold that too, so names of passes are taken whole.
        let name = if word == "PASSED" { rest } else { rest.split_once(" - ").map_or(rest, |(name, _)| name) };
        match word {
            "PASSED" | "XPASS" | "XFAIL" => tally.add(name, outcome(word))?,
            "FAILED" | "ERROR" => {
                *(if word == "FAILED" { &mut failures.0 } else { &mut failures.1 }) += 1;
                twice += u32::from(tally.outcome(name) == Some(TestOutcome::Passed));
                tally.fail(name)?;
            }
            _ => {}
        }
    }
    let summed_up = summary.passed + summary.xpassed;
    if failures != (summary.failed, summary.errors) && !summary.others {
        if failures == (0, 0) {
            // -rp lists passes alone, and some of them may have failed to clean up.
            return Ok(Tests { counts, ..Tests::default() });
        }
        let what = format!("{} failures are listed, {} are summed up", failures.0 + failures.1, counts.failed);
        return Err(contradiction(false, what));
    }
    match tally.of(TestOutcome::Passed) + twice {
        listed if listed == summed_up => {
            let named = tally.tests();
            Ok(Tests { counts: TestCounts { skipped: counts.skipped, ..named.counts }, named: named.named })
        }
        // Without -rA only failures are listed, and without -rP no pass: nothing to name.
        0 => Ok(Tests { counts, ..Tests::default() }),
        listed => Err(contradiction(
            listed > summed_up,
            format!("{listed} passed tests are listed, {summed_up} are summed up"),
        )),
    }
}

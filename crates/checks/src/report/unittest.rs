//! unittest's output, plain or `-v`.
//!
//! Invariant: "Ran N tests" and the last line must agree with the lines of `-v`. Plain output rests on less: its dots are compared only
//! where nothing else was printed between them.

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, is_duration, malformed, only, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "unittest's line \"Ran 3 tests in 0.001s\"",
    advice: "see that the command runs python -m unittest (-v names the tests) and that no test ends the process",
};

/// How the tests came out that did not simply pass.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Others {
    failures: u32,
    errors: u32,
    skipped: u32,
    expected: u32,
    unexpected: u32,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let lines = streams.with_mark(|line| ran(line).is_some(), MISSING)?;
    let Some((at, ran)) = only(&lines, "line that sums up", ran)? else { return Err(MISSING) };
    if at == 0 || !is_rule(lines[at - 1], '-') {
        return Err(malformed(format!("{} without the rule above it", quote(lines[at]))));
    }
    let verdicts: Vec<_> = lines[at + 1..].iter().filter_map(|line| verdict(line)).collect();
    let [others] = verdicts[..] else {
        let what = format!("{} final lines such as OK or FAILED after \"Ran {ran} tests\"", verdicts.len());
        return Err(if verdicts.is_empty() { malformed(what) } else { contradiction(true, what) });
    };
    if ran == 0 && others.errors + others.failures == 0 {
        return Err(Unreadable::NoTests { what: quote(lines[at]) });
    }
    let end = lines.iter().take(at).position(|line| is_rule(line, '=')).unwrap_or(at - 1);
    let is_verbose = |at: usize| {
        let head = lines[at].split_once(" ... ").map(|(head, _)| head);
        head.is_some_and(|head| is_test(head) || (at > 0 && is_test(lines[at - 1])))
    };
    if (0..end).any(is_verbose) {
        return verbose(&lines[..end], ran, others, streams.exit_code);
    }
    let failed = others.failures + others.errors + others.unexpected;
    let skipped = others.skipped + others.expected;
    // Failed subtests and fixtures of a class are not among those that ran, so this may be too few and is never too many.
    let passed = ran.saturating_sub(failed + skipped);
    if let Some(dots) = dots(&lines[..end])
        && (passed > dots || dots > ran)
    {
        let what = format!("{dots} tests are shown as passed, the end says {passed} of {ran}");
        return Err(contradiction(true, what));
    }
    Ok(Tests { counts: TestCounts { passed, failed, skipped }, ..Tests::default() })
}

fn ran(line: &str) -> Option<u32> {
    let (number, time) = line.strip_prefix("Ran ")?.split_once(" test")?;
    let time = time.strip_prefix('s').unwrap_or(time).strip_prefix(" in ")?;
    if is_duration(time) { count(number) } else { None }
}

fn is_rule(line: &str, c: char) -> bool {
    line.len() == 70 && line.chars().all(|l| l == c)
}

/// `OK`, `OK (skipped=1)`, `FAILED (failures=1, errors=2)`, `NO TESTS RAN`.
fn verdict(line: &str) -> Option<Others> {
    let (word, details) = line.split_once(" (").unwrap_or((line, ")"));
    let mut others = Others::default();
    for part in details.strip_suffix(')')?.split(", ").filter(|part| !part.is_empty()) {
        let (what, number) = part.split_once('=')?;
        *match what {
            "failures" => &mut others.failures,
            "errors" => &mut others.errors,
            "skipped" => &mut others.skipped,
            "expected failures" => &mut others.expected,
            "unexpected successes" => &mut others.unexpected,
            _ => return None,
        } = count(number)?;
    }
    let failed = others.failures + others.errors + others.unexpected > 0;
    (matches!(word, "OK" | "NO TESTS RAN") && !failed || word == "FAILED" && failed).then_some(others)
}

/// The dots, where nothing but the runner's letters was printed.
fn dots(lines: &[&str]) -> Option<u32> {
    let letters = lines.iter().flat_map(|line| line.chars());
    let mut dots = 0;
    for letter in letters {
        match letter {
            '.' => dots += 1,
            'F' | 'E' | 's' | 'x' | 'u' => {}
            _ => return None,
        }
    }
    Some(dots)
}

enum Word {
    Ok,
    Fail,
    Error,
    Skipped,
    Expected,
    Unexpected,
}

fn word(text: &str) -> Option<Word> {
    Some(match text {
        "ok" => Word::Ok,
        "FAIL" => Word::Fail,
        "ERROR" => Word::Error,
        "expected failure" => Word::Expected,
        "unexpected success" => Word::Unexpected,
        _ if text.starts_with("skipped ") => Word::Skipped,
        _ => return None,
    })
}

/// `test_one (module.Class.test_one)`: whether a line starts a test.
fn is_test(text: &str) -> bool {
    text.split_once(" (").is_some_and(|(method, class)| {
        !method.is_empty() && !method.contains(' ') && class.ends_with(')') && !class.contains(' ')
    })
}

fn verbose(lines: &[&str], ran: u32, others: Others, exit_code: i32) -> Result<Tests, Unreadable> {
    let mut tally = Tally::default();
    let mut seen = Others::default();
    let mut passed = 0;
    // The test whose word is still to come: what it prints comes in between.
    let mut open: Option<&str> = None;
    // A test with a docstring has its name on the line before.
    let mut above: Option<&str> = None;
    for line in lines {
        if let Some(word) = word(line) {
            match (&word, open.take()) {
                (_, Some(name)) => tally.add(name, seen.take(&word, &mut passed))?,
                // Of a class or module, which has no line of its own.
                (Word::Error | Word::Skipped, None) => {
                    seen.take(&word, &mut passed);
                    if matches!(word, Word::Error) {
                        tally.fail(&format!("class or module {}", seen.errors))?;
                    }
                }
                _ => return Err(contradiction(exit_code == 0, format!("a result without a test: {}", quote(line)))),
            }
            continue;
        }
        let Some((head, tail)) = line.split_once(" ... ").or_else(|| line.strip_suffix(" ...").map(|head| (head, "")))
        else {
            above = is_test(line).then_some(line);
            continue;
        };
        if head.starts_with("  ") {
            // A subtest; only those that don't pass have a line. It says the worst about the test around it.
            if let (Some(word), Some(name)) = (word(tail), open) {
                seen.take(&word, &mut passed);
                tally.fail(name)?;
            }
            continue;
        }
        let name = if is_test(head) { head } else { above.unwrap_or(head) };
        above = None;
        if !is_test(name) {
            continue;
        }
        close(&mut open, &tally, exit_code == 0)?;
        match word(tail) {
            Some(word) => tally.add(name, seen.take(&word, &mut passed))?,
            None => open = Some(name),
        }
    }
    close(&mut open, &tally, exit_code == 0)?;
    let fixtures = (1..=seen.errors).filter(|n| tally.outcome(&format!("class or module {n}")).is_some()).count();
    if tally.len() - fixtures != ran as usize || seen != others {
        let what = format!(
            "{} tests have a line, {passed} of them passed; the end says that {ran} ran, with {} failed and {} skipped",
            tally.len() - fixtures,
            others.failures + others.errors + others.unexpected,
            others.skipped + others.expected
        );
        return Err(contradiction(exit_code == 0 || ran as usize > tally.len(), what));
    }
    Ok(tally.tests())
}

/// A test that is left without a word must have had a subtest that failed.
fn close(open: &mut Option<&str>, tally: &Tally, suspicious: bool) -> Result<(), Unreadable> {
    match open.take() {
        Some(name) if tally.outcome(name) != Some(TestOutcome::Failed) => {
            Err(contradiction(suspicious, format!("{} started and has no result", quote(name))))
        }
        _ => Ok(()),
    }
}

impl Others {
    fn take(&mut self, word: &Word, passed: &mut u32) -> TestOutcome {
        let (field, outcome) = match word {
            Word::Ok => (passed, TestOutcome::Passed),
            Word::Fail => (&mut self.failures, TestOutcome::Failed),
            Word::Error => (&mut self.errors, TestOutcome::Failed),
            Word::Skipped => (&mut self.skipped, TestOutcome::Skipped),
            Word::Expected => (&mut self.expected, TestOutcome::Skipped),
            Word::Unexpected => (&mut self.unexpected, TestOutcome::Failed),
        };
        *field += 1;
        outcome
    }
}

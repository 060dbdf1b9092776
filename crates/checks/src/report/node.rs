//! The output of node's own runner: its spec reporter (node 20 and later) or TAP.
//!
//! Invariant: the block that sums up agrees with the lines of tests and suites. Tests are the leaves: what holds other tests, a suite or
//! a test, counts only where it fails by itself. A file that passed as one test is none: its process ended before it reported any.

use super::tally::Tally;
use super::text::{Streams, contradiction, count, is_duration, malformed, quote};
use super::{TestOutcome, Tests, Unreadable, tap};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "the end of node's spec reporter (\"ℹ tests 3\", \"ℹ pass 3\", …) or TAP",
    advice: "see that the command runs node --test, with --test-reporter=spec or tap",
};

/// What the runner sums up, in its order; suites came later than the others.
const KEYS: [&str; 7] = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo"];

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Summary {
    tests: u32,
    suites: u32,
    pass: u32,
    fail: u32,
    skipped: u32,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let is_tap = |text: &str| text.lines().any(|line| line.starts_with("TAP version "));
    let tests = if is_tap(&streams.stdout) || is_tap(&streams.stderr) { from_tap(streams)? } else { spec(streams)? };
    match tests.named.iter().find(|(name, outcome)| **outcome == TestOutcome::Passed && is_file(name)) {
        Some((name, _)) => {
            let what = format!("{} passed as a whole: its process ended before it reported a test", quote(name));
            Err(Unreadable::Broken { what })
        }
        None => Ok(tests),
    }
}

/// Whether a test at the top is a file, as the runner names one whose process reported no tests.
fn is_file(name: &str) -> bool {
    const ENDS: [&str; 6] = [".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"];
    ENDS.iter().any(|end| name.ends_with(end))
        && !name.contains(" > ")
        && (name.starts_with('/') || !name.contains(' '))
}

fn from_tap(streams: &Streams) -> Result<Tests, Unreadable> {
    let stream = tap::parse(&tap::lines(streams)?)?;
    let end: Vec<&str> = stream.end.iter().filter_map(|line| line.strip_prefix("# ")).collect();
    let summary = summary(&end)?.ok_or_else(|| malformed("a TAP stream without node's comments at its end"))?;
    let lines = stream.lines;
    let mut tally = Tally::default();
    for (name, outcome) in &stream.leaves {
        tally.add_numbered(name, *outcome)?;
    }
    if lines != summary.tests + summary.suites {
        return Err(differs(lines, summary));
    }
    if tally.is_empty() {
        return Err(Unreadable::NoTests { what: "a plan of no tests".to_owned() });
    }
    agree(tally.tests(), summary)
}

/// The block of `tests 3`, `pass 3`, …; each key once.
fn summary(lines: &[&str]) -> Result<Option<Summary>, Unreadable> {
    let mut values = [None; KEYS.len()];
    for line in lines {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let Some(at) = KEYS.iter().position(|known| *known == key) else { continue };
        let Some(value) = count(value) else { continue };
        if values[at].replace(value).is_some() {
            return Err(contradiction(true, format!("a second line {}; run node --test once", quote(line))));
        }
    }
    let [Some(tests), suites, Some(pass), Some(fail), Some(cancelled), Some(skipped), Some(todo)] = values else {
        return if values.iter().any(Option::is_some) {
            Err(malformed("node's summary lacks lines"))
        } else {
            Ok(None)
        };
    };
    let summary = Summary { tests, suites: suites.unwrap_or(0), pass, fail: fail + cancelled, skipped: skipped + todo };
    if summary.pass + summary.fail + summary.skipped != tests {
        let what = format!(
            "{tests} tests, of which {pass} passed, {} failed and {} were skipped",
            summary.fail, summary.skipped
        );
        return Err(contradiction(true, what));
    }
    Ok(Some(summary))
}

fn differs(lines: u32, summary: Summary) -> Unreadable {
    let what = format!(
        "{lines} lines of tests, {} tests and {} suites summed up; tests must not print such lines, or use --test-reporter=tap",
        summary.tests, summary.suites
    );
    contradiction(true, what)
}

/// The leaves can't be more than the summary has.
fn agree(tests: Tests, summary: Summary) -> Result<Tests, Unreadable> {
    let counts = tests.counts;
    let no_more = counts.passed <= summary.pass && counts.skipped <= summary.skipped + summary.suites;
    // Suites that fail are not in the summary's count; their tests are.
    let same_end = (counts.failed == 0) == (summary.fail == 0) || summary.suites > 0;
    if no_more && same_end {
        return Ok(tests);
    }
    let what = format!(
        "the lines show {} passed, {} failed and {} skipped tests, {} passed, {} failed and {} skipped are summed up",
        counts.passed, counts.failed, counts.skipped, summary.pass, summary.fail, summary.skipped
    );
    Err(contradiction(true, what))
}

fn spec(streams: &Streams) -> Result<Tests, Unreadable> {
    let is_mark = |line: &str| info(line).is_some_and(|line| line.starts_with("tests "));
    let lines = streams.with_mark(is_mark, MISSING)?;
    let infos: Vec<&str> = lines.iter().filter_map(|line| info(line)).collect();
    let summary = summary(&infos)?.ok_or(MISSING)?;
    let end = lines.iter().position(|line| is_mark(line)).unwrap_or(0);
    if summary.tests == 0 {
        return Err(Unreadable::NoTests { what: quote(lines[end]) });
    }
    let mut tree = Tree::default();
    for line in &lines[..end] {
        if let Some(line) = test_line(line) {
            tree.add(&line)?;
        }
    }
    if !tree.open.is_empty() {
        return Err(Unreadable::Broken { what: "a suite has no result".to_owned() });
    }
    if tree.lines != summary.tests + summary.suites {
        return Err(differs(tree.lines, summary));
    }
    agree(tree.tally.tests(), summary)
}

/// `ℹ tests 3`
fn info(line: &str) -> Option<&str> {
    line.strip_prefix("ℹ ")
}

struct Line<'a> {
    depth: usize,
    mark: char,
    name: &'a str,
    /// Whether it has a duration: what opens a suite has none.
    timed: bool,
    /// `# SKIP`, `# TODO` or a reason.
    directive: Option<&'a str>,
}

/// `  ✔ two (0.3ms)`, `▶ group`, `﹣ skipped (0.2ms) # later`.
fn test_line(line: &str) -> Option<Line<'_>> {
    let text = line.trim_start_matches(' ');
    let indent = line.len() - text.len();
    let mark = text.chars().next().filter(|c| matches!(c, '✔' | '✖' | '﹣' | '▶'))?;
    let rest = text[mark.len_utf8()..].strip_prefix(' ')?;
    let (rest, directive) = match rest.rsplit_once(" # ") {
        Some((before, directive)) if before.ends_with("ms)") => (before, Some(directive)),
        _ => (rest, None),
    };
    let timed = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")).filter(|(_, time)| is_duration(time));
    if (mark != '▶' && timed.is_none()) || !indent.is_multiple_of(2) {
        return None;
    }
    Some(Line {
        depth: indent / 2,
        mark,
        name: timed.map_or(rest, |(name, _)| name),
        timed: timed.is_some(),
        directive,
    })
}

/// The name on a line that says that a test failed.
pub(super) fn failed(line: &str) -> Option<&str> {
    test_line(line).filter(|line| line.mark == '✖').map(|line| line.name)
}

#[derive(Default)]
struct Tree<'a> {
    /// The suites that are open, each with whether something in it failed.
    open: Vec<(&'a str, bool)>,
    tally: Tally,
    lines: u32,
}

impl<'a> Tree<'a> {
    fn add(&mut self, line: &Line<'a>) -> Result<(), Unreadable> {
        if line.mark == '▶' && !line.timed {
            if line.depth != self.open.len() {
                return Err(malformed(format!("a suite at an odd place: {}", quote(line.name))));
            }
            self.open.push((line.name, false));
            return Ok(());
        }
        self.lines += 1;
        let outcome = match (line.mark, line.directive) {
            ('﹣', _) => TestOutcome::Skipped,
            (_, Some(word)) if word.starts_with("TODO") || word.starts_with("SKIP") => TestOutcome::Skipped,
            ('✖', _) => TestOutcome::Failed,
            // Older versions close a suite without saying how it came out.
            _ => TestOutcome::Passed,
        };
        if line.depth + 1 == self.open.len() && self.open.last().is_some_and(|(name, _)| *name == line.name) {
            let name = self.name(line.name, self.open.len() - 1);
            let failed = self.open.pop().is_some_and(|(_, failed)| failed);
            if line.mark == '✔' && failed && outcome == TestOutcome::Passed {
                return Err(contradiction(true, format!("{} passed with a test in it that failed", quote(line.name))));
            }
            if outcome == TestOutcome::Failed && !failed {
                self.tally.fail(&name)?;
            }
            self.mark(failed || outcome == TestOutcome::Failed);
            return Ok(());
        }
        if line.depth != self.open.len() {
            return Err(malformed(format!("a test at an odd place: {}", quote(line.name))));
        }
        let name = self.name(line.name, self.open.len());
        self.mark(outcome == TestOutcome::Failed);
        self.tally.add_numbered(&name, outcome)
    }

    fn name(&self, name: &str, depth: usize) -> String {
        let mut full: String = self.open.iter().take(depth).map(|(suite, _)| format!("{suite} > ")).collect();
        full.push_str(name);
        full
    }

    fn mark(&mut self, failed: bool) {
        if let Some((_, any)) = self.open.last_mut() {
            *any |= failed;
        }
    }
}

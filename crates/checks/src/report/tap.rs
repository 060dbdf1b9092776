//! The Test Anything Protocol, versions 12 to 14, with subtests indented by four spaces.
//!
//! Invariant: every level has one plan that its lines fulfil in order; nothing is counted after a bail out. Tests are the leaves: a
//! parent of subtests counts only where it fails by itself. A todo is a skip, whatever came of it.

use super::tally::Tally;
use super::text::{Streams, contradiction, count, malformed, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "a TAP stream with a plan such as \"1..3\"",
    advice: "see that the command prints TAP to standard output",
};

/// The deepest nesting of subtests, in levels.
const MAX_DEPTH: usize = 32;

/// The spaces that a level of subtests adds.
const INDENT: usize = 4;

/// What is open at one depth.
#[derive(Default)]
struct Level {
    plan: Option<(u32, bool)>,
    seen: u32,
    /// How many of the tests in `found` belong to it.
    leaves: Vec<(String, TestOutcome)>,
    failed: bool,
    closed: bool,
}

/// What a stream says, before it is counted.
#[derive(Debug)]
pub(super) struct Stream {
    /// Leaves by their full name.
    pub(super) leaves: Vec<(String, TestOutcome)>,
    /// How many lines of tests there are, with parents.
    pub(super) lines: u32,
    /// The comments after the plan.
    pub(super) end: Vec<String>,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let stream = parse(&lines(streams)?)?;
    let mut tally = Tally::of_free_names();
    for (name, outcome) in &stream.leaves {
        tally.add(name, *outcome)?;
    }
    if tally.is_empty() {
        return Err(Unreadable::NoTests { what: "a plan of no tests".to_owned() });
    }
    Ok(tally.tests())
}

pub(super) fn lines(streams: &Streams) -> Result<Vec<&str>, Unreadable> {
    streams.with_mark(|line| plan(line).is_some() || test(line).is_some(), MISSING)
}

pub(super) fn parse(lines: &[&str]) -> Result<Stream, Unreadable> {
    let mut levels = vec![Level::default()];
    let mut stream = Stream { leaves: Vec::new(), lines: 0, end: Vec::new() };
    // The indentation of the block of YAML that is open: nothing in it is read.
    let mut yaml: Option<usize> = None;
    let mut after_test = false;
    let mut versions = 0;
    for line in lines {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        if let Some(at) = yaml {
            if indent == at && text == "..." {
                yaml = None;
            }
            continue;
        }
        if after_test && text == "---" && indent % INDENT == 2 {
            yaml = Some(indent);
            continue;
        }
        after_test = false;
        if text.starts_with("Bail out!") {
            return Err(Unreadable::Broken { what: quote(text) });
        }
        versions += u32::from(indent == 0 && text.starts_with("TAP version "));
        let depth = indent / INDENT;
        if indent % INDENT != 0 || depth > MAX_DEPTH {
            continue;
        }
        if let Some(planned) = plan(text) {
            planned_at(&mut levels, depth, planned)?;
        } else if let Some(line) = test(text) {
            stream.lines += 1;
            after_test = true;
            test_at(&mut levels, depth, &line)?;
        } else if levels.len() == 1 && levels[0].plan.is_some() && text.starts_with("# ") {
            stream.end.push(text.to_owned());
        }
    }
    if versions > 1 {
        return Err(contradiction(true, "two TAP streams in one output; one command must run the runner once"));
    }
    if levels.len() > 1 {
        return Err(Unreadable::Broken { what: "the TAP stream ends within a subtest".to_owned() });
    }
    let top = levels.pop().unwrap_or_default();
    fulfilled(&top)?;
    if top.plan.is_some_and(|(planned, skipped)| planned == 0 && skipped) && top.leaves.is_empty() {
        return Err(Unreadable::NoTests { what: "the plan skips all tests".to_owned() });
    }
    stream.leaves = top.leaves;
    Ok(stream)
}

/// `1..3`, `1..0 # SKIP reason`: how many, and whether all are skipped.
fn plan(text: &str) -> Option<(u32, bool)> {
    let rest = text.strip_prefix("1..")?;
    let (number, comment) = rest.split_once(" #").unwrap_or((rest, ""));
    Some((count(number.trim_end())?, comment.trim_start().to_ascii_lowercase().starts_with("skip")))
}

/// A line of a test.
pub(super) struct Line<'a> {
    pub(super) number: Option<u32>,
    pub(super) name: &'a str,
    pub(super) outcome: TestOutcome,
}

pub(super) fn test(text: &str) -> Option<Line<'_>> {
    let (ok, rest) = match text.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    let rest = rest.trim_start();
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let (number, rest) = match first.parse::<u32>() {
        Ok(number) => (Some(number), after),
        Err(_) => (None, rest),
    };
    let rest = rest.trim_start().strip_prefix("- ").unwrap_or(rest);
    let mut outcome = if ok { TestOutcome::Passed } else { TestOutcome::Failed };
    let mut name = rest;
    if let Some((before, directive)) = rest.rsplit_once(" # ").or_else(|| rest.strip_prefix("# ").map(|d| ("", d))) {
        name = before;
        let directive = directive.trim_start().to_ascii_lowercase();
        if directive.starts_with("skip") || directive.starts_with("todo") {
            outcome = TestOutcome::Skipped;
        } else if !directive.starts_with("time=") {
            name = rest;
        }
    }
    let name = name.trim_end().strip_suffix('{').unwrap_or(name).trim();
    Some(Line { number, name, outcome })
}

fn planned_at(levels: &mut Vec<Level>, depth: usize, planned: (u32, bool)) -> Result<(), Unreadable> {
    open_to(levels, depth)?;
    let level = &mut levels[depth];
    if level.plan.is_some() {
        return Err(contradiction(true, "a second plan; one command must run the runner once"));
    }
    // A plan after the first test closes its level.
    level.closed = level.seen > 0 || planned.0 == 0;
    level.plan = Some(planned);
    Ok(())
}

/// Sees to it that `depth` is the innermost level that is open. A deeper one is closed by the line of its parent alone.
fn open_to(levels: &mut Vec<Level>, depth: usize) -> Result<(), Unreadable> {
    if depth + 1 < levels.len() {
        return Err(malformed("a subtest without the line of its parent after it"));
    }
    if depth > levels.len() {
        return Err(malformed("a subtest that is nested by more than one level at once"));
    }
    if depth == levels.len() {
        levels.push(Level::default());
    }
    Ok(())
}

fn test_at(levels: &mut Vec<Level>, depth: usize, line: &Line<'_>) -> Result<(), Unreadable> {
    let child = if depth + 2 == levels.len() { levels.pop() } else { None };
    open_to(levels, depth)?;
    let level = &mut levels[depth];
    if level.closed {
        return Err(contradiction(true, format!("a test after the plan: {}", quote(line.name))));
    }
    level.seen += 1;
    if line.number.is_some_and(|number| number != level.seen) {
        let what = format!("test {} of its level is numbered {}", level.seen, line.number.unwrap_or_default());
        return Err(contradiction(line.number < Some(level.seen), what));
    }
    let name = if line.name.is_empty() { format!("test {}", level.seen) } else { line.name.to_owned() };
    level.failed |= line.outcome == TestOutcome::Failed;
    let Some(child) = child else {
        level.leaves.push((name, line.outcome));
        return Ok(());
    };
    fulfilled(&child)?;
    if child.failed && line.outcome == TestOutcome::Passed {
        return Err(contradiction(true, format!("{} passed with a subtest that failed", quote(&name))));
    }
    let fails_alone =
        line.outcome == TestOutcome::Failed && !child.leaves.iter().any(|(_, o)| *o == TestOutcome::Failed);
    for (leaf, outcome) in child.leaves {
        // What is below a skipped or todo parent did not count for its runner either.
        let outcome = if line.outcome == TestOutcome::Skipped { TestOutcome::Skipped } else { outcome };
        level.leaves.push((format!("{name} > {leaf}"), outcome));
    }
    if fails_alone || child.seen == 0 {
        let outcome = if line.outcome == TestOutcome::Failed { TestOutcome::Failed } else { TestOutcome::Skipped };
        level.leaves.push((name, outcome));
    }
    Ok(())
}

/// Whether a level has the plan that its tests fulfil.
fn fulfilled(level: &Level) -> Result<(), Unreadable> {
    match level.plan {
        None => Err(contradiction(false, format!("no plan for {} tests: they may not be all", level.seen))),
        Some((planned, _)) if planned != level.seen => {
            let what = format!("{planned} tests planned, {} reported", level.seen);
            Err(contradiction(level.seen > planned, what))
        }
        Some(_) => Ok(()),
    }
}

//! cargo test's output: a block per test binary and for the documentation's tests.
//!
//! Invariant: every block that starts ends with one result, which agrees with its lines; results without a block don't count.

use std::collections::{BTreeMap, BTreeSet};

use damascus_core::TestCounts;

use super::tally::Tally;
use super::text::{Streams, contradiction, count, malformed, quote};
use super::{TestOutcome, Tests, Unreadable};

const MISSING: Unreadable = Unreadable::Missing {
    expected: "cargo test's blocks, from \"running 3 tests\" to \"test result: …\"",
    advice: "see that the code builds and that the command runs cargo test with the usual output",
};

/// Standing for one run of the documentation's tests there may be two blocks: tests that are merged into one binary, and the others.
const BLOCKS_PER_DOC_RUN: usize = 2;

/// One test binary's part.
struct Block<'a> {
    announced: u32,
    /// The lines of tests; none under `-q`.
    tests: Vec<(&'a str, TestOutcome)>,
    /// The test whose word is still to come, after what it prints (`--nocapture`).
    open: Option<&'a str>,
    dots: u32,
    measured: u32,
    /// Inside the part that repeats what tests printed: nothing there counts.
    printed: bool,
}

struct Done<'a> {
    counts: TestCounts,
    tests: Vec<(&'a str, TestOutcome)>,
    quiet: bool,
}

pub(super) fn read(streams: &Streams) -> Result<Tests, Unreadable> {
    let fault = compile_error(&streams.stderr).or_else(|| compile_error(&streams.stdout));
    let is_mark = |line: &str| announced(line).is_some() || line.starts_with("test result: ");
    let lines = match streams.with_mark(is_mark, MISSING) {
        Err(Unreadable::Missing { .. }) if fault.is_some() && streams.exit_code != 0 => {
            return Err(Unreadable::Broken { what: fault.unwrap_or_default() });
        }
        lines => lines?,
    };
    let done = blocks(&lines)?;
    let names = binaries(streams, done.len())?;
    let named = done.iter().all(|block| !block.quiet);
    let mut counts = TestCounts::default();
    let mut tally = Tally::default();
    for (block, binary) in done.iter().zip(&names) {
        counts.passed += block.counts.passed;
        counts.failed += block.counts.failed;
        counts.skipped += block.counts.skipped;
        for (name, outcome) in &block.tests {
            tally.add(&format!("{binary} {name}"), *outcome)?;
        }
    }
    if counts == TestCounts::default() {
        return Err(Unreadable::NoTests { what: format!("{} test binaries, each with 0 tests", done.len()) });
    }
    if !named {
        return Ok(Tests { counts, ..Tests::default() });
    }
    Ok(tally.tests())
}

/// The first thing that kept the code from being built.
fn compile_error(text: &str) -> Option<String> {
    text.lines().find(|line| line.starts_with("error: could not compile ")).map(quote)
}

/// `running 3 tests`
fn announced(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("running ")?;
    count(rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?)
}

fn blocks<'a>(lines: &[&'a str]) -> Result<Vec<Done<'a>>, Unreadable> {
    let mut done = Vec::new();
    let mut open: Option<Block<'a>> = None;
    for line in lines {
        if let Some(announced) = announced(line) {
            if open.is_some() {
                let what = "a test binary ended without its result; does a test end the process?".to_owned();
                return Err(Unreadable::Broken { what });
            }
            let (tests, open_test) = (Vec::new(), None);
            open = Some(Block { announced, tests, open: open_test, dots: 0, measured: 0, printed: false });
        } else if let Some(result) = line.strip_prefix("test result: ") {
            let Some(block) = open.take() else {
                let what = format!("a second result of a test binary: {}", quote(line));
                return Err(contradiction(true, what));
            };
            done.push(close(block, result)?);
        } else if let Some(block) = &mut open {
            test_line(block, line);
        }
    }
    match open {
        None => Ok(done),
        Some(_) => Err(Unreadable::Broken {
            what: "the last test binary ended without its result; does a test end the process?".to_owned(),
        }),
    }
}

fn test_line<'a>(block: &mut Block<'a>, line: &'a str) {
    if block.printed || matches!(line, "failures:" | "successes:") {
        block.printed = true;
        return;
    }
    if let Some((name, word)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        if word.starts_with("bench: ") {
            block.measured += 1;
        } else if let Some(outcome) = outcome(word) {
            block.tests.push((name, outcome));
        } else {
            block.open = Some(name);
        }
    } else if let (Some(name), Some(outcome)) = (block.open, outcome(line)) {
        block.tests.push((name, outcome));
        block.open = None;
    } else {
        let letters = line.split(' ').next().unwrap_or_default();
        if letters.chars().all(|c| matches!(c, '.' | 'i' | 'F')) {
            block.dots += u32::try_from(letters.matches('.').count()).unwrap_or(u32::MAX);
        }
    }
}

fn outcome(word: &str) -> Option<TestOutcome> {
    match word {
        "ok" => Some(TestOutcome::Passed),
        _ if word.starts_with("ok <") => Some(TestOutcome::Passed),
        "ignored" => Some(TestOutcome::Skipped),
        _ if word.starts_with("ignored, ") => Some(TestOutcome::Skipped),
        _ if word.starts_with("FAILED") => Some(TestOutcome::Failed),
        _ => None,
    }
}

/// Compares a block's result with its lines.
fn close<'a>(block: Block<'a>, result: &str) -> Result<Done<'a>, Unreadable> {
    let (word, parts) = result.split_once(". ").ok_or_else(|| malformed(quote(result)))?;
    let mut numbers = [0; 4];
    for (number, (part, name)) in
        numbers.iter_mut().zip(parts.split("; ").zip([" passed", " failed", " ignored", " measured"]))
    {
        *number = part.strip_suffix(name).and_then(count).ok_or_else(|| malformed(quote(result)))?;
    }
    let [passed, failed, skipped, measured] = numbers;
    let counts = TestCounts { passed, failed, skipped };
    if (word == "ok") != (failed == 0) {
        return Err(contradiction(true, format!("a test binary's result is {}", quote(result))));
    }
    let sum = passed + failed + skipped + measured;
    if sum != block.announced {
        let what = format!("a test binary announced {} tests, its result counts {sum}", block.announced);
        return Err(contradiction(sum > block.announced, what));
    }
    let of = |outcome| block.tests.iter().filter(|(_, o)| *o == outcome).count();
    let shown = [TestOutcome::Passed, TestOutcome::Failed, TestOutcome::Skipped].map(of);
    let quiet = block.tests.is_empty() && block.measured == 0 && sum > 0;
    let agree = if quiet {
        block.dots == passed
    } else {
        shown == [passed, failed, skipped].map(|n| n as usize) && block.measured == measured
    };
    if !agree {
        let what = format!(
            "a test binary shows {} passed tests, its result counts {passed}",
            shown[0].max(block.dots as usize)
        );
        return Err(contradiction(true, what));
    }
    Ok(Done { counts, tests: block.tests, quiet })
}

/// A name for each block, from cargo's lines "Running …" and "Doc-tests …" where they are there and fit; numbers else.
fn binaries(streams: &Streams, blocks: usize) -> Result<Vec<String>, Unreadable> {
    let text =
        if streams.stderr.lines().any(|line| binary(line).is_some()) { &streams.stderr } else { &streams.stdout };
    let runs: Vec<(String, Option<&str>)> = text.lines().filter_map(binary).collect();
    let docs = runs.iter().filter(|(_, path)| path.is_none()).count();
    let mut paths = BTreeSet::new();
    if let Some((name, _)) = runs.iter().find(|(_, path)| path.is_some_and(|path| !paths.insert(path))) {
        return Err(contradiction(
            true,
            format!("cargo ran {} twice; one command must run the tests once", quote(name)),
        ));
    }
    if !runs.is_empty() && blocks > runs.len() - docs + docs * BLOCKS_PER_DOC_RUN {
        let what = format!("{blocks} results of test binaries, and cargo ran {}", runs.len());
        return Err(contradiction(true, what));
    }
    if blocks == runs.len() {
        return Ok(distinct(runs.into_iter().map(|(name, _)| name)));
    }
    // The documentation's tests come last, and it can't be told which of their runs has two blocks.
    let own = runs.iter().filter(|(_, path)| path.is_some()).map(|(name, _)| name.clone());
    if docs > 0 && blocks > runs.len() {
        let numbered = (1..=blocks - (runs.len() - docs)).map(|n| format!("doc-{n}"));
        return Ok(distinct(own.chain(numbered)));
    }
    Ok((1..=blocks).map(|n| format!("binary-{n}")).collect())
}

fn distinct(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeMap::<String, u32>::new();
    let numbered = names.map(|name| {
        let times = seen.entry(name.clone()).or_default();
        *times += 1;
        if *times == 1 { name } else { format!("{name}#{times}") }
    });
    numbered.collect()
}

/// `     Running tests/outer.rs (target/debug/deps/outer-22569f6c)`, `   Doc-tests sample`: the name, and the binary's path.
fn binary(line: &str) -> Option<(String, Option<&str>)> {
    let line = line.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some((format!("{name} doc"), None));
    }
    let (source, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit(['/', '\\']).next()?;
    let stem = file.rsplit_once('-').map_or(file, |(stem, _)| stem);
    Some((format!("{stem} {}", source.strip_prefix("unittests ").unwrap_or(source)), Some(path)))
}

//! What the real runners wrote, case by case.

use damascus_checks::report::{Format, TestOutcome, Unreadable, read};

use super::{Run, fixtures};

/// What a run must come out as: the counts and how many tests are named, or the kind of what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Passed, failed, skipped, named.
    Counted(u32, u32, u32, usize),
    Missing,
    NoTests,
    Broken,
    Contradiction,
    Suspicious,
}

use Is::{Broken, Contradiction, Counted, Missing, NoTests, Suspicious};

fn is(run: &Run) -> Is {
    match run.read() {
        Ok(tests) => Counted(tests.counts.passed, tests.counts.failed, tests.counts.skipped, tests.named.len()),
        Err(fault) if fault.suspicious() => Suspicious,
        Err(Unreadable::Missing { .. }) => Missing,
        Err(Unreadable::NoTests { .. }) => NoTests,
        Err(Unreadable::Broken { .. }) => Broken,
        Err(Unreadable::Contradiction { .. }) => Contradiction,
        Err(fault) => panic!("{fault}"),
    }
}

/// Every fixture with what it must come out as. `forge` and `imitate` are runs of real runners over tests that print what a report looks
/// like; `crash` and `exit` end the process with code 0 in the middle of a test; `collect` does not build or load.
const EXPECTED: &[(Format, &str, Is)] = &[
    (Format::CargoTest, "pass", Counted(4, 0, 0, 4)),
    (Format::CargoTest, "pass-q", Counted(4, 0, 0, 0)),
    (Format::CargoTest, "mixed", Counted(5, 2, 3, 10)),
    (Format::CargoTest, "mixed-q", Counted(5, 2, 3, 0)),
    (Format::CargoTest, "filter", Counted(2, 0, 0, 2)),
    (Format::CargoTest, "none", NoTests),
    (Format::CargoTest, "none-q", NoTests),
    (Format::CargoTest, "collect", Broken),
    (Format::CargoTest, "collect-q", Broken),
    (Format::CargoTest, "crash", Broken),
    (Format::CargoTest, "crash-q", Broken),
    (Format::CargoTest, "forge", Suspicious),
    (Format::CargoTest, "forge-q", Suspicious),
    (Format::Nextest, "pass", Counted(3, 0, 0, 3)),
    (Format::Nextest, "mixed", Counted(3, 2, 2, 5)),
    (Format::Nextest, "flaky", Counted(2, 0, 0, 2)),
    (Format::Nextest, "filter", Counted(2, 0, 1, 2)),
    (Format::Nextest, "none", NoTests),
    (Format::Nextest, "nosuch", NoTests),
    (Format::Nextest, "collect", Broken),
    // A process for each test: one that ends with code 0 is a pass for nextest, and nothing in its output tells otherwise.
    (Format::Nextest, "crash", Counted(3, 0, 0, 3)),
    // It indents what tests print, so this forgery of another runner's lines is none here.
    (Format::Nextest, "forge", Counted(3, 2, 2, 5)),
    (Format::GoTest, "pass-v", Counted(5, 0, 0, 5)),
    (Format::GoTest, "pass-json", Counted(5, 0, 0, 5)),
    (Format::GoTest, "pass-plain", Missing),
    (Format::GoTest, "cached-v", Counted(5, 0, 0, 5)),
    (Format::GoTest, "cached-plain", Missing),
    (Format::GoTest, "mixed-v", Counted(3, 3, 1, 7)),
    (Format::GoTest, "mixed-json", Counted(3, 3, 1, 7)),
    (Format::GoTest, "mixed-plain", Missing),
    (Format::GoTest, "none-v", NoTests),
    (Format::GoTest, "none-json", NoTests),
    (Format::GoTest, "none-plain", NoTests),
    (Format::GoTest, "norun-v", NoTests),
    (Format::GoTest, "collect-v", Counted(1, 1, 0, 2)),
    (Format::GoTest, "collect-json", Counted(1, 1, 0, 2)),
    (Format::GoTest, "collect-plain", Missing),
    (Format::GoTest, "crash-v", Counted(2, 1, 0, 3)),
    (Format::GoTest, "crash-json", Counted(2, 1, 0, 3)),
    (Format::GoTest, "crash-plain", Missing),
    (Format::GoTest, "panic-v", Counted(2, 1, 0, 3)),
    (Format::GoTest, "panic-json", Counted(2, 1, 0, 3)),
    (Format::GoTest, "panic-plain", Missing),
    (Format::GoTest, "exit-v", Suspicious),
    (Format::GoTest, "exit-json", Contradiction),
    (Format::GoTest, "forge-v", Suspicious),
    (Format::GoTest, "forge-json", Suspicious),
    (Format::GoTest, "forge-plain", Missing),
    (Format::Pytest, "pass-plain", Counted(3, 0, 0, 0)),
    (Format::Pytest, "pass-q", Counted(3, 0, 0, 0)),
    (Format::Pytest, "pass-v", Counted(3, 0, 0, 3)),
    (Format::Pytest, "pass-rA", Counted(3, 0, 0, 3)),
    // Without names, each error may be of a test that had passed: too few passes, never too many.
    (Format::Pytest, "mixed-plain", Counted(4, 4, 2, 0)),
    (Format::Pytest, "mixed-q", Counted(4, 4, 2, 0)),
    (Format::Pytest, "mixed-v", Counted(5, 4, 2, 11)),
    (Format::Pytest, "mixed-rA", Counted(5, 4, 2, 10)),
    (Format::Pytest, "mixed-xdist", Counted(5, 4, 2, 11)),
    (Format::Pytest, "long-plain", Counted(89, 1, 0, 0)),
    (Format::Pytest, "long-q", Counted(89, 1, 0, 0)),
    (Format::Pytest, "long-v", Counted(89, 1, 0, 90)),
    (Format::Pytest, "long-rA", Counted(89, 1, 0, 90)),
    (Format::Pytest, "none-plain", NoTests),
    (Format::Pytest, "none-q", NoTests),
    (Format::Pytest, "none-v", NoTests),
    (Format::Pytest, "none-rA", NoTests),
    (Format::Pytest, "collect-plain", Broken),
    (Format::Pytest, "collect-q", Broken),
    (Format::Pytest, "collect-v", Broken),
    (Format::Pytest, "collect-rA", Broken),
    (Format::Pytest, "crash-plain", Missing),
    (Format::Pytest, "crash-q", Missing),
    (Format::Pytest, "crash-v", Missing),
    (Format::Pytest, "crash-rA", Missing),
    (Format::Pytest, "forge-plain", Suspicious),
    (Format::Pytest, "forge-q", Suspicious),
    (Format::Pytest, "forge-v", Suspicious),
    (Format::Pytest, "forge-rA", Suspicious),
    (Format::Pytest, "imitate-plain", Suspicious),
    (Format::Pytest, "imitate-q", Suspicious),
    (Format::Pytest, "imitate-v", Suspicious),
    (Format::Pytest, "imitate-rA", Suspicious),
    (Format::Unittest, "pass-plain", Counted(2, 0, 0, 0)),
    (Format::Unittest, "pass-v", Counted(2, 0, 0, 2)),
    // Failed subtests and fixtures of classes are on top of the tests that ran: too few passes, never too many.
    (Format::Unittest, "mixed-plain", Counted(1, 5, 2, 0)),
    (Format::Unittest, "mixed-v", Counted(2, 5, 2, 9)),
    (Format::Unittest, "mixed38-plain", Counted(1, 5, 2, 0)),
    // Up to Python 3.10 a failed subtest leaves the line of its test open.
    (Format::Unittest, "mixed38-v", Contradiction),
    (Format::Unittest, "none-plain", NoTests),
    (Format::Unittest, "none-v", NoTests),
    (Format::Unittest, "none312-plain", NoTests),
    (Format::Unittest, "collect-plain", Counted(2, 1, 0, 0)),
    (Format::Unittest, "collect-v", Counted(2, 1, 0, 3)),
    (Format::Unittest, "crash-plain", Missing),
    (Format::Unittest, "crash-v", Missing),
    (Format::Unittest, "imitate-plain", Suspicious),
    (Format::Unittest, "imitate-v", Counted(2, 5, 2, 9)),
    (Format::Node, "pass-spec-20", Counted(5, 0, 0, 5)),
    (Format::Node, "pass-spec-22", Counted(5, 0, 0, 5)),
    (Format::Node, "pass-tap-20", Counted(5, 0, 0, 5)),
    (Format::Node, "pass-tap-22", Counted(5, 0, 0, 5)),
    (Format::Node, "none-spec-20", NoTests),
    (Format::Node, "none-spec-22", NoTests),
    (Format::Node, "none-tap-20", NoTests),
    (Format::Node, "none-tap-22", NoTests),
    (Format::Node, "collect-spec-20", Counted(0, 1, 0, 1)),
    (Format::Node, "collect-spec-22", Counted(0, 1, 0, 1)),
    (Format::Node, "collect-tap-20", Counted(0, 1, 0, 1)),
    (Format::Node, "collect-tap-22", Counted(0, 1, 0, 1)),
    (Format::Node, "crash-spec-20", Broken),
    (Format::Node, "crash-spec-22", Broken),
    (Format::Node, "crash-tap-20", Broken),
    (Format::Node, "crash-tap-22", Broken),
    (Format::Node, "forge-spec-20", Suspicious),
    (Format::Node, "forge-spec-22", Suspicious),
    // TAP makes a comment of what tests print.
    (Format::Node, "forge-tap-20", Counted(2, 3, 2, 7)),
    (Format::Node, "forge-tap-22", Counted(2, 3, 2, 7)),
    (Format::Node, "mixed-spec-20", Counted(2, 3, 2, 7)),
    (Format::Vitest, "pass-default", Counted(3, 0, 0, 0)),
    (Format::Vitest, "pass-verbose", Counted(3, 0, 0, 3)),
    (Format::Vitest, "pass-json", Counted(3, 0, 0, 3)),
    (Format::Vitest, "mixed-default", Counted(3, 2, 2, 0)),
    (Format::Vitest, "mixed-verbose", Counted(3, 2, 2, 7)),
    (Format::Vitest, "mixed-json", Counted(3, 2, 2, 7)),
    (Format::Vitest, "none-default", NoTests),
    (Format::Vitest, "none-verbose", NoTests),
    (Format::Vitest, "none-json", NoTests),
    (Format::Vitest, "collect-default", Counted(1, 1, 0, 0)),
    (Format::Vitest, "collect-verbose", Counted(1, 1, 0, 1)),
    (Format::Vitest, "collect-json", Counted(1, 1, 0, 2)),
    (Format::Vitest, "crash-default", Counted(2, 1, 0, 0)),
    (Format::Vitest, "crash-verbose", Counted(2, 1, 0, 3)),
    (Format::Vitest, "crash-json", Counted(2, 1, 0, 3)),
    (Format::Vitest, "forge-default", Suspicious),
    (Format::Vitest, "forge-verbose", Suspicious),
    (Format::Vitest, "forge-json", Counted(3, 2, 2, 7)),
    (Format::Jest, "pass-default", Counted(3, 0, 0, 0)),
    (Format::Jest, "pass-verbose", Counted(3, 0, 0, 3)),
    (Format::Jest, "pass-json", Counted(3, 0, 0, 3)),
    (Format::Jest, "mixed-default", Counted(3, 2, 2, 0)),
    (Format::Jest, "mixed-verbose", Counted(3, 2, 2, 7)),
    (Format::Jest, "mixed-json", Counted(3, 2, 2, 7)),
    (Format::Jest, "none-default", NoTests),
    (Format::Jest, "none-verbose", NoTests),
    (Format::Jest, "none-json", NoTests),
    (Format::Jest, "collect-default", Counted(1, 1, 0, 0)),
    (Format::Jest, "collect-verbose", Counted(1, 1, 0, 2)),
    (Format::Jest, "collect-json", Counted(1, 1, 0, 2)),
    (Format::Jest, "crash-default", Missing),
    (Format::Jest, "crash-verbose", Missing),
    (Format::Jest, "crash-json", Missing),
    (Format::Jest, "forge-default", Suspicious),
    (Format::Jest, "forge-verbose", Suspicious),
    (Format::Jest, "forge-json", Suspicious),
    (Format::Tap, "pass", Counted(3, 0, 0, 3)),
    (Format::Tap, "mixed", Counted(2, 2, 2, 6)),
    (Format::Tap, "none", NoTests),
    (Format::Tap, "collect", Missing),
    (Format::Tap, "crash", Contradiction),
    (Format::Tap, "fewer", Contradiction),
    (Format::Tap, "bail", Broken),
    (Format::Tap, "forge", Suspicious),
    (Format::Junit, "pytest-pass", Counted(3, 0, 0, 3)),
    (Format::Junit, "pytest-mixed", Counted(5, 4, 2, 11)),
    (Format::Junit, "pytest-none", NoTests),
    (Format::Junit, "pytest-collect", Counted(0, 1, 0, 1)),
    (Format::Junit, "nextest-pass", Counted(3, 0, 0, 3)),
    (Format::Junit, "nextest-mixed", Counted(3, 2, 0, 5)),
    (Format::Junit, "nextest-flaky", Counted(2, 0, 0, 2)),
    (Format::Junit, "vitest-pass", Counted(3, 0, 0, 3)),
    (Format::Junit, "vitest-mixed", Counted(3, 2, 2, 7)),
    (Format::Junit, "node-pass", Counted(5, 0, 0, 5)),
    (Format::Junit, "node-mixed", Counted(2, 3, 2, 7)),
    // By default jest-junit names no files, so that two tests have one name, and leaves a todo out of its total.
    (Format::Junit, "jest-pass", Contradiction),
    (Format::Junit, "jest-mixed", Contradiction),
];

#[test]
fn every_real_run_comes_out_as_it_was() {
    for (format, name, expected) in EXPECTED {
        assert_eq!(is(&Run::fixture(*format, name)), *expected, "{format:?} {name}");
    }
}

#[test]
fn every_fixture_is_expected() {
    assert_eq!(fixtures().len(), EXPECTED.len());
}

#[test]
fn a_run_without_failure_that_ended_well_is_all_passed() {
    let passing = EXPECTED.iter().filter(|(_, _, is)| matches!(is, Counted(_, 0, _, _)));
    for (format, name, _) in passing {
        let run = Run::fixture(*format, name);
        assert_eq!(run.exit_code, 0, "{format:?} {name}");
        let failing = Run { exit_code: 1, ..run.clone() };
        assert_eq!(failing.read(), run.read(), "an exit code other than 0 is the caller's to judge");
    }
}

#[test]
fn failed_tests_with_exit_code_0_smell() {
    let failing: Vec<_> = EXPECTED.iter().filter(|(_, _, is)| matches!(is, Counted(_, 1.., _, _))).collect();
    assert!(failing.len() > 20);
    for (format, name, _) in failing {
        let run = Run { exit_code: 0, ..Run::fixture(*format, name) };
        assert!(run.read().is_err_and(|fault| fault.suspicious()), "{format:?} {name}");
    }
}

#[test]
fn a_log_that_was_cut_is_no_report_unless_the_report_is_a_file() {
    for (format, name, expected) in EXPECTED {
        let run = Run::fixture(*format, name);
        let cut = read(*format, &damascus_checks::report::Output { truncated: true, ..run.output() });
        match format {
            Format::Junit => assert_eq!(cut.is_ok(), matches!(expected, Counted(..)), "{name}"),
            _ => assert_eq!(cut, Err(Unreadable::Truncated), "{name}"),
        }
    }
}

#[test]
fn names_say_where_a_test_is() {
    let named = |format, name: &str| Run::fixture(format, name).read().expect("readable").named;
    let pytest = named(Format::Pytest, "mixed-v");
    assert_eq!(pytest.get("test_a.py::test_par[c - d]"), Some(&TestOutcome::Passed));
    assert_eq!(pytest.get("test_a.py::test_tear"), Some(&TestOutcome::Failed), "its fixture failed to clean up");
    assert_eq!(pytest.get("test_a.py::test_xf"), Some(&TestOutcome::Skipped));
    assert_eq!(pytest.get("test_a.py::test_fake"), None, "a captured line is no test");
    let cargo = named(Format::CargoTest, "mixed");
    assert_eq!(cargo.get("sample src/lib.rs tests::panics"), Some(&TestOutcome::Passed));
    assert_eq!(cargo.get("outer tests/outer.rs one"), Some(&TestOutcome::Passed));
    assert_eq!(cargo.get("sample doc src/lib.rs - add (line 5)"), Some(&TestOutcome::Skipped));
    assert!(!cargo.keys().any(|name| name.contains("fake")), "{cargo:?}");
    let node = named(Format::Node, "pass-spec-22");
    assert_eq!(node.get("group > two"), Some(&TestOutcome::Passed));
    let jest = named(Format::Jest, "mixed-verbose");
    assert_eq!(jest.get("./a.test.js > group > three"), Some(&TestOutcome::Failed));
}

#[test]
fn colours_are_taken_out() {
    for (format, name) in [(Format::Pytest, "pass-v"), (Format::CargoTest, "mixed"), (Format::Vitest, "pass-verbose")] {
        let plain = Run::fixture(format, name);
        let mut coloured = plain.clone();
        for stream in [&mut coloured.stdout, &mut coloured.stderr] {
            let text = String::from_utf8(stream.clone()).expect("text");
            *stream =
                text.lines().map(|line| format!("\u{1b}[1m\u{1b}[32m{line}\u{1b}[0m\n")).collect::<String>().into();
        }
        assert_eq!(coloured.read(), plain.read(), "{format:?} {name}");
    }
}

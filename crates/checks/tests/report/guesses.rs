//! Feedback: the format of a command, a hint, what failed.

use damascus_checks::report::{Format, failures, format_of, hint};

use super::Run;

fn guess(command: &str) -> Option<Format> {
    format_of(&command.split(' ').map(str::to_owned).collect::<Vec<_>>())
}

#[test]
fn a_command_tells_its_format() {
    for (command, format) in [
        ("pytest -q", Format::Pytest),
        ("python -m pytest", Format::Pytest),
        ("python3.12 -X dev -m pytest tests", Format::Pytest),
        (".venv/bin/python -m unittest -v", Format::Unittest),
        ("uv run pytest", Format::Pytest),
        ("poetry run python -m pytest", Format::Pytest),
        ("cargo test --workspace", Format::CargoTest),
        ("cargo +nightly t", Format::CargoTest),
        ("cargo nextest run", Format::Nextest),
        ("RUST_BACKTRACE=1 cargo nextest run", Format::Nextest),
        ("env CI=1 go test -json ./...", Format::GoTest),
        ("node --test", Format::Node),
        ("node --test --test-reporter tap", Format::Node),
        ("node --test --test-reporter=junit", Format::Junit),
        ("npx vitest run", Format::Vitest),
        ("pnpm exec vitest run --reporter=junit", Format::Junit),
        ("npx --no-install jest", Format::Jest),
        ("yarn jest --json", Format::Jest),
        ("node_modules/.bin/jest", Format::Jest),
        ("bats test.bats", Format::Tap),
    ] {
        assert_eq!(guess(command), Some(format), "{command}");
    }
    for command in [
        "",
        "make test",
        "npm test",
        "sh -c pytest",
        "cargo build",
        "cargo nextest list",
        "go vet",
        "node app.js",
        "python app.py",
        "node --test --test-reporter=dot",
    ] {
        assert_eq!(guess(command), None, "{command}");
    }
    assert_eq!(format_of(&[]), None);
}

#[test]
fn a_hint_tells_what_to_do() {
    let of = |format, name: &str| {
        let run = Run::fixture(format, name);
        hint(run.exit_code, &[run.stdout, run.stderr].concat()).unwrap_or_default()
    };
    assert!(of(Format::Pytest, "collect-q").starts_with("A module"));
    assert!(of(Format::Node, "collect-spec-22").starts_with("A module"));
    assert!(of(Format::CargoTest, "collect").starts_with("The code does not build"));
    assert!(of(Format::GoTest, "collect-v").starts_with("The code does not build"));
    assert!(of(Format::CargoTest, "mixed").starts_with("A test failed"));
    assert!(of(Format::Pytest, "none-q").starts_with("No test ran"));
    for (output, start) in [
        ("OSError: [Errno 28] No space left on device", "The disk"),
        ("FATAL ERROR: JavaScript heap out of memory", "The memory"),
        ("curl: (6) Could not resolve host: example.org", "Something wanted the network"),
        ("Error: listen EADDRINUSE: address already in use :::3000", "A port"),
        ("sh: 1: frobnicate: not found", "A command"),
        ("PermissionError: [Errno 13] Permission denied: '/etc/x'", "Something wrote"),
        ("1 snapshot failed", "A snapshot"),
        ("panic: test timed out after 10m0s", "Something took"),
    ] {
        assert!(
            hint(1, output.as_bytes()).is_some_and(|hint| hint.starts_with(start)),
            "{output}: {:?}",
            hint(1, output.as_bytes())
        );
    }
    assert_eq!(hint(0, b"No space left on device"), None, "nothing went wrong");
    assert!(hint(127, b"").is_some_and(|hint| hint.starts_with("The command is missing")));
    assert_eq!(hint(3, b"\xff\xfe"), None);
}

#[test]
fn failed_tests_come_with_the_end_of_what_they_printed() {
    for (format, name, test, text) in [
        (Format::Pytest, "mixed-plain", "test_prints", "assert 1 == 2"),
        (Format::Pytest, "long-q", "test_many[77]", "line 39"),
        (Format::Pytest, "imitate-v", "test_prints", "assert 1 == 2"),
        (Format::Unittest, "mixed-v", "test_bad (test_a.A.test_bad)", "AssertionError: 1 != 2"),
        (Format::CargoTest, "mixed", "tests::prints", "left: 1"),
        (Format::Nextest, "mixed", "sample tests::prints", "left: 1"),
        (Format::GoTest, "mixed-v", "TestPrints", "was it 3?"),
        (Format::GoTest, "mixed-json", "sample.TestPrints", "was it 3?"),
        (Format::GoTest, "panic-v", "TestTwo", "panic: boom"),
        (Format::Node, "forge-spec-20", "bad", "AssertionError"),
        (Format::Node, "forge-spec-22", "bad", "AssertionError"),
        (Format::Node, "forge-tap-22", "bad", "error: '1 == 2'"),
        (Format::Vitest, "mixed-default", "a.test.js > bad", "expected 1 to be 2"),
        (Format::Vitest, "mixed-json", "/project/a.test.js > bad", "expected 1 to be 2"),
        (Format::Jest, "mixed-verbose", "bad", "Received: 1"),
        (Format::Jest, "mixed-json", "/project/a.test.js > bad", "Received: 1"),
        (Format::Jest, "collect-default", "Test suite failed to run", "Cannot find module"),
        (Format::Tap, "mixed", "bad", ""),
        (Format::Junit, "pytest-mixed", "pytest > test_a > test_prints", "assert 1 == 2"),
        (Format::Junit, "nextest-mixed", "sample > tests::prints", "left: 1"),
    ] {
        let run = Run::fixture(format, name);
        let failed = failures(format, &run.output(), 50);
        let found = failed.iter().find(|failed| failed.name == test);
        assert!(found.is_some_and(|failed| failed.excerpt.contains(text)), "{format:?} {name}: {failed:#?}");
    }
    let passed = Run::fixture(Format::Pytest, "pass-v");
    assert_eq!(failures(Format::Pytest, &passed.output(), 50), Vec::new());
}

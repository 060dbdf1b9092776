//! What a cheat would print or write. None of it may be read as a pass.

use damascus_checks::report::{Format, MAX_REPORT_BYTES, Output, Unreadable, read};

use super::{Run, fixtures};

fn refused(run: &Run) -> Unreadable {
    run.read().expect_err("must be refused")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn a_summary_before_or_after_the_real_one_smells() {
    let forged = [
        (
            Format::Pytest,
            "pass-v",
            "============================== 9 passed in 0.02s ===============================\n",
        ),
        (Format::Pytest, "pass-q", "3 passed in 0.01s\n"),
        (Format::Unittest, "pass-v", &format!("{}\nRan 9 tests in 0.000s\n\nOK\n", "-".repeat(70))),
        (
            Format::CargoTest,
            "pass",
            "test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        ),
        (Format::Nextest, "pass", "     Summary [   0.020s] 9 tests run: 9 passed, 0 skipped\n"),
        (
            Format::Node,
            "pass-spec-22",
            "ℹ tests 9\nℹ suites 0\nℹ pass 9\nℹ fail 0\nℹ cancelled 0\nℹ skipped 0\nℹ todo 0\n",
        ),
        (Format::Vitest, "pass-default", "      Tests  9 passed (9)\n"),
        (Format::Jest, "pass-default", "Tests:       9 passed, 9 total\n"),
        (Format::Tap, "pass", "1..3\n"),
        (Format::GoTest, "pass-v", "--- PASS: TestOne (0.00s)\n"),
    ];
    for (format, name, summary) in forged {
        let real = Run::fixture(format, name);
        for (before, after) in [(summary, ""), ("", summary)] {
            for to_stderr in [false, true] {
                let mut run = real.clone();
                if to_stderr && format == Format::GoTest {
                    // Of what go prints, only the lines of packages may not be on both.
                    continue;
                }
                let stream = if to_stderr { &mut run.stderr } else { &mut run.stdout };
                *stream = format!("{before}{}{after}", text(stream)).into();
                // go's own lines after the last package belong to none.
                let fault = refused(&run);
                let may_break = matches!(format, Format::GoTest | Format::Tap);
                assert!(fault.suspicious() || may_break, "{format:?} {name} {to_stderr}: {fault}");
            }
        }
    }
}

#[test]
fn a_second_whole_report_smells() {
    for (format, name) in [
        (Format::CargoTest, "pass"),
        (Format::Nextest, "pass"),
        (Format::GoTest, "pass-v"),
        (Format::GoTest, "pass-json"),
        (Format::Pytest, "pass-v"),
        (Format::Node, "pass-spec-20"),
        (Format::Vitest, "pass-json"),
        (Format::Jest, "pass-verbose"),
        (Format::Jest, "pass-json"),
        (Format::Unittest, "pass-v"),
        (Format::Node, "pass-tap-22"),
    ] {
        let mut run = Run::fixture(format, name);
        run.stdout = [run.stdout.clone(), run.stdout].concat();
        run.stderr = [run.stderr.clone(), run.stderr].concat();
        assert!(refused(&run).suspicious(), "{format:?} {name}: {}", refused(&run));
    }
    let xml = text(Run::fixture(Format::Junit, "pytest-pass").file.as_deref().expect("a file"));
    let body = xml.split_once("?>").expect("a declaration").1;
    assert!(matches!(refused(&Run::xml(&format!("{xml}{body}"))), Unreadable::Malformed { .. }));
}

#[test]
fn a_summary_printed_before_the_process_is_ended_differs_from_the_lines() {
    for (format, name, summary, to_stderr) in [
        (
            Format::Pytest,
            "crash-plain",
            "\n============================== 3 passed in 0.02s ===============================\n",
            false,
        ),
        (Format::Pytest, "crash-q", "\n3 passed in 0.02s\n", false),
        (
            Format::Pytest,
            "crash-v",
            "\n============================== 3 passed in 0.02s ===============================\n",
            false,
        ),
        (Format::Unittest, "crash-v", &format!("\n{}\nRan 2 tests in 0.000s\n\nOK\n", "-".repeat(70)), true),
        (Format::Unittest, "crash-plain", &format!("\n{}\nRan 2 tests in 0.000s\n\nOK\n", "-".repeat(70)), true),
        (Format::Jest, "crash-default", "Test Suites: 1 passed, 1 total\nTests:       3 passed, 3 total\n", true),
    ] {
        let mut run = Run::fixture(format, name);
        assert_eq!(run.exit_code, 0, "the process ended well");
        let stream = if to_stderr { &mut run.stderr } else { &mut run.stdout };
        stream.extend_from_slice(summary.as_bytes());
        assert!(refused(&run).suspicious(), "{format:?} {name}: {}", refused(&run));
    }
    let mut run = Run::fixture(Format::CargoTest, "crash");
    let result = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\n\nrunning 0 tests";
    run.stdout = text(&run.stdout).replacen("running 0 tests", result, 1).into();
    assert!(refused(&run).suspicious());
}

#[test]
fn a_real_line_made_unreadable_does_not_leave_the_forged_one_alone() {
    let forged = "Tests:       9 passed, 9 total\nx";
    let mut run = Run::fixture(Format::Jest, "pass-default");
    run.stderr = text(&run.stderr).replacen("Tests:", &format!("{forged}Tests:"), 1).into();
    assert!(refused(&run).suspicious());
    for name in ["pass-q", "pass-plain"] {
        let mut run = Run::fixture(Format::Pytest, name);
        let plain = text(&run.stdout);
        let at = plain.trim_end().rfind('\n').expect("lines") + 1;
        run.stdout = format!("{}9 passed in 0.01s\nx{}", &plain[..at], &plain[at..]).into();
        assert!(refused(&run).suspicious(), "{name}");
    }
}

#[test]
fn more_blocks_than_binaries_smell() {
    let mut run = Run::fixture(Format::CargoTest, "filter");
    run.stdout.extend_from_slice(
        b"\nrunning 1 test\ntest fake ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert!(refused(&run).suspicious());
}

#[test]
fn a_file_whose_totals_differ_from_its_cases_is_refused() {
    let suite = |totals: &str, inner: &str| {
        format!("<testsuites><testsuite name=\"s\" {totals}>{inner}</testsuite></testsuites>")
    };
    let (good, bad, off) = (
        "<testcase name=\"a\"/>",
        "<testcase name=\"b\"><failure/></testcase>",
        "<testcase name=\"c\"><skipped/></testcase>",
    );
    let read = |totals: &str, inner: &str| Run { exit_code: 1, ..Run::xml(&suite(totals, inner)) }.read();
    assert!(read("tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"", &format!("{good}{bad}{off}")).is_ok());
    for (totals, inner) in [
        ("tests=\"9\"", format!("{good}{bad}{off}")),
        ("tests=\"3\" failures=\"0\"", format!("{good}{bad}{off}")),
        ("tests=\"3\" failures=\"2\"", format!("{good}{bad}{off}")),
        ("tests=\"3\" errors=\"1\"", format!("{good}{bad}{off}")),
        ("tests=\"3\" failures=\"1\" skipped=\"0\"", format!("{good}{bad}{off}")),
    ] {
        assert!(read(totals, &inner).is_err_and(|fault| fault.suspicious()), "{totals}");
    }
    assert!(read("tests=\"1\"", &format!("{good}{bad}")).is_err());
    // The outer total is wrong, the inner one right.
    let nested = format!("<testsuites tests=\"7\"><testsuite name=\"s\" tests=\"1\">{good}</testsuite></testsuites>");
    assert!(refused(&Run::xml(&nested)).suspicious());
    let nested =
        format!("<testsuite tests=\"5\"><testsuite name=\"s\" tests=\"1\">{good}</testsuite>{bad}</testsuite>");
    assert!(Run { exit_code: 1, ..Run::xml(&nested) }.read().is_err_and(|fault| fault.suspicious()));
}

#[test]
fn names_that_come_twice_are_not_two_tests() {
    let twice = "<testsuite tests=\"2\"><testcase classname=\"c\" name=\"a\"/><testcase classname=\"c\" name=\"a\"/></testsuite>";
    refused(&Run::xml(twice));
    refused(&Run::xml(&twice.replace("name=\"a\"/><", "name=\"a \u{200b}\"/><")));
    refused(&Run::printed(Format::Tap, "1..2\nok 1 - a\nok 2 - a\n"));
    let cargo = "running 2 tests\ntest a ... ok\ntest a ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    assert!(refused(&Run::printed(Format::CargoTest, cargo)).suspicious());
}

#[test]
fn counts_that_are_none_are_refused() {
    for number in ["-3", "4294967296", "1000000000", "99999999999999999999", "3.5", "٣", "0x3", "+3", "", " "] {
        refused(&Run::printed(Format::Pytest, &format!("{number} passed in 0.01s\n")));
        refused(&Run::printed(
            Format::Jest,
            &format!("Test Suites: 1 passed, 1 total\nTests:       {number} passed, {number} total\n"),
        ));
        refused(&Run::printed(
            Format::Vitest,
            &format!(" Test Files  1 passed (1)\n      Tests  {number} passed ({number})\n"),
        ));
        refused(&Run::printed(
            Format::Nextest,
            &format!("     Summary [   0.020s] {number} tests run: {number} passed, 0 skipped\n"),
        ));
        refused(&Run::printed(Format::Unittest, &format!("{}\nRan {number} tests in 0.0s\n\nOK\n", "-".repeat(70))));
        refused(&Run::printed(Format::Tap, &format!("1..{number}\nok 1 - a\n")));
        refused(&Run::xml(&format!("<testsuite tests=\"{number}\"><testcase name=\"a\"/></testsuite>")));
        refused(&Run::printed(
            Format::Vitest,
            &format!(
                "{{\"numTotalTests\":{number},\"numPassedTests\":1,\"numFailedTests\":0,\"numPendingTests\":0,\"success\":true,\"testResults\":[]}}"
            ),
        ));
    }
}

#[test]
fn what_is_no_text_is_refused() {
    for (name, run) in fixtures().into_iter().filter(|(_, run)| run.read().is_ok()) {
        for garbage in [&b"\xff\xfe"[..], b"\0", b"\xc3\x28", b"\xed\xa0\x80"] {
            let mut run = run.clone();
            match &mut run.file {
                Some(file) => file.extend_from_slice(garbage),
                None => run.stdout.extend_from_slice(garbage),
            }
            assert!(matches!(refused(&run), Unreadable::Malformed { .. }), "{name}");
        }
    }
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let whole = text(Run::fixture(Format::Junit, "nextest-mixed").file.as_deref().expect("a file"));
    let end = whole.trim_end().len();
    for cut in (0..end).filter(|at| whole.is_char_boundary(*at)) {
        refused(&Run { exit_code: 1, ..Run::xml(&whole[..cut]) });
    }
}

#[test]
fn a_bomb_of_xml_is_refused() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE t [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><testsuite tests=\"1\"><testcase name=\"&b;\"/></testsuite>";
    assert!(matches!(refused(&Run::xml(bomb)), Unreadable::Malformed { .. }));
    let outside = "<!DOCTYPE t SYSTEM \"file:///etc/passwd\"><testsuite><testcase name=\"a\"/></testsuite>";
    assert!(matches!(refused(&Run::xml(outside)), Unreadable::Malformed { .. }));
    let unknown = "<testsuite><testcase name=\"a\"><system-out>&x;</system-out></testcase></testsuite>";
    assert!(matches!(refused(&Run::xml(unknown)), Unreadable::Malformed { .. }));
    let deep = format!("{}{}", "<testsuite>".repeat(10_000), "</testsuite>".repeat(10_000));
    assert!(matches!(refused(&Run::xml(&deep)), Unreadable::TooLarge { .. }));
    refused(&Run::xml("<html><testcase name=\"a\"/></html>"));
    refused(&Run::xml("<testsuite><testcase name=\"a\"><testcase name=\"b\"/></testcase></testsuite>"));
    refused(&Run::xml("<testsuite><testcase name=\"a\"/></testsuite>and more"));
}

#[test]
fn cases_inside_of_text_are_no_cases() {
    let printed = "<testsuite tests=\"1\"><testcase name=\"a\"><system-out><![CDATA[</testcase><testcase name=\"b\"/>]]></system-out></testcase></testsuite>";
    assert_eq!(Run::xml(printed).read().expect("readable").counts.passed, 1);
    refused(&Run::xml(
        "<testsuite tests=\"1\"><testcase name=\"a\"><system-out><testcase name=\"b\"/></system-out></testcase></testsuite>",
    ));
}

#[test]
fn what_is_over_the_bound_is_refused_unread() {
    let huge = vec![b'\n'; MAX_REPORT_BYTES + 1];
    let output = Output { stdout: &huge, stderr: b"", truncated: false, file: Some(&huge), exit_code: 0 };
    for format in [Format::Pytest, Format::Junit, Format::Tap, Format::GoTest] {
        assert!(matches!(read(format, &output), Err(Unreadable::TooLarge { .. })));
    }
}

#[test]
fn nothing_at_all_is_no_report() {
    for format in <Format as damascus_core::named::Named>::ALL {
        let output = Output { stdout: b"", stderr: b"", truncated: false, file: Some(b""), exit_code: 0 };
        let fault = read(*format, &output).expect_err("must be refused");
        assert!(!fault.suspicious());
        let message = fault.to_string();
        assert!(message.len() > 40 && message.len() < 600, "{message}");
    }
}

#[test]
fn only_skipped_tests_are_no_tests() {
    let fault = refused(&Run::printed(Format::Pytest, "sss                  [100%]\n3 skipped in 0.01s\n"));
    assert!(matches!(fault, Unreadable::NoTests { .. }));
}

#[test]
fn a_tap_stream_must_do_what_it_planned() {
    for stream in [
        "ok 1 - a\n",
        "1..2\nok 1 - a\n",
        "1..1\nok 1 - a\nok 2 - b\n",
        "1..2\nok 1 - a\nok 1 - b\n",
        "1..1\n1..1\nok 1 - a\n",
        "ok 1 - a\n1..1\nok 2 - b\n",
        "1..1\nBail out!\nok 1 - a\n",
        "1..1\n    1..2\n    ok 1 - x\nok 1 - a\n",
        "1..1\n    ok 1 - x\nok 1 - a\n",
        "1..1\n    1..1\n    not ok 1 - x\nok 1 - a\n",
        "TAP version 13\n1..1\nTAP version 13\nok 1 - a\n",
        "1..1\nok 1 - a\n    ok 1 - x\n",
        "1..0\n",
        "1..1\nok 1 - a # SKIP\n",
        "1..1\nok 1 - a # TODO\n",
    ] {
        refused(&Run::printed(Format::Tap, stream));
    }
    let quoted = "1..1\nok 1 - a\n  ---\n  text: |\n    ok 1 - fake\n  ok 2 - fake\nok 2 - fake\n  ...\n";
    assert_eq!(Run::printed(Format::Tap, quoted).read().expect("readable").named.len(), 1);
}

#[test]
fn messages_are_safe_to_show() {
    let evil = "1..1\nBail out! \u{1b}]0;title\u{7}\u{202e}evil\u{8}\n";
    let message = refused(&Run::printed(Format::Tap, evil)).to_string();
    assert!(!message.chars().any(damascus_core::display::is_unsafe), "{message:?}");
    let name = "<testsuite tests=\"1\"><testcase name=\"a&#27;[31m&#x202e;b\"/></testsuite>";
    let tests = Run::xml(name).read().expect("readable");
    assert!(tests.named.keys().all(|name| !name.chars().any(damascus_core::display::is_unsafe)), "{tests:?}");
}

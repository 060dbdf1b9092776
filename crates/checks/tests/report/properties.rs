//! What must hold for whatever comes in.

use damascus_checks::report::{Format, Output, TestOutcome, failures, hint, read};
use damascus_core::named::Named as _;
use proptest::prelude::*;

use super::{Run, fixtures};

/// The parts of a run that a change may touch.
fn parts(run: &Run) -> [Option<&Vec<u8>>; 3] {
    [Some(&run.stdout), Some(&run.stderr), run.file.as_ref()]
}

fn with_part(run: &Run, part: usize, bytes: Vec<u8>) -> Run {
    let mut run = run.clone();
    match part {
        0 => run.stdout = bytes,
        1 => run.stderr = bytes,
        _ => run.file = Some(bytes),
    }
    run
}

#[test]
fn a_line_removed_or_doubled_never_adds_a_pass() {
    for (name, run) in fixtures() {
        // What is refused as a whole is not made good by any line either, so it has no passes to add to.
        let passed = run.read().map_or(0, |tests| tests.counts.passed);
        let refused = run.read().is_err();
        for (part, bytes) in parts(&run).into_iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
            for at in 0..lines.len() {
                let without: Vec<u8> = [&lines[..at], &lines[at + 1..]].concat().concat();
                let doubled: Vec<u8> = [&lines[..=at], &lines[at..]].concat().concat();
                for (what, changed) in [("without", without), ("twice", doubled)] {
                    let changed = with_part(&run, part, changed).read();
                    let now = changed.as_ref().map_or(0, |tests| tests.counts.passed);
                    // Without one of two lines that contradict each other a report can be read; its run failed all the same.
                    let failed = run.exit_code != 0 || changed.as_ref().is_ok_and(|tests| tests.counts.failed > 0);
                    assert!(
                        now <= passed || (refused && failed),
                        "{name}, {what} line {}: {passed} became {now}",
                        at + 1
                    );
                }
            }
        }
    }
}

#[test]
fn a_run_that_is_cut_anywhere_never_adds_a_pass() {
    for (name, run) in fixtures() {
        let Ok(tests) = run.read() else { continue };
        for (part, bytes) in parts(&run).into_iter().enumerate() {
            let Some(bytes) = bytes else { continue };
            for cut in (0..bytes.len()).step_by(7) {
                let now = with_part(&run, part, bytes[..cut].to_vec()).read().map_or(0, |tests| tests.counts.passed);
                assert!(now <= tests.counts.passed, "{name}, cut at {cut}");
            }
        }
    }
}

#[test]
fn failures_of_every_fixture_are_bounded_and_safe() {
    for (name, run) in fixtures() {
        for max in [0, 1, 100] {
            let failed = failures(run.format, &run.output(), max);
            assert!(failed.len() <= max, "{name}");
            for test in failed {
                assert!(!test.name.is_empty() && test.name.chars().count() <= 300, "{name}: {test:?}");
                assert!(test.excerpt.chars().count() <= 2_000, "{name}");
                let shown = format!("{}{}", test.name, test.excerpt);
                assert!(
                    !shown.chars().any(|c| damascus_core::display::is_unsafe(c) && !matches!(c, '\n' | '\t')),
                    "{name}"
                );
            }
        }
    }
}

/// Pieces of reports, so that arbitrary input gets past the first line of a reader.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = fixtures()
        .into_iter()
        .flat_map(|(_, run)| [run.stdout, run.stderr, run.file.unwrap_or_default()])
        .flat_map(|text| text.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    let piece = prop_oneof![
        8 => proptest::sample::select(all),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => "[ -~✓✔✖ℹ▶\u{1b}\n]{0,30}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn whatever_comes_in_is_counted_no_higher_than_it_names(
        stdout in pieces(), stderr in pieces(), file in pieces(), exit_code in -1_i32..3,
    ) {
        for format in Format::ALL {
            let output = Output { stdout: &stdout, stderr: &stderr, truncated: false, file: Some(&file), exit_code };
            if let Ok(tests) = read(*format, &output) {
                let named = tests.named.values().filter(|outcome| **outcome == TestOutcome::Passed).count();
                prop_assert!(tests.named.is_empty() || tests.counts.passed as usize <= named, "{:?} {:?}", format, tests);
                prop_assert!(tests.counts.passed + tests.counts.failed > 0);
                prop_assert!(exit_code != 0 || tests.counts.failed == 0);
            }
            prop_assert!(failures(*format, &output, 5).len() <= 5);
        }
        prop_assert!(exit_code != 0 || hint(exit_code, &stdout).is_none());
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for format in Format::ALL {
            let output = Output { stdout: &bytes, stderr: &bytes, truncated: false, file: Some(&bytes), exit_code: 0 };
            prop_assert!(read(*format, &output).is_err());
        }
    }
}

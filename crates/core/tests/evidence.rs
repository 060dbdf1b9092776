//! The absence of evidence is never a pass: every way in which a proof is refused, the one declared exception, and the property that
//! holds of every proof there is.

use damascus_core::{
    CommitId, Digest, Failure, LandingProof, Outcome, Proof, Question, ReviewProof, TestCounts, TestEvidence,
    TestReport, Unproven, Verdict, WorkPhase,
};
use proptest::prelude::*;

fn commit(digit: char) -> CommitId {
    let text = String::from_iter([digit; 40]);
    CommitId::try_from(text).unwrap_or_else(|error| unreachable!("{error}"))
}

fn digest() -> Digest {
    let text = "0".repeat(64);
    Digest::try_from(text).unwrap_or_else(|error| unreachable!("{error}"))
}

const fn counted(passed: u32, failed: u32, skipped: u32) -> TestReport {
    TestReport::Counted(TestCounts { passed, failed, skipped })
}

fn evidence(report: TestReport) -> TestEvidence {
    TestEvidence {
        command: vec!["cargo".to_owned(), "test".to_owned()],
        exit_code: 0,
        head: commit('a'),
        base: commit('b'),
        tree: commit('c'),
        report,
        log_sha256: digest(),
        duration_ms: 1_200,
    }
}

fn proven() -> Option<ReviewProof> {
    ReviewProof::new(evidence(counted(7, 0, 1)), counted(5, 0, 0)).ok()
}

// --- reviews

#[test]
fn a_review_is_proven_by_at_least_the_tests_of_the_base() {
    for (head, base) in [(7, 5), (5, 5), (1, 0), (1, 1), (u32::MAX, u32::MAX)] {
        let judged = evidence(counted(head, 0, 0));
        let proof = ReviewProof::new(judged.clone(), counted(base, 3, 9));
        assert_eq!(proof.as_ref().map(ReviewProof::evidence), Ok(&judged), "{head} over {base}");
    }
}

#[test]
fn every_lack_of_evidence_has_its_own_refusal() {
    use TestReport::{ExitCodeOnly, Unreadable};
    let base = counted(5, 0, 0);
    for (head, base, refusal) in [
        (counted(0, 0, 0), base, Unproven::NoTests { skipped: 0 }),
        (counted(0, 0, 9), base, Unproven::NoTests { skipped: 9 }),
        (counted(0, 0, 0), counted(0, 0, 0), Unproven::NoTests { skipped: 0 }),
        (counted(4, 0, 9), base, Unproven::FewerThanBase { head: 4, base: 5 }),
        (counted(9, 1, 0), base, Unproven::Failures(1)),
        (counted(0, 2, 0), base, Unproven::Failures(2)),
        // Failures on the base excuse none on the head.
        (counted(5, 1, 0), counted(5, 1, 0), Unproven::Failures(1)),
        (Unreadable, base, Unproven::NoReport),
        (Unreadable, ExitCodeOnly, Unproven::NoReport),
        (Unreadable, Unreadable, Unproven::NoReport),
        (counted(9, 0, 0), Unreadable, Unproven::NoBaseline),
        (counted(9, 0, 0), ExitCodeOnly, Unproven::NoBaseline),
        // A runner that counted on the base does not get away with less on the head.
        (ExitCodeOnly, base, Unproven::NoBaseline),
        (ExitCodeOnly, Unreadable, Unproven::NoBaseline),
    ] {
        assert_eq!(ReviewProof::new(evidence(head), base).err(), Some(refusal), "{head:?} over {base:?}");
    }
}

#[test]
fn no_command_proves_nothing_whatever_it_counted() {
    for command in [vec![], vec![String::new()], vec![" \t".to_owned()], vec![String::new(), "test".to_owned()]] {
        let judged = TestEvidence { command, ..evidence(counted(7, 0, 0)) };
        assert_eq!(ReviewProof::new(judged, counted(5, 0, 0)), Err(Unproven::NoCommand));
    }
}

#[test]
fn no_exit_code_but_zero_passes_whatever_it_counted() {
    // A failure, a test runner's own codes, a signal, what a shell makes of -1.
    for exit_code in [1, 2, 101, 137, 255, -1, i32::MIN, i32::MAX] {
        for report in [counted(7, 0, 0), TestReport::ExitCodeOnly, TestReport::Unreadable] {
            let judged = TestEvidence { exit_code, ..evidence(report) };
            assert_eq!(ReviewProof::new(judged, report), Err(Unproven::ExitCode(exit_code)));
        }
    }
}

#[test]
fn a_declared_bare_exit_code_passes_and_shows_it() {
    let proof = ReviewProof::new(evidence(TestReport::ExitCodeOnly), TestReport::ExitCodeOnly);
    let shown = proof.map(|proof| serde_json::json!(Proof::Review(proof)));
    let report = serde_json::json!({ "report": "exit_code_only" });
    assert_eq!(shown.as_ref().map(|shown| &shown["evidence"]["report"]), Ok(&report));
    assert_eq!(shown.as_ref().map(|shown| &shown["baseline"]), Ok(&report));

    let counts = serde_json::json!(proven());
    assert_eq!(counts["evidence"]["report"]["report"], "counted");
    assert_eq!(counts["evidence"]["report"]["passed"], 7);
}

#[test]
fn refusals_say_what_to_do_or_what_was_found() {
    let said: Vec<String> = [
        Unproven::NoCommand,
        Unproven::ExitCode(101),
        Unproven::NoTests { skipped: 4 },
        Unproven::FewerThanBase { head: 4, base: 5 },
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    assert_eq!(
        said,
        [
            "no test command ran; give the project a test command",
            "the test command ended with exit code 101",
            "no test ran (4 skipped)",
            "4 tests passed where 5 passed on the base",
        ]
    );
}

fn reports() -> impl Strategy<Value = TestReport> {
    let counts = (0_u32..4, 0_u32..3, 0_u32..3).prop_map(|(passed, failed, skipped)| counted(passed, failed, skipped));
    prop_oneof![4 => counts, 1 => Just(TestReport::ExitCodeOnly), 1 => Just(TestReport::Unreadable)]
}

proptest! {
    #[test]
    fn a_proof_exists_exactly_when_the_evidence_is_enough(
        exit_code in prop_oneof![4 => Just(0), 1 => any::<i32>()],
        command in prop::collection::vec(prop::sample::select(vec!["", " ", "make", "test"]), 0..3),
        report in reports(),
        baseline in reports(),
    ) {
        let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
        let has_command = command.first().is_some_and(|program| !program.trim().is_empty());
        let proves = match (report, baseline) {
            (TestReport::Counted(head), TestReport::Counted(base)) => {
                head.failed == 0 && head.passed > 0 && head.passed >= base.passed
            }
            (TestReport::ExitCodeOnly, TestReport::ExitCodeOnly) => true,
            (TestReport::Counted(_) | TestReport::ExitCodeOnly | TestReport::Unreadable, _) => false,
        };
        let judged = TestEvidence { command, exit_code, ..evidence(report) };
        let proof = ReviewProof::new(judged.clone(), baseline);
        prop_assert_eq!(proof.is_ok(), exit_code == 0 && has_command && proves);
        if let Ok(proof) = proof {
            prop_assert_eq!(proof.evidence(), &judged);
        }
    }
}

// --- landings

#[test]
fn a_landing_is_proven_by_the_tested_commit_and_tree_alone() {
    let land = |landed, tree| proven().map(|review| LandingProof::new(review, "main".to_owned(), landed, &tree));
    let [head, base, tree] = ['a', 'b', 'c'].map(commit);
    let proof = land(head.clone(), tree.clone()).and_then(Result::ok);
    assert_eq!(proof.as_ref().map(LandingProof::landed), Some(&head));
    assert_eq!(proof.as_ref().map(LandingProof::base_branch), Some("main"));
    assert_eq!(proof.map(|proof| proof.review().clone()), proven());

    let mismatch = |what, found: &CommitId, expected: &CommitId| {
        Some(Err(Unproven::Mismatch { what, found: found.clone(), expected: expected.clone() }))
    };
    // A merge commit, the base unchanged, a tree that a hook rewrote, and both.
    let other = commit('d');
    assert_eq!(land(other.clone(), tree.clone()), mismatch("the landed commit", &other, &head));
    assert_eq!(land(base.clone(), tree.clone()), mismatch("the landed commit", &base, &head));
    assert_eq!(land(head.clone(), other.clone()), mismatch("the landed tree", &other, &tree));
    assert_eq!(land(other.clone(), other.clone()), mismatch("the landed commit", &other, &head));
    // The same digits in the longer form are another object.
    let longer = CommitId::try_from("a".repeat(64));
    assert!(longer.is_ok_and(|longer| land(longer, tree).is_some_and(|landing| landing.is_err())));
}

// --- outcomes

#[test]
fn a_proof_of_another_phase_is_an_error_of_ours_and_never_a_pass() {
    let review = proven();
    let landing =
        review.clone().and_then(|review| LandingProof::new(review, "main".to_owned(), commit('a'), &commit('c')).ok());
    let proofs = [
        (WorkPhase::Spec, Some(Proof::Spec { version: 1, sha256: digest() })),
        (WorkPhase::Build, Some(Proof::Build { head: commit('a'), base: commit('b'), pull_request: 7 })),
        (WorkPhase::Review, review.map(Proof::Review)),
        (WorkPhase::Merge, landing.map(Proof::Merge)),
    ];
    for (proves, proof) in &proofs {
        let outcome = proof.clone().map(Outcome::Pass);
        for phase in proofs.iter().map(|(phase, _)| *phase) {
            let expected = if phase == *proves { Verdict::Pass } else { Verdict::InfraError };
            assert_eq!(outcome.as_ref().map(|outcome| outcome.verdict(phase)), Some(expected), "{proves} in {phase}");
        }
    }
}

#[test]
fn without_a_proof_there_is_no_pass() {
    let question = Question { text: "Which?".to_owned(), options: vec![], default: None };
    let ask = Outcome::Ask { first: question, more: vec![] };
    let limit = Outcome::RateLimited { reopen_after_ms: None, detail: String::new() };
    for &phase in <WorkPhase as damascus_core::Named>::ALL {
        assert_eq!(ask.verdict(phase), Verdict::SpecAmbiguous);
        assert_eq!(limit.verdict(phase), Verdict::RateLimited);
        for &failure in <Failure as damascus_core::Named>::ALL {
            let outcome = Outcome::Fail { failure, detail: String::new() };
            assert_eq!(outcome.verdict(phase).to_string(), failure.to_string());
            assert_ne!(outcome.verdict(phase), Verdict::Pass);
        }
    }
}

// --- object names and digests

#[test]
fn object_names_and_digests_are_lower_case_hexadecimal_of_the_right_length() {
    for length in [40, 64] {
        assert_eq!("0f".repeat(length / 2).parse::<CommitId>().map(String::from), Ok("0f".repeat(length / 2)));
    }
    assert!("0f".repeat(32).parse::<Digest>().is_ok());
    for length in (0..130).filter(|length| ![40, 64].contains(length)) {
        assert!("a".repeat(length).parse::<CommitId>().is_err(), "{length} digits");
    }
    for length in (0..130).filter(|length| *length != 64) {
        assert!("a".repeat(length).parse::<Digest>().is_err(), "{length} digits");
    }
    // Each in a text of the right number of bytes; the last two are a wide digit and a Cyrillic letter that looks like one of ours.
    for wrong in ["A", "F", " ", "-", "g", "\n", "\0", "é", "\u{ff11}", "\u{430}"] {
        for (length, place) in [(40, 0), (40, 20), (64, 0), (64, 20)] {
            let mut text = "0".repeat(length - wrong.len());
            text.insert_str(place, wrong);
            assert!(text.parse::<CommitId>().is_err(), "{text:?}");
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }
}

#[test]
fn what_is_no_object_name_is_told_safely_and_briefly() {
    let error = format!("\u{1b}[31m{}", "x".repeat(10_000)).parse::<CommitId>();
    let said = error.map_err(|error| error.to_string());
    let found = format!("[31m{}…", "x".repeat(75));
    assert_eq!(
        said,
        Err(format!("not a git object name: \"{found}\"; expected 40 or 64 lower-case hexadecimal digits"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn only_hexadecimal_digits_are_an_object_name(text in "[0-9a-fA-Fg ]{38,42}|[0-9a-f]{40}|[0-9a-f]{64}") {
        let is_name = matches!(text.len(), 40 | 64) && text.chars().all(|c| "0123456789abcdef".contains(c));
        prop_assert_eq!(text.parse::<CommitId>().is_ok(), is_name);
        let json = serde_json::to_string(&text).unwrap_or_default();
        let read = serde_json::from_str::<CommitId>(&json);
        prop_assert_eq!(read.is_ok(), is_name);
        if let Ok(read) = read {
            prop_assert_eq!(serde_json::to_string(&read).unwrap_or_default(), json);
        }
    }
}

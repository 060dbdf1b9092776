//! Proofs for runs that do nothing: valid in form, about commits that no repository has.
//!
//! Invariant: they are made by the same constructors as real ones, so they are as strict.

use damascus_core::{CommitId, Digest, LandingProof, Proof, ReviewProof, TestCounts, TestEvidence, TestReport, WorkPhase};

fn commit(digit: char) -> CommitId {
    CommitId::try_from(String::from(digit).repeat(40)).expect("forty hexadecimal digits")
}

/// A digest of nothing in particular.
#[must_use]
pub fn digest() -> Digest {
    Digest::try_from("d".repeat(64)).expect("sixty-four hexadecimal digits")
}

/// Proof that a review passed with one test.
#[must_use]
pub fn review() -> ReviewProof {
    let counts = TestReport::Counted(TestCounts { passed: 1, failed: 0, skipped: 0 });
    let evidence = TestEvidence {
        command: vec!["true".to_owned()],
        exit_code: 0,
        head: commit('a'),
        base: commit('b'),
        tree: commit('c'),
        report: counts,
        log_sha256: digest(),
        duration_ms: 1,
    };
    ReviewProof::new(evidence, counts).expect("one test passed on both")
}

/// A proof that fits the phase.
#[must_use]
pub fn of(phase: WorkPhase) -> Proof {
    match phase {
        WorkPhase::Spec => Proof::Spec { version: 1, sha256: digest() },
        WorkPhase::Build => Proof::Build { head: commit('a'), base: commit('b'), pull_request: 1 },
        WorkPhase::Review => Proof::Review(review()),
        WorkPhase::Merge => Proof::Merge(
            LandingProof::new(review(), "main".to_owned(), commit('a'), &commit('c')).expect("what was tested landed"),
        ),
    }
}

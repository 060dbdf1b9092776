//! Proofs as they are read back from a run's evidence.
//!
//! Invariant: what is read here is a record of what a run reported, never a proof itself: a proof is only made by judging evidence again.

use damascus_core::{CommitId, TestEvidence, TestReport};
use serde::Deserialize;
use serde_json::Value;

use crate::StoreError;
use crate::decode::RowRef;

/// What a passed build or review rests on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "proof", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Recorded {
    Build { head: CommitId, base: CommitId, pull_request: u64 },
    Review { evidence: TestEvidence, baseline: TestReport },
}

/// Reads the evidence of a run.
pub(crate) fn recorded(run: i64, evidence: Option<Value>) -> Result<Recorded, StoreError> {
    let at = RowRef { table: "runs", id: run };
    let evidence = evidence.ok_or_else(|| at.wrong("it passed without evidence"))?;
    serde_json::from_value(evidence).map_err(|error| at.wrong(format_args!("evidence: {error}")))
}

#[cfg(test)]
mod tests {
    use damascus_core::{Digest, Proof, ReviewProof, TestCounts};
    use serde_json::json;

    use super::*;

    fn evidence() -> TestEvidence {
        TestEvidence {
            command: vec!["make".to_owned(), "test".to_owned()],
            exit_code: 0,
            head: CommitId::filled(b'a'),
            base: CommitId::filled(b'b'),
            tree: CommitId::filled(b'c'),
            report: TestReport::Counted(TestCounts { passed: 3, failed: 0, skipped: 1 }),
            log_sha256: Digest::filled(b'd'),
            duration_ms: 12,
        }
    }

    #[test]
    fn what_a_run_reports_is_what_is_read() {
        let (head, base) = (CommitId::filled(b'a'), CommitId::filled(b'b'));
        let build = Proof::Build { head: head.clone(), base: base.clone(), pull_request: 7 };
        let read = recorded(1, Some(serde_json::to_value(&build).unwrap())).unwrap();
        assert_eq!(read, Recorded::Build { head, base, pull_request: 7 });

        let baseline = TestReport::Counted(TestCounts { passed: 2, failed: 0, skipped: 0 });
        let review = Proof::Review(ReviewProof::new(evidence(), baseline).unwrap());
        let read = recorded(1, Some(serde_json::to_value(&review).unwrap())).unwrap();
        assert_eq!(read, Recorded::Review { evidence: evidence(), baseline });
    }

    #[test]
    fn what_no_version_writes_is_inconsistent() {
        let wrong = [
            None,
            Some(json!(null)),
            Some(json!({ "proof": "hearsay" })),
            Some(json!({ "proof": "build", "head": "HEAD", "base": "b".repeat(40), "pull_request": 1 })),
            Some(json!({ "proof": "build", "head": "a".repeat(40), "base": "b".repeat(40), "pull_request": -1 })),
            Some(
                json!({ "proof": "build", "head": "a".repeat(40), "base": "b".repeat(40), "pull_request": 1, "more": 1 }),
            ),
            Some(json!({ "proof": "build", "head": "a".repeat(40), "base": "b".repeat(40) })),
        ];
        for evidence in wrong {
            let error = recorded(9, evidence.clone()).unwrap_err();
            assert!(matches!(error, StoreError::Inconsistent { table: "runs", id: 9, .. }), "{evidence:?}: {error}");
        }
    }
}

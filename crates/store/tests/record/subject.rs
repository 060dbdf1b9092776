//! What the tests here write down: specs, evidence, proofs; and a look at the tables themselves.

use damascus_core::{CommitId, Digest, ItemId, Outcome, Proof, ReviewProof, RunReport, Spec};
use damascus_core::{TestCounts, TestEvidence, TestReport};
use damascus_store::{Lease, StoreError};
use damascus_testkit::{Scene, TestDb, scene};

/// A spec with this goal.
pub(crate) fn spec(goal: &str) -> Spec {
    serde_json::from_value(serde_json::json!({
        "goal": goal, "kind": "fix", "non_goals": ["anything else"], "acceptance": [],
        "files": { "allow": ["src/**"], "create": [], "forbid": [] },
        "tests": { "command": [], "cwd": "", "timeout_s": 0, "new_files": [], "must_fail_on_base": false },
        "tasks": [], "contracts": { "consumes": [], "publishes": [] }, "ambiguities": [], "risk": "none"
    }))
    .unwrap()
}

/// A commit of this one digit.
pub(crate) fn commit(digit: u8) -> CommitId {
    CommitId::filled(digit)
}

/// A green execution on a head.
pub(crate) fn evidence(head: u8, tree: u8) -> TestEvidence {
    TestEvidence {
        command: vec!["make".to_owned(), "test".to_owned()],
        exit_code: 0,
        head: commit(head),
        base: commit(b'0'),
        tree: commit(tree),
        report: TestReport::Counted(TestCounts { passed: 3, failed: 0, skipped: 0 }),
        log_sha256: Digest::filled(b'e'),
        duration_ms: 5,
    }
}

/// What a build reports that pushed this head.
pub(crate) fn built(head: u8, pull_request: u64) -> RunReport {
    RunReport::free(Outcome::Pass(Proof::Build { head: commit(head), base: commit(b'0'), pull_request }))
}

/// What a review of this head reports.
pub(crate) fn reviewed(head: u8) -> RunReport {
    let evidence = evidence(head, b'9');
    let baseline = evidence.report;
    RunReport::free(Outcome::Pass(Proof::Review(ReviewProof::new(evidence, baseline).unwrap())))
}

/// A scene with one item that may fail often, and a lease on its spec.
pub(crate) async fn specifying() -> (Scene, ItemId, Lease) {
    let scene = Scene::new().await;
    let new = damascus_store::item::NewItem { max_attempts: Some(50), ..scene::story("one") };
    let item = scene.store().create_item(scene.project, &new).await.unwrap().item;
    let lease = scene.lease(item).await;
    (scene, item, lease)
}

/// What a lease is worth that another claim has replaced: the same item and worker, an epoch that is gone.
pub(crate) async fn handed_back(scene: &Scene, lease: &Lease) {
    let back = scene::names(std::slice::from_ref(lease));
    assert_eq!(scene.store().hand_back(scene.worker, &back).await.unwrap(), 1);
}

/// Whether an error says that the lease is gone.
pub(crate) fn is_stale<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Refused(damascus_core::Refusal::Stale)))
}

/// Whether an error says what can't be stored, with these words.
#[track_caller]
pub(crate) fn is_invalid<T: std::fmt::Debug>(result: Result<T, StoreError>, words: &str) {
    let error = result.expect_err("it can't be stored");
    assert!(matches!(error, StoreError::Invalid(_)) && error.to_string().contains(words), "{error}");
}

/// The one number that a query gives.
pub(crate) async fn number(db: &TestDb, query: &str) -> i64 {
    let mut connection = db.connect().await;
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap()
}

/// Runs a statement; gives the name of the constraint that it breaks, if it does.
pub(crate) async fn execute(db: &TestDb, statement: &str) -> Option<String> {
    let mut connection = db.connect().await;
    match sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await {
        Ok(_) => None,
        Err(sqlx::Error::Database(error)) => Some(error.constraint().unwrap_or("unnamed").to_owned()),
        Err(error) => panic!("{statement}: {error}"),
    }
}

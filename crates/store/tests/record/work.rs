//! What a run is told of its item.

use damascus_core::{Failure, ItemId, Outcome, Proof, Verdict, WorkPhase};
use damascus_store::StoreError;
use damascus_store::decision::Answer;
use damascus_store::work::{Feedback, read_work};
use damascus_testkit::{Scene, scene};
use sqlx::Connection as _;

use crate::subject::{built, commit, evidence, execute, reviewed, spec, specifying};

/// Claims the item and reports for it.
async fn next(scene: &Scene, item: ItemId, phase: WorkPhase, report: damascus_core::RunReport) {
    let lease = scene.lease(item).await;
    assert_eq!(lease.phase, phase);
    assert!(scene.report(&lease, report).await);
}

fn told(feedback: &[Feedback]) -> Vec<(WorkPhase, Verdict)> {
    feedback.iter().map(|one| (one.phase, one.verdict)).collect()
}

fn failed(failure: Failure) -> damascus_core::RunReport {
    scene::failed(failure)
}

#[tokio::test]
async fn a_new_item_has_its_story_and_nothing_else() {
    let (scene, item, _) = specifying().await;
    let work = scene.store().work_context(item).await.unwrap();
    assert_eq!((work.project, work.project_name.as_str(), work.item), (scene.project, "demo", item));
    assert_eq!((work.repo.as_str(), work.base_branch.as_str(), work.forge_repo_id), ("/srv/demo.git", "main", None));
    assert_eq!((work.key.as_str(), work.title.as_str()), ("one", "Story one"));
    assert_eq!(work.acceptance, ["It works."]);
    assert_eq!(work.content_sha256, damascus_core::Digest::filled(b'a'));
    assert!(work.spec.is_none() && work.build.is_none() && work.review.is_none());
    assert_eq!((work.builds_reported, work.specs_asked, work.feedback.len(), work.answers.len()), (0, 0, 0, 0));
    let error = scene.store().work_context(ItemId(9_999)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "item", .. }), "{error}");
}

#[tokio::test]
async fn a_build_and_its_review_are_the_latest_ones() {
    use WorkPhase::{Build, Merge, Review, Spec};
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    let stored = store.add_spec(&lease, &spec("one")).await.unwrap();
    scene.report(&lease, scene::passed(Spec)).await;
    next(&scene, item, Build, built(b'a', 7)).await;
    let work = store.work_context(item).await.unwrap();
    let build = work.build.unwrap();
    assert_eq!((build.head, build.base, build.pull_request), (commit(b'a'), commit(b'0'), 7));
    assert_eq!((work.spec, work.review, work.builds_reported, work.specs_asked), (Some(stored), None, 1, 1));

    next(&scene, item, Review, reviewed(b'a')).await;
    let review = store.work_context(item).await.unwrap().review.unwrap();
    assert_eq!((review.evidence, review.baseline), (evidence(b'a', b'9'), evidence(b'a', b'9').report));
    // The base moved: back to review, whose earlier pass still counts until the next.
    next(&scene, item, Merge, failed(Failure::BaseMoved)).await;
    next(&scene, item, Review, reviewed(b'b')).await;
    let work = store.work_context(item).await.unwrap();
    assert_eq!((work.review.unwrap().evidence.head, work.feedback), (commit(b'b'), Vec::new()));
    // A newer build: no review of an older one counts.
    next(&scene, item, Merge, failed(Failure::TestsFailed)).await;
    next(&scene, item, Build, built(b'c', 7)).await;
    let work = store.work_context(item).await.unwrap();
    assert_eq!((work.build.unwrap().head, work.review, work.builds_reported), (commit(b'c'), None, 2));
    assert_eq!(told(&work.feedback), [(Merge, Verdict::TestsFailed)]);
}

#[tokio::test]
async fn failures_are_told_as_long_as_they_matter() {
    use WorkPhase::{Build, Spec};
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    scene.report(&lease, failed(Failure::SpecInvalid)).await;
    let lease = scene.lease(item).await;
    let work = store.work_context(item).await.unwrap();
    assert_eq!(told(&work.feedback), [(Spec, Verdict::SpecInvalid)]);
    assert_eq!((work.feedback[0].detail.as_str(), work.feedback[0].attempt), ("it did not work", 1));
    store.add_spec(&lease, &spec("one")).await.unwrap();
    scene.report(&lease, scene::passed(Spec)).await;
    assert_eq!(told(&store.work_context(item).await.unwrap().feedback), [], "a spec was accepted since");

    for failure in [Failure::NoChange, Failure::BuildFailed] {
        next(&scene, item, Build, failed(failure)).await;
    }
    assert_eq!(
        told(&store.work_context(item).await.unwrap().feedback),
        [(Build, Verdict::NoChange), (Build, Verdict::BuildFailed)]
    );
    next(&scene, item, Build, failed(Failure::SpecWrong)).await;
    // Back in spec all of them matter, the latest five.
    next(&scene, item, Spec, failed(Failure::SpecInvalid)).await;
    next(&scene, item, Spec, failed(Failure::SpecInvalid)).await;
    let work = store.work_context(item).await.unwrap();
    assert_eq!(
        told(&work.feedback),
        [
            (Build, Verdict::NoChange),
            (Build, Verdict::BuildFailed),
            (Build, Verdict::SpecWrong),
            (Spec, Verdict::SpecInvalid),
            (Spec, Verdict::SpecInvalid)
        ]
    );
    assert_eq!((work.builds_reported, work.specs_asked), (3, 4));
    let lease = scene.lease(item).await;
    store.add_spec(&lease, &spec("two")).await.unwrap();
    scene.report(&lease, scene::passed(Spec)).await;
    assert_eq!(told(&store.work_context(item).await.unwrap().feedback), []);
}

#[tokio::test]
async fn the_surroundings_are_no_feedback_and_count_for_nothing() {
    let db = damascus_testkit::TestDb::new().await;
    // Backs off for milliseconds, and the sweep wakes it.
    let scene = Scene::on(db, scene::project("demo")).await;
    let item = scene.item("one").await;
    let store = scene.store();
    for report in [failed(Failure::InfraError), failed(Failure::Timeout)] {
        let lease = scene.lease(item).await;
        scene.report(&lease, report).await;
        let slept = "UPDATE work_items SET wake_at = NULL";
        assert_eq!(execute(&scene.db, slept).await, None);
    }
    let lease = scene.lease(item).await;
    scene.report(&lease, scene::asked("Which?")).await;
    let issue = store.open_issues(&damascus_store::issue::IssueFilter::default()).await.unwrap()[0].id;
    let answer = Answer { text: "b".to_owned(), by: "dana".to_owned(), free_text: false, deadline: None };
    store.answer(issue, &answer).await.unwrap();
    let work = store.work_context(item).await.unwrap();
    assert_eq!((work.specs_asked, told(&work.feedback)), (1, Vec::new()));
    let [given] = work.answers.as_slice() else { panic!("one answer: {:?}", work.answers) };
    assert_eq!((given.question.as_str(), given.answer.as_str(), given.answered_by.as_str()), ("Which?", "b", "dana"));
}

#[tokio::test]
async fn evidence_that_no_version_writes_is_inconsistent() {
    let (scene, item, _) = specifying().await;
    let insert = |phase: &str, evidence: &str| {
        format!(
            "INSERT INTO runs (id, item_id, epoch, worker_id, started_at, attempt, phase, ended, verdict, charge, evidence)
             VALUES (nextval('run_ids'), {item}, 1, 1, now(), 1, '{phase}', 'reported', 'pass', 'free', '{evidence}')"
        )
    };
    let review = serde_json::to_string(&reviewed(b'a').outcome_proof()).unwrap();
    for evidence in ["{}", r#"{"proof": "build"}"#, &review] {
        assert_eq!(execute(&scene.db, &insert("build", evidence)).await, None);
        let error = scene.store().work_context(item).await.unwrap_err();
        assert!(matches!(error, StoreError::Inconsistent { table: "runs", .. }), "{evidence}: {error}");
    }
}

/// The proof of a report that passes.
trait OutcomeProof {
    fn outcome_proof(&self) -> &Proof;
}

impl OutcomeProof for damascus_core::RunReport {
    fn outcome_proof(&self) -> &Proof {
        let Outcome::Pass(proof) = &self.outcome else { panic!("it passes") };
        proof
    }
}

#[tokio::test]
async fn only_rows_of_the_item_are_read() {
    const OTHERS: i64 = 20_000;
    let (scene, item, lease) = specifying().await;
    scene.store().add_spec(&lease, &spec("one")).await.unwrap();
    scene.report(&lease, scene::passed(WorkPhase::Spec)).await;
    next(&scene, item, WorkPhase::Build, built(b'a', 7)).await;
    next(&scene, item, WorkPhase::Review, reviewed(b'a')).await;
    for statement in [
        format!("INSERT INTO work_items (project_id, attempts_granted, held) SELECT {}, 3, true FROM generate_series(1, {OTHERS})", scene.project),
        "INSERT INTO stories (item_id, project_id, key, title, body, source, content_sha256)
         SELECT id, project_id, 'k' || id, 'x', '', 'manual', repeat('a', 64) FROM work_items WHERE held".to_owned(),
        "INSERT INTO specs (item_id, version, sha256, body, run_id) SELECT id, 1, repeat('a', 64), '{}', 1 FROM work_items WHERE held".to_owned(),
        "INSERT INTO human_issues (item_id, kind, state, question, answer, answered_by, settled_at)
         SELECT id, 'question', 'answered', 'x', 'y', 'z', now() FROM work_items WHERE held".to_owned(),
        "INSERT INTO runs (id, item_id, epoch, worker_id, started_at, attempt, phase, ended, verdict, charge, evidence)
         SELECT nextval('run_ids'), w.id, 1, 1, now(), 1, r.phase, r.ended, r.verdict, r.charge, r.evidence
         FROM work_items w CROSS JOIN runs r WHERE w.held".to_owned(),
    ] {
        assert_eq!(execute(&scene.db, &statement).await, None, "{statement}");
    }
    let mut connection = scene.db.connect().await;
    // The planner knows nothing of the columns at first.
    for statistics in ["VACUUM", "VACUUM ANALYZE"] {
        sqlx::query(sqlx::AssertSqlSafe(statistics)).execute(&mut connection).await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        sqlx::query("SET LOCAL plan_cache_mode = force_generic_plan").execute(&mut *tx).await.unwrap();
        let work = read_work(&mut tx, item).await.unwrap();
        assert!(work.review.is_some_and(|review| work.build.is_some_and(|build| build.run < review.run)));
        let read: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT relname::text, seq_tup_read, coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
             WHERE relname IN ('work_items', 'stories', 'specs', 'human_issues', 'runs') ORDER BY relname",
        )
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        assert_eq!(read.len(), 5);
        for (table, whole, fetched) in read {
            assert!(whole == 0 && fetched < 40, "after {statistics}: {table}: {whole} read, {fetched} fetched");
        }
        tx.rollback().await.unwrap();
    }
}

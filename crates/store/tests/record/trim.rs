//! Trimming what grows with every run, some at a time.

use damascus_core::Digest;
use damascus_store::Job;
use damascus_store::tested::Tested;
use damascus_store::transcript::Chunk;
use damascus_testkit::Scene;

use crate::subject::{evidence, execute, number, specifying};

/// Lets the job's next tick be due, and does it.
async fn trim(scene: &Scene) {
    for _ in 0..2 {
        assert_eq!(execute(&scene.db, "UPDATE schedules SET next_due_at = now() - interval '1 hour'").await, None);
        let schedules = scene.store().schedules().await.unwrap();
        let job = schedules.iter().find(|one| one.job == Job::HistoryTrim).expect("it comes with the schema");
        let next = job.now + chrono::Duration::hours(1);
        if scene.store().tick(job, next, 30).await.unwrap() {
            return;
        }
    }
    panic!("the job does not tick");
}

#[tokio::test]
async fn what_is_old_goes_and_the_rest_stays() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    store.append_transcript(&lease, &[Chunk { ordinal: 0, text: "new".to_owned() }]).await.unwrap();
    store.put_artifact(&lease, "diff", "new", false).await.unwrap();
    let result =
        Tested { evidence: evidence(b'a', b'9'), tests: serde_json::json!({}), at: chrono::DateTime::UNIX_EPOCH };
    store.remember_tested(scene.project, &Digest::filled(b'1'), &result).await.unwrap();
    for age in ["29 days 23 hours", "30 days 1 hour"] {
        let run = if age.starts_with("29") { 901 } else { 902 };
        for statement in [
            format!("INSERT INTO run_transcripts (run_id, worker_id, item_id, phase, chunks, begun_at) VALUES ({run}, 1, {item}, 'spec', 1, now() - interval '{age}')"),
            format!("INSERT INTO run_transcript_chunks VALUES ({run}, 1, 0, 'x')"),
            format!("INSERT INTO run_artifacts (run_id, worker_id, name, item_id, phase, body, cut, at) VALUES ({run}, 1, 'diff', {item}, 'spec', '', false, now() - interval '{age}')"),
            format!("INSERT INTO tested_trees (project_id, tree, rules_sha256, evidence, tests, at)
                     SELECT project_id, tree, lpad('{run}', 64, '0'), evidence, tests, now() - interval '{age}' FROM tested_trees LIMIT 1"),
        ] {
            assert_eq!(execute(&scene.db, &statement).await, None, "{statement}");
        }
    }
    trim(&scene).await;
    for (table, old) in [
        ("run_transcripts", "run_id = 902"),
        ("run_transcript_chunks", "run_id = 902"),
        ("run_artifacts", "run_id = 902"),
        ("tested_trees", "rules_sha256 LIKE '%902'"),
    ] {
        let left = number(&scene.db, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(
            (left, number(&scene.db, &format!("SELECT count(*) FROM {table} WHERE {old}")).await),
            (2, 0),
            "{table}"
        );
    }
}

#[tokio::test]
async fn one_tick_removes_a_bounded_number_oldest_first() {
    let (scene, item, _) = specifying().await;
    for statement in [
        // 600 small transcripts, and before them four of 40,000 pieces each by their own account.
        format!("INSERT INTO run_transcripts (run_id, worker_id, item_id, phase, chunks, begun_at)
                 SELECT 1000 + n, 1, {item}, 'spec', CASE WHEN n <= 4 THEN 40000 ELSE 1 END, now() - interval '1 year' + n * interval '1 minute'
                 FROM generate_series(1, 604) n"),
        format!("INSERT INTO run_artifacts (run_id, worker_id, name, item_id, phase, body, cut, at)
                 SELECT n, 1, 'diff', {item}, 'spec', '', false, now() - interval '1 year' + n * interval '1 minute' FROM generate_series(1, 1500) n"),
    ] {
        assert_eq!(execute(&scene.db, &statement).await, None);
    }
    trim(&scene).await;
    assert_eq!(
        number(&scene.db, "SELECT min(run_id) FROM run_transcripts").await,
        1004,
        "three are as much as one tick takes"
    );
    assert_eq!(number(&scene.db, "SELECT min(run_id) FROM run_artifacts").await, 1001);
    trim(&scene).await;
    assert_eq!(number(&scene.db, "SELECT count(*) FROM run_transcripts").await, 101);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM run_artifacts").await, 0);
    trim(&scene).await;
    assert_eq!(number(&scene.db, "SELECT count(*) FROM run_transcripts").await, 0);
}

//! Reports that are written: what each leaves in the tables, from the first claim to the landing.

use damascus_core::{Failure, ItemId, Outcome, RunReport, WorkPhase};
use damascus_store::StoreError;
use damascus_store::apply::MAX_MOVES;
use damascus_testkit::Scene;
use damascus_testkit::scene::{asked, cancellation, failed, names, passes, project, report_move, request};
use serde_json::{Value, json};

use crate::table;

#[tokio::test]
async fn an_item_that_passes_four_phases_leaves_a_whole_history() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    for phase in ["spec", "build", "review", "merge"] {
        let lease = scene.claim(1).await.remove(0);
        assert_eq!((lease.item, lease.phase.to_string().as_str()), (item, phase));
        let applied = scene.write(&passes(&[lease])).await;
        assert_eq!(applied.written, [item]);
        let ends = phase == "merge";
        assert_eq!((applied.claimable, applied.stopped), (usize::from(!ends), if ends { vec![item] } else { vec![] }));
    }
    let row = "SELECT phase::text, last_event::text, transitions, lease_epoch, num_nulls(lease_owner, run_id, wake_at)
               FROM work_items";
    let row: (String, String, i32, i64, i32) = table::one(&scene.db, row).await;
    assert_eq!(row, ("merged".to_owned(), "pass".to_owned(), 4, 8, 3));

    let runs = "SELECT phase::text, ended::text, verdict::text, charge::text, attempt, epoch, worker_id,
                       ended_at >= started_at, evidence ->> 'proof' FROM runs ORDER BY id";
    type Run = (String, String, String, String, i16, i64, i64, bool, String);
    let runs: Vec<Run> = table::all(&scene.db, runs).await;
    let expected = ["spec", "build", "review", "merge"].iter().zip([1, 3, 5, 7]).map(|(&phase, epoch)| {
        let [phase, ended, verdict, charge, proof] = [phase, "reported", "pass", "free", phase].map(str::to_owned);
        (phase, ended, verdict, charge, 1, epoch, scene.worker.0, true, proof)
    });
    assert_eq!(runs, expected.collect::<Vec<_>>());

    let landing = "SELECT l.item_id, l.project_id, r.phase::text, l.base_branch, l.base_commit, l.landed_commit, l.tree, l.evidence
                   FROM landings l JOIN runs r ON r.id = l.run_id JOIN work_items w ON w.landing_id = l.id";
    type Landing = (i64, i64, String, String, String, String, String, Value);
    let (of, project, phase, branch, base, landed, tree, evidence): Landing = table::one(&scene.db, landing).await;
    assert_eq!((of, project, phase.as_str(), branch.as_str()), (item.0, scene.project.0, "merge", "main"));
    assert_eq!([base, landed, tree], ["b", "a", "c"].map(|digit| digit.repeat(40)));
    assert_eq!(evidence["review"]["evidence"]["command"], json!(["true"]));

    let told = table::events(&scene.db, item).await;
    let started_and = |kind: &str| ["run.started".to_owned(), kind.to_owned()];
    let kinds = ["work.advanced", "work.advanced", "work.advanced", "work.merged"].map(started_and).concat();
    assert_eq!(told, [vec!["work.created".to_owned()], kinds].concat());
    let last: (Value,) = table::one(&scene.db, "SELECT data FROM events_outbox WHERE type = 'work.merged'").await;
    let (run,) = table::one::<(i64,)>(&scene.db, "SELECT max(id) FROM runs").await;
    let expected = json!({ "from": "merge", "to": "merged", "cause": "pass", "charge": "free", "run_id": run,
                           "attempts_used": 0, "attempts_granted": 3 });
    assert_eq!(last.0, expected);
}

#[tokio::test]
async fn failures_use_up_attempts_and_the_last_one_asks_a_person() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    scene.bring_to(WorkPhase::Review, &[item]).await;
    for (phase, failure) in [
        (WorkPhase::Review, Failure::TestsFailed),
        (WorkPhase::Build, Failure::SpecWrong),
        (WorkPhase::Spec, Failure::SpecInvalid),
    ] {
        let lease = scene.lease(item).await;
        assert_eq!(lease.phase, phase);
        assert!(scene.report(&lease, failed(failure)).await);
    }
    let row = "SELECT phase::text, resume_phase::text, block_reason::text, attempts_used FROM work_items";
    let row: (String, String, String, i16) = table::one(&scene.db, row).await;
    assert_eq!(row, ("blocked".to_owned(), "spec".to_owned(), "attempts_spent".to_owned(), 3));
    let attempts: Vec<(i16, String)> =
        table::all(&scene.db, "SELECT attempt, charge::text FROM runs WHERE verdict <> 'pass' ORDER BY id").await;
    assert_eq!(attempts, [1, 2, 3].map(|n| (n, "attempt".to_owned())));
    let issue: (i64, String, String, String, Vec<String>) =
        table::one(&scene.db, "SELECT item_id, kind::text, state::text, question, options FROM human_issues").await;
    assert_eq!((issue.0, issue.1.as_str(), issue.2.as_str()), (item.0, "blocked", "open"));
    assert_eq!(
        issue.3,
        "Blocked in spec: all 3 attempts failed (last: spec_invalid).\n\nThe last run: it did not work"
    );
    assert_eq!(issue.4, ["retry", "cancel"]);
    let told = table::events(&scene.db, item).await;
    assert_eq!(told[told.len() - 3..], ["run.started", "work.blocked", "issue.opened"]);
    let (reason,): (Value,) = table::one(&scene.db, "SELECT data FROM events_outbox WHERE type = 'work.blocked'").await;
    assert_eq!((&reason["reason"], &reason["resume"]), (&json!("attempts_spent"), &json!("spec")));
}

#[tokio::test]
async fn a_question_parks_the_item_and_costs_nothing() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = scene.lease(item).await;
    let Outcome::Ask { first, .. } = asked("Which of the two?").outcome else { unreachable!("it asks") };
    let more = (2..30).map(|n| damascus_core::Question { text: format!("Question {n}?"), ..first.clone() });
    assert!(scene.report(&lease, RunReport::free(Outcome::Ask { first: first.clone(), more: more.collect() })).await);
    let row = "SELECT phase::text, resume_phase::text, attempts_used FROM work_items";
    let row: (String, String, i16) = table::one(&scene.db, row).await;
    assert_eq!(row, ("awaiting_human".to_owned(), "spec".to_owned(), 0));
    let asked: Vec<(String, Vec<String>, i64)> =
        table::all(&scene.db, "SELECT question, options, run_id FROM human_issues WHERE state = 'open' ORDER BY id")
            .await;
    assert_eq!(asked.len(), 20, "a run asks a bounded number of questions");
    assert_eq!(asked[0], ("Which of the two?".to_owned(), vec!["a".to_owned(), "b".to_owned()], lease.run.0));
    assert_eq!(asked[19].0, "Question 20?");
    let told = table::events(&scene.db, item).await;
    assert_eq!(told[2..4], ["work.awaiting_human", "issue.opened"]);
    assert_eq!(told.iter().filter(|kind| *kind == "issue.opened").count(), 20);
    assert_eq!(scene.claim(1).await, []);
}

#[tokio::test]
async fn a_second_suspicion_of_tampering_and_the_last_move_and_failure_block() {
    let mut narrow = project("demo");
    (narrow.max_attempts, narrow.max_moves, narrow.max_infra_failures) = (9, 2, 2);
    let scene = Scene::with(narrow).await;
    for (key, at, failure, reason, resume) in [
        ("tampered", WorkPhase::Review, Failure::TamperSuspected, "tampering", "build"),
        ("moved", WorkPhase::Merge, Failure::BaseMoved, "moves", "review"),
        ("broken", WorkPhase::Build, Failure::InfraError, "infra_failures", "build"),
    ] {
        let item = scene.item(key).await;
        for _ in 0..2 {
            let lease = loop {
                scene.store().sweep_leases(1.0).await.unwrap();
                let Some(lease) = scene.claim(1).await.pop() else { continue };
                if lease.phase == at {
                    break lease;
                }
                scene.write(&passes(&[lease])).await;
            };
            scene.report(&lease, failed(failure)).await;
        }
        let row =
            "SELECT block_reason::text, resume_phase::text, attempts_used > 0 FROM work_items ORDER BY id DESC LIMIT 1";
        let row: (String, String, bool) = table::one(&scene.db, row).await;
        assert_eq!(row, (reason.to_owned(), resume.to_owned(), key == "tampered"), "{item}");
    }
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM human_issues WHERE kind = 'blocked'").await, 3);
}

#[tokio::test]
async fn batches_are_bounded_and_name_each_item_once() {
    let scene = Scene::new().await;
    let most = i64::try_from(MAX_MOVES).unwrap();
    let first = damascus_store::bench::seed(scene.store(), scene.project, most + 1).await.unwrap();
    let moves: Vec<_> = (0..=most).map(|n| cancellation(ItemId(first.0 + n))).collect();
    let nothing = request(scene.worker, 0);
    for bad in [moves.clone(), vec![moves[0].clone(), moves[1].clone(), moves[0].clone()]] {
        let refused = scene.store().finish_and_claim(&bad, &nothing).await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid(_)) && !refused.retryable(), "{refused}");
    }
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM work_items WHERE transitions > 0").await, 0);
    let full = scene.write(&moves[1..]).await;
    assert_eq!((full.written.len(), full.stopped.len(), full.claimable), (MAX_MOVES, MAX_MOVES, 0));
}

#[tokio::test]
async fn a_commit_of_reports_and_claims_takes_the_items_that_it_just_advanced() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 5).await;
    let mut leases = scene.claim(5).await;
    for phase in [WorkPhase::Build, WorkPhase::Review] {
        let (applied, next) =
            scene.store().finish_and_claim(&passes(&leases), &request(scene.worker, 5)).await.unwrap();
        assert_eq!((applied.written.len(), applied.claimable), (5, 5));
        assert_eq!(next.iter().map(|lease| lease.item).collect::<Vec<_>>(), items);
        assert!(next.iter().all(|lease| lease.phase == phase && lease.epoch.0 > leases[0].epoch.0));
        leases = next;
    }
    let told = "SELECT count(DISTINCT tx) FROM events_outbox WHERE item_id IS NOT NULL";
    assert_eq!(
        table::number(&scene.db, told).await,
        4,
        "created, claimed, and two commits for ten reports and ten claims"
    );
    assert_eq!(scene.store().hand_back(scene.worker, &names(&leases)).await.unwrap(), 5);
}

#[tokio::test]
async fn a_proof_of_another_phase_passes_nothing() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    scene.bring_to(WorkPhase::Merge, &[item]).await;
    let lease = scene.lease(item).await;
    scene.write(&[report_move(&lease, damascus_testkit::scene::passed(WorkPhase::Review))]).await;
    let row = "SELECT w.phase::text, r.verdict::text, r.detail, r.evidence IS NULL FROM work_items w
               JOIN runs r ON r.item_id = w.id ORDER BY r.id DESC LIMIT 1";
    let row: (String, String, String, bool) = table::one(&scene.db, row).await;
    let said = "the handler of merge returned a proof of review";
    assert_eq!(row, ("merge".to_owned(), "infra_error".to_owned(), said.to_owned(), true));
}

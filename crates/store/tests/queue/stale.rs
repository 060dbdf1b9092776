//! Reports that come too late: they change nothing, and what they cost is entered once.

use damascus_core::{CostEntry, Epoch, Failure, MicroUsd, RunReport, WorkPhase};
use damascus_store::{Lease, Move};
use damascus_testkit::Scene;
use damascus_testkit::scene::{failed, names, passed, passes, report_move, request};

use crate::table;

/// A report that cost something.
fn costly(report: RunReport, dollars: i64) -> RunReport {
    let entry = |model: &str, amount| CostEntry {
        provider: "gateway".to_owned(),
        model: model.to_owned(),
        tokens_in: 100,
        tokens_out: 10,
        tokens_cached: 50,
        amount: MicroUsd(amount),
        estimated: false,
    };
    RunReport { costs: vec![entry("large", dollars * 1_000_000), entry("small", 1)], ..report }
}

/// Everything that a report could have changed, but for the money.
async fn everything(scene: &Scene) -> Vec<(String,)> {
    let query = "
        SELECT to_jsonb(w)::text FROM work_items w UNION ALL SELECT to_jsonb(r)::text FROM runs r
        UNION ALL SELECT to_jsonb(l)::text FROM landings l UNION ALL SELECT to_jsonb(h)::text FROM human_issues h
        UNION ALL SELECT to_jsonb(e)::text FROM events_outbox e UNION ALL SELECT to_jsonb(n)::text FROM lanes n ORDER BY 1";
    table::all(&scene.db, query).await
}

async fn spent(scene: &Scene) -> i64 {
    table::number(&scene.db, "SELECT coalesce(sum(amount_microusd), 0)::bigint FROM cost_ledger").await
}

/// Reports a stale move twice and checks that it left nothing but `dollars` and a millionth.
async fn is_dropped(scene: &Scene, why: &str, lease: &Lease, report: RunReport, dollars: i64) {
    let (before, paid) = (everything(scene).await, spent(scene).await);
    let one = report_move(lease, costly(report, dollars));
    for _ in 0..2 {
        let applied = scene.write(std::slice::from_ref(&one)).await;
        assert_eq!((applied.written.len(), applied.stopped.len()), (0, 0), "{why}");
    }
    assert_eq!(everything(scene).await, before, "{why}");
    assert_eq!(spent(scene).await - paid, dollars * 1_000_000 + 1, "{why}: spent once, however often it is said");
}

#[tokio::test]
async fn nothing_is_written_under_a_lease_that_is_gone() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = scene.lease(item).await;
    let pass = || passed(WorkPhase::Spec);

    let other = Lease { worker: scene.worker("other").await, ..lease.clone() };
    is_dropped(&scene, "another worker's lease", &other, pass(), 1).await;
    let later = Lease { epoch: Epoch(lease.epoch.0 + 1), run: damascus_core::RunId(9_001), ..lease.clone() };
    is_dropped(&scene, "an epoch that was never given", &later, pass(), 1).await;
    let elsewhere = Lease { phase: WorkPhase::Merge, run: damascus_core::RunId(9_002), ..lease.clone() };
    is_dropped(&scene, "a phase that it does not stand in", &elsewhere, passed(WorkPhase::Merge), 1).await;

    scene.store().hand_back(scene.worker, &names(std::slice::from_ref(&lease))).await.unwrap();
    is_dropped(&scene, "handed back", &lease, pass(), 2).await;
    let second = scene.lease(item).await;
    is_dropped(
        &scene,
        "claimed again",
        &Lease { run: damascus_core::RunId(9_003), ..lease },
        failed(Failure::SpecInvalid),
        3,
    )
    .await;
    assert!(scene.report(&second, pass()).await);
    let again = Lease { run: damascus_core::RunId(9_004), ..second.clone() };
    is_dropped(&scene, "reported already, which may mean that the answer was lost", &again, pass(), 1).await;
    let third = scene.lease(item).await;
    scene.store().cancel(item, "ada", "").await.unwrap();
    is_dropped(&scene, "a person gave it up", &third, passed(WorkPhase::Build), 4).await;
    let ends: Vec<(String, Option<String>)> =
        table::all(&scene.db, "SELECT ended::text, verdict::text FROM runs ORDER BY id").await;
    let named = |ended: &str, verdict: Option<&str>| (ended.to_owned(), verdict.map(str::to_owned));
    assert_eq!(ends, [named("handed_back", None), named("reported", Some("pass")), named("superseded", None)]);
}

#[tokio::test]
async fn a_stale_limit_closes_no_lane_and_a_stale_landing_lands_nothing() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let spec = scene.lease(item).await;
    scene.store().hand_back(scene.worker, &names(std::slice::from_ref(&spec))).await.unwrap();
    is_dropped(&scene, "a limit", &spec, damascus_testkit::scene::rate_limited(Some(60_000)), 1).await;
    is_dropped(
        &scene,
        "a question",
        &Lease { run: damascus_core::RunId(9_001), ..spec },
        damascus_testkit::scene::asked("Which?"),
        1,
    )
    .await;
    scene.bring_to(WorkPhase::Merge, &[item]).await;
    let merge = scene.lease(item).await;
    scene.store().hand_back(scene.worker, &names(std::slice::from_ref(&merge))).await.unwrap();
    is_dropped(&scene, "a landing", &merge, passed(WorkPhase::Merge), 1).await;
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM landings").await, 0);
}

#[tokio::test]
async fn in_a_batch_the_fresh_ones_are_written_and_the_stale_ones_are_not() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 6).await;
    let leases = scene.claim(6).await;
    scene.store().hand_back(scene.worker, &names(&leases[..2])).await.unwrap();
    scene.store().cancel(items[2], "ada", "").await.unwrap();
    let applied = scene.write(&passes(&leases)).await;
    let mut written = applied.written;
    written.sort();
    assert_eq!((written.as_slice(), applied.claimable), (&items[3..], 3));
    let phases: Vec<(String,)> = table::all(&scene.db, "SELECT phase::text FROM work_items ORDER BY id").await;
    let phases: Vec<&str> = phases.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(phases, ["spec", "spec", "cancelled", "build", "build", "build"]);
    for item in items {
        table::events(&scene.db, item).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_report_from_two_sides_at_once_is_written_once() {
    let scene = Scene::new().await;
    scene.items(scene.project, 40).await;
    let mut leases = scene.claim(40).await;
    for _ in 0..3 {
        let moves: Vec<Move> = passes(&leases);
        let backwards: Vec<Move> = moves.iter().rev().cloned().collect();
        let nothing = request(scene.worker, 0);
        let (one, two) = tokio::join!(
            scene.store().finish_and_claim(&moves, &nothing),
            scene.store().finish_and_claim(&backwards, &nothing)
        );
        let (one, two) = (one.unwrap().0.written, two.unwrap().0.written);
        assert_eq!(one.len() + two.len(), 40);
        leases = scene.claim(40).await;
    }
    let doubled = "SELECT count(*) FROM work_items w WHERE transitions <> 3 OR (SELECT count(*) FROM runs r WHERE r.item_id = w.id) <> 3";
    assert_eq!(table::number(&scene.db, doubled).await, 0);
}

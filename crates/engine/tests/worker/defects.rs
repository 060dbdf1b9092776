//! Handlers that panic or report nonsense, and leases that are lost: the item gets a legal move, the others get theirs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use damascus_core::{
    CommitId, CostEntry, Digest, Failure, LandingProof, MicroUsd, Outcome, Proof, ReviewProof, RunReport, TestCounts,
    TestEvidence, TestReport, Verdict, WorkPhase,
};
use damascus_engine::{Mode, WorkerSettings};
use damascus_store::item::{RunView, Standing};
use damascus_testkit::Scene;
use damascus_testkit::handlers::puppet;
use damascus_testkit::ports::deaf;
use damascus_testkit::scene::{failed, passed, slow_project};
use damascus_testkit::wire::Wire;

use crate::stage::{AtWork, detail, is_whole, next, scripted, settings, until_idle, within, worker, worker_on};

/// A lease that is renewed every 100 ms.
const SHORT: Duration = Duration::from_millis(300);

async fn last_run(scene: &Scene, item: damascus_core::ItemId) -> RunView {
    detail(scene, item).await.runs.remove(0)
}

#[tokio::test]
async fn a_handler_that_panics_is_a_failure_of_the_surroundings() {
    let scene = Scene::with(slow_project("demo")).await;
    let item = scene.item("s").await;
    let other = scene.item("t").await;
    let handler = scripted(move |context| {
        assert_ne!(context.lease.item, item, "a defect");
        passed(context.lease.phase)
    });
    let done = until_idle(worker(&scene, &handler, deaf(), settings(2)).await).await;
    assert_eq!((done.claimed, done.reported), (5, 5));
    let run = last_run(&scene, item).await;
    assert_eq!((run.verdict, run.ended.as_str()), (Some(Verdict::InfraError), "reported"));
    assert_eq!(run.detail.as_deref(), Some("the phase's handler broke off; the log says where"));
    assert!(matches!(scene.standing(item).await, Standing::BackingOff { .. }));
    assert!(matches!(scene.standing(other).await, Standing::Merged { .. }));
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_verdict_without_a_place_in_the_phase_is_the_handlers_defect_and_its_money_is_kept() {
    let scene = Scene::with(slow_project("demo")).await;
    let item = scene.item("s").await;
    let handler = scripted(|_| RunReport { costs: vec![dollar()], ..failed(Failure::HeadMoved) });
    until_idle(worker(&scene, &handler, deaf(), settings(2)).await).await;
    let run = last_run(&scene, item).await;
    assert_eq!(run.verdict, Some(Verdict::InfraError));
    let said = "the phase's handler is defective: head_moved is not possible in phase spec";
    assert_eq!(run.detail.as_deref(), Some(said));
    assert_eq!(detail(&scene, item).await.cost.spent_microusd, MicroUsd(1_000_000));
}

fn dollar() -> CostEntry {
    CostEntry {
        provider: "gateway".to_owned(),
        model: "large".to_owned(),
        tokens_in: 1,
        tokens_out: 1,
        tokens_cached: 0,
        amount: MicroUsd(1_000_000),
        estimated: false,
    }
}

/// A landing whose evidence the database can't store: the branch has a NUL in its name.
fn unstorable() -> RunReport {
    let counts = TestReport::Counted(TestCounts { passed: 1, failed: 0, skipped: 0 });
    let evidence = TestEvidence {
        command: vec!["true".to_owned()],
        exit_code: 0,
        head: CommitId::filled(b'a'),
        base: CommitId::filled(b'b'),
        tree: CommitId::filled(b'c'),
        report: counts,
        log_sha256: Digest::filled(b'd'),
        duration_ms: 1,
    };
    let (head, tree) = (evidence.head.clone(), evidence.tree.clone());
    let proof = LandingProof::new(ReviewProof::new(evidence, counts).unwrap(), "ma\0in".to_owned(), head, &tree);
    RunReport { costs: vec![dollar()], ..RunReport::free(Outcome::Pass(Proof::Merge(proof.unwrap()))) }
}

#[tokio::test]
async fn a_report_that_the_database_refuses_holds_up_no_other() {
    let scene = Scene::with(slow_project("demo")).await;
    let items = scene.items(scene.project, 8).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let bad = [items[2], items[5]];
    let handler = scripted(move |context| {
        let lease = &context.lease;
        if lease.phase == WorkPhase::Merge && bad.contains(&lease.item) { unstorable() } else { passed(lease.phase) }
    });
    let done = until_idle(worker(&scene, &handler, deaf(), settings(8)).await).await;
    assert_eq!((done.claimed, done.reported, done.stale), (32, 32, 0));
    for item in items {
        if bad.contains(&item) {
            let run = last_run(&scene, item).await;
            assert_eq!((run.phase, run.verdict), (WorkPhase::Merge, Some(Verdict::InfraError)));
            assert!(run.detail.unwrap().starts_with("the database refused the run's report"));
            assert_eq!(detail(&scene, item).await.cost.spent_microusd, MicroUsd(1_000_000), "what it cost is kept");
        } else {
            assert!(matches!(scene.standing(item).await, Standing::Merged { .. }));
        }
    }
    is_whole(&scene).await;
}

#[tokio::test]
async fn costs_that_the_database_refuses_do_not_keep_the_item_for_ever() {
    let scene = Scene::with(slow_project("demo")).await;
    let item = scene.item("s").await;
    // More entries than the ledger counts.
    let handler = scripted(|context| RunReport { costs: vec![dollar(); 33_000], ..passed(context.lease.phase) });
    let done = until_idle(worker(&scene, &handler, deaf(), settings(1)).await).await;
    assert_eq!((done.claimed, done.reported), (1, 1));
    assert_eq!(last_run(&scene, item).await.verdict, Some(Verdict::InfraError));
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_run_whose_item_is_given_up_is_told_and_its_report_is_dropped() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let (handler, mut runs) = puppet();
    let short = WorkerSettings { lease: SHORT, ..settings(2) };
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), short).await, Mode::UntilIdle);
    let run = next(&mut runs).await;
    assert!(run.context.guard.holds());
    scene.store().cancel(item, "ada", "").await.unwrap();
    within(run.context.cancelled.cancelled()).await;
    assert!(!run.context.guard.holds());
    run.report.send(passed(WorkPhase::Spec)).unwrap();
    let done = at_work.ended().await;
    assert_eq!((done.claimed, done.reported, done.stale, done.handed_back), (1, 0, 1, 0));
    assert!(matches!(scene.standing(item).await, Standing::Cancelled { .. }));
    assert_eq!(last_run(&scene, item).await.ended, "superseded");
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_long_run_keeps_its_lease_by_the_heartbeat() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let (handler, mut runs) = puppet();
    let short = WorkerSettings { lease: SHORT, ..settings(1) };
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), short).await, Mode::UntilIdle);
    let run = next(&mut runs).await;
    let first = run.context.lease.until;
    within(async {
        loop {
            let Standing::Running { lease_until, .. } = scene.standing(item).await else { panic!("it is under way") };
            if lease_until > first + SHORT * 3 {
                return;
            }
            scene.store().sweep_leases(1.0).await.unwrap();
        }
    })
    .await;
    assert!(run.context.guard.holds() && !run.context.cancelled.is_cancelled());
    run.report.send(failed(Failure::SpecInvalid)).unwrap();
    for _ in 0..2 {
        next(&mut runs).await.report.send(failed(Failure::SpecInvalid)).unwrap();
    }
    assert_eq!(at_work.ended().await.reported, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_that_hangs_stops_the_run_when_its_lease_is_over() {
    let scene = Scene::with(slow_project("demo")).await;
    let item = scene.item("s").await;
    let wire = Wire::to(&scene.db).await;
    let (handler, mut runs) = puppet();
    let short = WorkerSettings { lease: SHORT, ..settings(1) };
    let at_work = AtWork::start(worker_on(wire.store(), &scene, &handler, deaf(), short).await, Mode::UntilIdle);
    let run = next(&mut runs).await;
    wire.hold_up();
    within(run.context.cancelled.cancelled()).await;
    assert!(!run.context.guard.holds());
    within(async { while scene.store().sweep_leases(1.0).await.unwrap().lost == 0 {} }).await;
    run.report.send(passed(WorkPhase::Spec)).unwrap();
    wire.let_go();
    let done = at_work.ended().await;
    assert_eq!((done.reported, done.stale), (0, 1));
    assert_eq!(last_run(&scene, item).await.ended, "lost");
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_panic_is_not_contagious() {
    let scene = Scene::with(slow_project("demo")).await;
    scene.items(scene.project, 6).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    static FIRST: AtomicBool = AtomicBool::new(true);
    let handler = scripted(|context| {
        assert!(!FIRST.swap(false, Ordering::SeqCst), "a defect");
        passed(context.lease.phase)
    });
    let done = until_idle(worker(&scene, &handler, deaf(), settings(6)).await).await;
    assert_eq!((done.claimed, done.reported, done.stale), (21, 21, 0));
    assert_eq!(scene.store().census().await.unwrap().ended, 5);
}

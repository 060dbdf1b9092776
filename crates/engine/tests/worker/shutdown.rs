//! Stopping in order: runs get their grace, the rest is handed back at no cost, nothing stays leased.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use damascus_core::{CostEntry, Failure, MicroUsd, RunReport, WorkPhase};
use damascus_engine::{Mode, PhaseHandler, RunContext, WorkerSettings};
use damascus_store::item::Standing;
use damascus_testkit::Scene;
use damascus_testkit::handlers::puppet;
use damascus_testkit::ports::deaf;
use damascus_testkit::scene::failed;

use crate::stage::{AtWork, detail, is_whole, next, pass, settings, worker};

/// A grace that is over soon.
const SOON: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_run_that_ends_in_its_grace_is_written_and_nothing_new_begins() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings(2)).await, Mode::Forever);
    let (first, second) = (next(&mut runs).await, next(&mut runs).await);
    at_work.tell();
    assert!(!first.context.cancelled.is_cancelled());
    pass(first);
    pass(second);
    let done = at_work.ended().await;
    assert_eq!((done.claimed, done.reported, done.stale, done.handed_back), (2, 2, 0, 0));
    assert!(runs.try_recv().is_err(), "no run began after the signal");
    assert!(matches!(scene.standing(items[0]).await, Standing::Ready { phase: WorkPhase::Build, .. }));
    assert!(matches!(scene.standing(items[2]).await, Standing::Ready { phase: WorkPhase::Spec, .. }));
    let live = scene.store().workers().await.unwrap();
    assert_eq!(live.iter().map(|one| one.id).collect::<Vec<_>>(), [scene.worker], "it said that it stopped");
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_run_that_outlasts_its_grace_is_handed_back() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(
        worker(&scene, &handler, deaf(), WorkerSettings { grace: SOON, ..settings(2) }).await,
        Mode::Forever,
    );
    let (first, deaf_to_all) = (next(&mut runs).await, next(&mut runs).await);
    at_work.tell();
    pass(first);
    let done = at_work.ended().await;
    assert!(deaf_to_all.context.cancelled.is_cancelled(), "it was told before it was broken off");
    assert_eq!((done.reported, done.handed_back), (1, 1));
    let run = detail(&scene, items[1]).await.runs.remove(0);
    assert_eq!((run.ended.as_str(), run.verdict), ("handed_back", None));
    let again = scene.lease(items[1]).await;
    assert_eq!((again.budget.infra_failures, again.budget.attempts_used), (0, 0));
    scene.store().hand_back(scene.worker, &damascus_testkit::scene::names(&[again])).await.unwrap();
    is_whole(&scene).await;
}

/// Ends when it is told to, as a handler should, and says so.
struct Obedient;

#[async_trait]
impl PhaseHandler for Obedient {
    async fn run(&self, context: RunContext) -> RunReport {
        context.cancelled.cancelled().await;
        let cost = CostEntry {
            provider: "gateway".to_owned(),
            model: "large".to_owned(),
            tokens_in: 1,
            tokens_out: 1,
            tokens_cached: 0,
            amount: MicroUsd(7),
            estimated: true,
        };
        RunReport { costs: vec![cost], ..failed(Failure::InfraError) }
    }
}

#[tokio::test]
async fn what_a_run_says_because_it_was_told_to_stop_is_not_held_against_its_item() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    let handler: Arc<dyn PhaseHandler> = Arc::new(Obedient);
    let settings = WorkerSettings { grace: SOON, ..settings(2) };
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings).await, Mode::Forever);
    crate::stage::within(async { while scene.store().census().await.unwrap().leases() < 2 {} }).await;
    let done = at_work.stop().await;
    assert_eq!((done.claimed, done.reported, done.handed_back), (2, 0, 2));
    for &item in &items[..2] {
        let detail = detail(&scene, item).await;
        assert_eq!((detail.runs[0].ended.as_str(), detail.runs[0].verdict), ("handed_back", None));
        assert_eq!(detail.cost.spent_microusd, MicroUsd(7), "but what it cost is");
        assert!(matches!(scene.standing(item).await, Standing::Ready { .. }));
    }
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_worker_that_is_told_before_it_begins_does_nothing() {
    let scene = Scene::new().await;
    scene.item("s").await;
    let (handler, _runs) = puppet();
    let worker = worker(&scene, &handler, deaf(), settings(2)).await;
    let told = tokio_util::sync::CancellationToken::new();
    told.cancel();
    assert_eq!(worker.run(Mode::Forever, told).await.unwrap(), Default::default());
    assert_eq!(scene.store().workers().await.unwrap().len(), 1);
}

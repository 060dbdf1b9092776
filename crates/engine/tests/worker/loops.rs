//! Claim, run, report, and claim again: in each mode, within the room, in few commits, told and untold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use damascus_core::{Failure, RunReport};
use damascus_engine::{Handlers, Mode, PhaseHandler, RunContext, Worker};
use damascus_store::item::Standing;
use damascus_testkit::Scene;
use damascus_testkit::handlers::puppet;
use damascus_testkit::ports::{deaf, listening};
use damascus_testkit::scene::{failed, passed, story};
use tokio::sync::Barrier;

use crate::stage::{AtWork, detail, is_whole, next, pass, passing, scripted, settings, until_idle, within, worker};

#[tokio::test]
async fn until_idle_takes_every_item_to_its_end_in_few_commits() {
    let scene = Scene::new().await;
    scene.items(scene.project, 40).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let done = until_idle(worker(&scene, &passing(), deaf(), settings(8)).await).await;
    assert_eq!((done.claimed, done.reported, done.stale, done.handed_back), (160, 160, 0, 0));
    assert!(done.commits <= 160 / 4, "{} commits for 160 reports", done.commits);
    let census = scene.store().census().await.unwrap();
    assert_eq!((census.ended, census.landings, census.transitions), (40, 40, 160));
    is_whole(&scene).await;
}

#[tokio::test]
async fn once_takes_one_round_and_ends() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 6).await;
    let done = worker(&scene, &passing(), deaf(), settings(4)).await.run(Mode::Once, Default::default()).await.unwrap();
    assert_eq!((done.claimed, done.reported), (4, 4));
    for (n, item) in items.into_iter().enumerate() {
        let Standing::Ready { phase, .. } = scene.standing(item).await else { panic!("{item} is ready") };
        assert_eq!(phase.to_string(), if n < 4 { "build" } else { "spec" });
    }
    is_whole(&scene).await;
}

#[tokio::test]
async fn without_work_or_without_handlers_a_cycle_ends_at_once() {
    let scene = Scene::new().await;
    for mode in [Mode::Once, Mode::UntilIdle] {
        let idle = AtWork::start(worker(&scene, &passing(), deaf(), settings(4)).await, mode).ended().await;
        assert_eq!(idle, Default::default());
    }
    scene.item("s").await;
    let id = scene.worker("worker").await;
    let none = Worker::new(id, scene.store().clone(), Handlers::none(), deaf(), settings(4));
    assert_eq!(until_idle(none).await.claimed, 0);
}

/// Counts how many runs are under way, and lets them go on when as many as there may be have met, or after a while.
struct Meeting {
    together: Option<Barrier>,
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl PhaseHandler for Meeting {
    async fn run(&self, context: RunContext) -> RunReport {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        match &self.together {
            Some(together) => {
                together.wait().await;
            }
            None => tokio::task::yield_now().await,
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        passed(context.lease.phase)
    }
}

fn meeting(together: Option<Barrier>) -> Arc<Meeting> {
    Arc::new(Meeting { together, now: AtomicUsize::new(0), most: AtomicUsize::new(0) })
}

#[tokio::test]
async fn exactly_as_many_runs_as_there_is_room_for_go_on_at_once() {
    let scene = Scene::new().await;
    scene.items(scene.project, 9).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let meeting = meeting(Some(Barrier::new(3)));
    let handler: Arc<dyn PhaseHandler> = Arc::clone(&meeting) as _;
    let done = until_idle(worker(&scene, &handler, deaf(), settings(3)).await).await;
    assert_eq!((done.reported, meeting.most.load(Ordering::SeqCst)), (36, 3));
    is_whole(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_global_lane_holds_over_all_workers() {
    let scene = Scene::new().await;
    scene.items(scene.project, 12).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    scene.store().set_global_concurrency(Some(4)).await.unwrap();
    let meeting = meeting(None);
    let handler: Arc<dyn PhaseHandler> = Arc::clone(&meeting) as _;
    let ports = listening(scene.store());
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(AtWork::start(worker(&scene, &handler, ports.clone(), settings(4)).await, Mode::Forever));
    }
    within(async {
        while scene.store().census().await.unwrap().ended < 12 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut reported = 0;
    for one in workers {
        reported += one.stop().await.reported;
    }
    let most = meeting.most.load(Ordering::SeqCst);
    assert!(reported == 48 && most <= 4, "{reported} reports, {most} at once");
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_new_item_is_taken_up_at_once_when_the_worker_is_told() {
    let scene = Scene::new().await;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, listening(scene.store()), settings(2)).await, Mode::Forever);
    for n in 0..5 {
        let item = scene.item(&format!("s{n}")).await;
        let run = next(&mut runs).await;
        assert_eq!(run.context.lease.item, item);
        run.report.send(damascus_testkit::scene::asked("Which?")).unwrap();
    }
    let done = at_work.stop().await;
    assert_eq!((done.claimed, done.reported, done.handed_back), (5, 5, 0));
    is_whole(&scene).await;
}

#[tokio::test]
async fn what_backs_off_is_taken_up_when_it_is_due_though_nobody_tells() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings(2)).await, Mode::Forever);
    for _ in 0..3 {
        next(&mut runs).await.report.send(failed(Failure::Timeout)).unwrap();
    }
    for _ in 0..4 {
        pass(next(&mut runs).await);
    }
    within(async {
        while !scene.standing(item).await.is_end() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(at_work.stop().await.reported, 7);
    assert_eq!(detail(&scene, item).await.runs.len(), 7);
}

#[tokio::test]
async fn a_lane_that_opens_again_is_entered_though_nobody_tells() {
    let scene = Scene::new().await;
    scene.item("s").await;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings(1)).await, Mode::Forever);
    next(&mut runs).await.report.send(damascus_testkit::scene::rate_limited(Some(300))).unwrap();
    let again = next(&mut runs).await;
    assert_eq!(again.context.lease.budget.infra_failures, 1);
    at_work.tell();
    pass(again);
    assert_eq!(at_work.ended().await.reported, 2);
}

#[tokio::test]
async fn a_lease_that_a_dead_worker_left_is_found_though_nobody_tells() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let dead = scene.worker("dead").await;
    let short = damascus_store::ClaimRequest {
        lease: std::time::Duration::from_millis(200),
        ..damascus_testkit::scene::request(dead, 1)
    };
    assert_eq!(scene.store().claim(&short).await.unwrap().len(), 1);
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings(1)).await, Mode::Forever);
    let run = next(&mut runs).await;
    assert_eq!((run.context.lease.item, run.context.lease.budget.infra_failures), (item, 1));
    at_work.tell();
    pass(run);
    at_work.ended().await;
    is_whole(&scene).await;
}

#[tokio::test]
async fn a_worker_runs_only_the_phases_that_it_has_a_handler_for() {
    let scene = Scene::new().await;
    let item = scene.store().create_item(scene.project, &story("s")).await.unwrap().item;
    let id = scene.worker("worker").await;
    let specs = Handlers::none().with(damascus_core::WorkPhase::Spec, scripted(|context| passed(context.lease.phase)));
    let done = until_idle(Worker::new(id, scene.store().clone(), specs, deaf(), settings(4))).await;
    assert_eq!(done.reported, 1);
    assert!(matches!(scene.standing(item).await, Standing::Ready { phase: damascus_core::WorkPhase::Build, .. }));
}

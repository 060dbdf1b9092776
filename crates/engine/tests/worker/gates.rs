//! Gates and time: what a merge lets through goes on at once, what was missed is found, timers come due.

use damascus_core::{GateCondition, ItemId, WorkPhase};
use damascus_engine::{Mode, Scheduler};
use damascus_store::Channel;
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::{NewItem, Standing};
use damascus_testkit::Scene;
use damascus_testkit::handlers::puppet;
use damascus_testkit::ports::{deaf, listening};
use damascus_testkit::scene::{passes, story};
use tokio_util::sync::CancellationToken;

use crate::stage::{AtWork, is_whole, next, pass, passing, settings, until_idle, within, worker};

fn after(key: &str) -> NewGate {
    gate(GateTarget::ItemKey(key.to_owned()))
}

fn gate(waits_for: GateTarget) -> NewGate {
    NewGate { phase: WorkPhase::Spec, waits_for, deadline: None, origin: "a test".to_owned() }
}

/// Items that each wait for the one before.
async fn chain(scene: &Scene, count: usize) -> Vec<ItemId> {
    let key = |n: usize| format!("s{n}");
    let new: Vec<NewItem> = (0..count)
        .map(|n| NewItem { gates: n.checked_sub(1).map(|up| after(&key(up))).into_iter().collect(), ..story(&key(n)) })
        .collect();
    scene.store().create_items(scene.project, &new).await.unwrap().iter().map(|made| made.item).collect()
}

/// Merges the only item that can be claimed, without looking at what waits for it: as a worker that dies right after its commit.
async fn merge_and_die(scene: &Scene) {
    for _ in 0..4 {
        let lease = scene.claim(1).await;
        assert_eq!(scene.write(&passes(&lease)).await.written.len(), 1);
    }
}

#[tokio::test]
async fn a_merge_lets_the_next_item_run_in_the_same_cycle() {
    let scene = Scene::new().await;
    let items = chain(&scene, 5).await;
    let done = until_idle(worker(&scene, &passing(), deaf(), settings(4)).await).await;
    assert_eq!((done.reported, done.stale), (20, 0));
    for item in items {
        assert!(matches!(scene.standing(item).await, Standing::Merged { .. }));
    }
    is_whole(&scene).await;
}

#[tokio::test]
async fn what_a_dead_worker_did_not_look_at_is_found_by_any_other() {
    let scene = Scene::new().await;
    let items = chain(&scene, 2).await;
    merge_and_die(&scene).await;
    assert!(matches!(scene.standing(items[1]).await, Standing::WaitingForGates { .. }));
    let done = until_idle(worker(&scene, &passing(), deaf(), settings(4)).await).await;
    assert_eq!(done.reported, 4, "there is no scheduler");
    assert!(matches!(scene.standing(items[1]).await, Standing::Merged { .. }));
}

#[tokio::test]
async fn a_worker_waits_for_a_timer_that_it_was_never_told_of() {
    let scene = Scene::new().await;
    let now = scene.store().status(None).await.unwrap().at;
    let until = now + std::time::Duration::from_millis(400);
    let new = NewItem { gates: vec![gate(GateTarget::Condition(GateCondition::Timer { until }))], ..story("s") };
    let item = scene.store().create_item(scene.project, &new).await.unwrap().item;
    let (handler, mut runs) = puppet();
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), settings(1)).await, Mode::Forever);
    let run = next(&mut runs).await;
    assert_eq!(run.context.lease.item, item);
    assert!(scene.store().status(None).await.unwrap().at >= until);
    at_work.tell();
    pass(run);
    at_work.ended().await;
}

#[tokio::test]
async fn a_scheduler_settles_timers_finds_what_was_missed_and_tells_the_workers() {
    let scene = Scene::new().await;
    let items = chain(&scene, 2).await;
    let until = scene.store().status(None).await.unwrap().at + std::time::Duration::from_millis(300);
    let timed = NewItem { gates: vec![gate(GateTarget::Condition(GateCondition::Timer { until }))], ..story("timed") };
    let timed = scene.store().create_item(scene.project, &timed).await.unwrap().item;
    merge_and_die(&scene).await;
    let mut told = scene.store().listen(&[Channel::Work]).await.unwrap();
    let (stop, id) = (CancellationToken::new(), scene.worker("scheduler").await);
    let scheduler = Scheduler::new(id, scene.store().clone(), deaf(), 30);
    let running = tokio::spawn(scheduler.run(stop.clone()));
    for item in [items[1], timed] {
        within(async {
            while !matches!(scene.standing(item).await, Standing::Ready { .. }) {
                told.wait().await.unwrap();
            }
        })
        .await;
    }
    stop.cancel();
    within(running).await.unwrap().unwrap();
    assert!(scene.store().workers().await.unwrap().iter().all(|one| one.id != id), "it said that it stopped");
    assert!(scene.store().schedules().await.unwrap().iter().all(|one| one.due_at.is_some()), "its jobs are planned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_and_a_scheduler_in_one_process_take_a_net_of_items_to_its_end() {
    let scene = Scene::new().await;
    chain(&scene, 6).await;
    let ports = listening(scene.store());
    let (stop, id) = (CancellationToken::new(), scene.worker("scheduler").await);
    let scheduler = tokio::spawn(Scheduler::new(id, scene.store().clone(), ports.clone(), 30).run(stop.clone()));
    let at_work = AtWork::start(worker(&scene, &passing(), ports, settings(4)).await, Mode::Forever);
    within(async {
        while scene.store().census().await.unwrap().ended < 6 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop.cancel();
    within(scheduler).await.unwrap().unwrap();
    assert_eq!(at_work.stop().await.reported, 24);
    is_whole(&scene).await;
}

//! The database goes away in the middle of the work and comes back: the same end, nothing lost, nothing doubled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use damascus_engine::{Mode, WorkerSettings};
use damascus_testkit::handlers::puppet;
use damascus_testkit::ports::{deaf, listening};
use damascus_testkit::scene::{passed, project};
use damascus_testkit::{Scene, TestDb};
use tokio::sync::mpsc;

use crate::stage::{AtWork, is_whole, next, pass, scripted, settings, worker};

/// How long the whole may take, restarts of the server included.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_in_the_middle_changes_nothing_about_the_end() {
    const ITEMS: usize = 40;
    let (db, server) = TestDb::private().await;
    let scene = Scene::on(db, project("demo")).await;
    scene.items(scene.project, ITEMS).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let (crash, mut crashes) = mpsc::unbounded_channel();
    let ran = AtomicUsize::new(0);
    let handler = scripted(move |context| {
        if matches!(ran.fetch_add(1, Ordering::SeqCst), 30 | 90) {
            crash.send(()).unwrap();
        }
        passed(context.lease.phase)
    });
    let ports = listening(scene.store());
    let at_work = AtWork::start(worker(&scene, &handler, ports, settings(4)).await, Mode::Forever);
    let crashing = async {
        for _ in 0..2 {
            crashes.recv().await.unwrap();
            server.crash_and_restart().await;
        }
        loop {
            match scene.store().census().await {
                Ok(census) if census.ended == i64::try_from(ITEMS).unwrap() => return,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, crashing).await.expect("the work goes on");
    at_work.stop().await;
    let census = scene.store().census().await.unwrap();
    assert_eq!((census.landings, census.transitions), (40, 160));
    is_whole(&scene).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_ready_while_the_server_is_gone_is_written_when_it_is_back() {
    let (db, server) = TestDb::private().await;
    let scene = Scene::on(db, project("demo")).await;
    let item = scene.item("s").await;
    let (handler, mut runs) = puppet();
    let long = WorkerSettings { lease: PATIENCE, ..settings(1) };
    let at_work = AtWork::start(worker(&scene, &handler, deaf(), long).await, Mode::Forever);
    let run = next(&mut runs).await;
    let lease = run.context.lease.clone();
    let restarting = server.crash_and_restart();
    pass(run);
    restarting.await;
    // The server had lost the claim with its last commits, or it had not: the item is run on either way, and once.
    let second = tokio::time::timeout(PATIENCE, runs.recv()).await.expect("the work goes on").unwrap();
    assert_eq!(second.context.lease.item, item);
    assert!(second.context.lease.epoch >= lease.epoch);
    at_work.tell();
    pass(second);
    tokio::time::timeout(PATIENCE, at_work.ended()).await.unwrap();
    is_whole(&scene).await;
}

#[tokio::test]
async fn failures_of_the_database_are_borne_and_others_end_the_worker() {
    let scene = Scene::new().await;
    scene.item("s").await;
    let (handler, _runs) = puppet();
    let worker = worker(&scene, &handler, deaf(), settings(1)).await;
    scene.store().close().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let at_work = tokio::spawn(worker.run(Mode::Forever, stop.clone()));
    // A closed pool counts as a broken connection: it waits, until it is told to stop; what it could not say is then its answer.
    stop.cancel();
    let ended = crate::stage::within(at_work).await.unwrap();
    assert!(ended.unwrap_err().retryable());
}

//! The database is gone for a while in the middle of a build.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use damascus_core::MicroUsd;
use damascus_engine::{Mode, Recovery, Worker, WorkerSettings, phases};
use damascus_testkit::database::PrivateServer;
use damascus_testkit::loop_scene::{Beginning, open_folder};
use damascus_testkit::{LoopScene, TestDb, ports, scene as made};
use tokio_util::sync::CancellationToken;

use crate::stage::{DOES_IT, Hooks, commits_on_main, script, seen, story};

/// How long the whole may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Brings the server back when it is missed, and not before: a call to the store has then failed.
struct Late {
    server: PrivateServer,
    missed: AtomicUsize,
}

#[async_trait]
impl Recovery for Late {
    async fn database_lost(&self) {
        if self.missed.fetch_add(1, Ordering::SeqCst) == 0 {
            self.server.start_again().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_in_the_middle_costs_no_attempt_and_no_second_landing() {
    // Beside each other: what takes long here is waiting.
    tokio::join!(outlasts("after agent"), outlasts("before land"), outlasts("after land"));
}

/// The database goes at an effect, and comes back when it was missed.
async fn outlasts(at: &str) {
    let hooks = Arc::new(Hooks::default());
    let (db, server) = TestDb::private().await;
    let server = Arc::new(Late { server, missed: AtomicUsize::new(0) });
    let beginning = Beginning { effects: Arc::clone(&hooks) as _, ..Beginning::default() };
    let scene = LoopScene::begin_on(db, open_folder(), beginning, script(DOES_IT)).await;
    let item = story(&scene, "outlasts").await;
    let killed = Arc::clone(&server);
    hooks.on(at, move || killed.server.crash());

    let id = scene.store().register_worker(&made::registration("worker")).await.expect("a worker registers");
    let ports = damascus_engine::Ports { recovery: Arc::clone(&server) as _, ..ports::listening(scene.store()) };
    let settings = WorkerSettings { concurrency: 1, ..WorkerSettings::default() };
    let worker = Worker::new(id, scene.store().clone(), phases::handlers(&scene.workshop), ports, settings);
    let stop = CancellationToken::new();
    let at_work = tokio::spawn(worker.run(Mode::Forever, stop.clone()));
    let ended = async {
        // The store fails while the server is gone.
        while !scene.store().standing(item).await.is_ok_and(|one| one.is_end() || one.needs_a_person()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{at}: it does not go on"));
    stop.cancel();
    at_work.await.expect("no panic").expect("the worker ends in order");

    assert!(server.missed.load(Ordering::SeqCst) > 0, "{at}: the database was gone");
    let merged = seen(&scene, item).await;
    merged.stands("merged", 0);
    assert_eq!(merged.spent, MicroUsd(1_000), "{at}: {merged:#?}");
    assert_eq!(hooks.count("after agent"), 1, "{at}: what the agent made was kept");
    assert_eq!(commits_on_main(&scene).await, 2, "{at}");
    assert_eq!(scene.store().landings(scene.project, None, 10).await.expect("landings").len(), 1, "{at}");
    assert!(scene.store().audit().await.expect("an audit").is_empty(), "{at}");
}

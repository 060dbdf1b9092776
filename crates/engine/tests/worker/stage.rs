//! Workers on a scene, and ways to wait for what they do.

use std::sync::Arc;
use std::time::Duration;

use damascus_core::{ItemId, RunReport};
use damascus_engine::{Handlers, Mode, PhaseHandler, Ports, RunContext, Worker, WorkerSettings, WorkerSummary};
use damascus_store::item::ItemDetail;
use damascus_store::{Store, StoreError};
use damascus_testkit::Scene;
use damascus_testkit::handlers::{Puppeted, Scripted};
use damascus_testkit::scene::{LONG, passed};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come: less than the interval at which workers look without a cause.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// So many runs at once, under leases that do not run out.
pub(crate) fn settings(concurrency: usize) -> WorkerSettings {
    WorkerSettings { concurrency, lease: LONG, grace: PATIENCE }
}

/// A handler for every phase that reports what a function says.
pub(crate) fn scripted(script: impl Fn(&RunContext) -> RunReport + Send + Sync + 'static) -> Arc<dyn PhaseHandler> {
    Arc::new(Scripted(script))
}

/// A handler that passes everything.
pub(crate) fn passing() -> Arc<dyn PhaseHandler> {
    scripted(|context| passed(context.lease.phase))
}

/// A worker that is registered and has not begun.
pub(crate) async fn worker(
    scene: &Scene,
    handler: &Arc<dyn PhaseHandler>,
    ports: Ports,
    settings: WorkerSettings,
) -> Worker {
    worker_on(scene.store(), scene, handler, ports, settings).await
}

/// The same with a store of its own.
pub(crate) async fn worker_on(
    store: &Store,
    scene: &Scene,
    handler: &Arc<dyn PhaseHandler>,
    ports: Ports,
    settings: WorkerSettings,
) -> Worker {
    let id = scene.worker("worker").await;
    Worker::new(id, store.clone(), Handlers::for_all(handler), ports, settings)
}

/// A worker at work.
pub(crate) struct AtWork {
    shutdown: CancellationToken,
    running: JoinHandle<Result<WorkerSummary, StoreError>>,
}

impl AtWork {
    pub(crate) fn start(worker: Worker, mode: Mode) -> Self {
        let shutdown = CancellationToken::new();
        Self { running: tokio::spawn(worker.run(mode, shutdown.clone())), shutdown }
    }

    /// Tells it to stop.
    pub(crate) fn tell(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has ended by itself or after it was told to.
    pub(crate) async fn ended(self) -> WorkerSummary {
        within(self.running).await.unwrap().unwrap()
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> WorkerSummary {
        self.tell();
        self.ended().await
    }
}

/// Works until there is nothing left to do.
pub(crate) async fn until_idle(worker: Worker) -> WorkerSummary {
    AtWork::start(worker, Mode::UntilIdle).ended().await
}

/// What comes within the test's patience.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// The next run that a puppet is given.
pub(crate) async fn next(runs: &mut UnboundedReceiver<Puppeted>) -> Puppeted {
    within(runs.recv()).await.expect("the handler is there")
}

/// Lets a run report a pass.
pub(crate) fn pass(run: Puppeted) -> RunContext {
    run.report.send(passed(run.context.lease.phase)).unwrap();
    run.context
}

pub(crate) async fn detail(scene: &Scene, item: ItemId) -> ItemDetail {
    scene.store().item(item).await.unwrap()
}

/// Every item's history adds up, and nothing is left in a lease.
pub(crate) async fn is_whole(scene: &Scene) {
    assert_eq!(scene.store().audit().await.unwrap(), []);
    assert_eq!(scene.store().census().await.unwrap().leases(), 0);
}

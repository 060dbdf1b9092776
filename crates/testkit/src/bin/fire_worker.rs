//! A real worker and scheduler process with random verdicts, for the test under fire: it is killed, stopped and starved by the test.
//!
//! Usage: `fire_worker DATABASE_URL SEED PASS_PERCENT CONCURRENCY LEASE_MS`. It ends when its standard input closes.
#![expect(clippy::expect_used, clippy::panic, reason = "a test's program fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use damascus_adapters::broker::postgres::PostgresBroker;
use damascus_adapters::randomness::SystemRandomness;
use damascus_engine::{Handlers, Mode, PhaseHandler, Ports, Recovery, Scheduler, Worker, WorkerSettings};
use damascus_store::{ConnectOptions, Registration, Store, StoreError};
use damascus_testkit::handlers::Random;
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

/// The database is the test's to bring back.
struct Patience;

#[async_trait::async_trait]
impl Recovery for Patience {
    async fn database_lost(&self) {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seed, pass_percent, concurrency, lease_ms] = arguments.as_slice() else {
        panic!("usage: fire_worker DATABASE_URL SEED PASS_PERCENT CONCURRENCY LEASE_MS");
    };
    let settings = WorkerSettings {
        concurrency: concurrency.parse().expect("a number of runs"),
        lease: Duration::from_millis(lease_ms.parse().expect("milliseconds")),
        grace: Duration::from_millis(200),
    };
    let handler: Arc<dyn PhaseHandler> = Arc::new(Random {
        seed: seed.parse().expect("a seed"),
        pass_percent: pass_percent.parse().expect("a percentage"),
    });
    let mut options = ConnectOptions::parse(url).expect("an address");
    options.max_connections = 4;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        // The test holds the other end; it closes when the test ends, however it ends.
        let _ = tokio::io::stdin().read(&mut [0]).await;
        told.cancel();
    });
    while !stop.is_cancelled() {
        match serve(&options, &handler, settings, &stop).await {
            Ok(()) => return,
            // The test restarts the server under everybody.
            Err(error) if error.retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("a failure that no retry mends: {error:?}"),
        }
    }
}

async fn serve(
    options: &ConnectOptions,
    handler: &Arc<dyn PhaseHandler>,
    settings: WorkerSettings,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let store = Store::open(options.clone()).await?;
    let registration = |name: &str| Registration {
        name: name.to_owned(),
        host: "fire".to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        concurrency: 1,
    };
    let ports = Ports {
        wakeups: Arc::new(PostgresBroker::start(store.clone())),
        randomness: Arc::new(SystemRandomness),
        recovery: Arc::new(Patience),
    };
    let worker = store.register_worker(&registration("worker")).await?;
    let scheduler = store.register_worker(&registration("scheduler")).await?;
    let scheduler = Scheduler::new(scheduler, store.clone(), ports.clone(), 30).run(stop.clone());
    let worker =
        Worker::new(worker, store, Handlers::for_all(handler), ports, settings).run(Mode::Forever, stop.clone());
    tokio::try_join!(worker, scheduler).map(|_| ())
}

//! A real worker process of the loop: real sandbox, git and forge; recorded answers instead of a model and an agent, or a script as the agent.
//! It counts its effects on the outside, and can kill or stop itself at one of them.
//!
//! Usage: `loop_worker DATABASE_URL FOLDER LOG CONCURRENCY LEASE_MS ORDER FAULT AT`. `FOLDER` is a scene's: `recorded` holds the recordings,
//! and `agent.sh`, where it is there, is the agent. `LOG` gets a line for each effect, before and after it. `ORDER` is `depth`, or `breadth`:
//! nothing is merged until nothing else is left to do. `FAULT` is `none`, `kill` or `stop`, at the line of the log that `AT` numbers. It
//! ends when its standard input closes.
//!
//! Invariant: a line is in the log before the fault that is due there happens.
#![expect(clippy::expect_used, clippy::panic, reason = "a test's program fails by panicking")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use damascus_adapters::agent::{CommandAgent, Recordings, ReplayAgent, ReplayModel};
use damascus_core::WorkPhase;
use damascus_engine::phases::{self, Build, Review, SpecPhase, Workshop};
use damascus_engine::ports::Effects;
use damascus_engine::ports::agent::Agent;
use damascus_engine::{Handlers, Mode, Worker, WorkerSettings};
use damascus_store::{ConnectOptions, Registration, Store};
use damascus_testkit::{loop_scene, ports};
use rustix::process::{Signal, getpid, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

/// Connections that a process takes.
const CONNECTIONS: u32 = 6;

/// Counts effects, and does to this process what is due.
struct Fault {
    log: File,
    count: AtomicU64,
    signal: Option<Signal>,
    at: u64,
}

impl Fault {
    fn reach(&self, when: &str, name: &str) {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        (&self.log).write_all(format!("{number} {when} {name}\n").as_bytes()).expect("the log can be written");
        if let Some(signal) = self.signal.filter(|_| number == self.at) {
            kill_process(getpid(), signal).expect("a process may end itself");
        }
    }
}

impl Effects for Fault {
    fn before(&self, name: &'static str) {
        self.reach("before", name);
    }

    fn after(&self, name: &'static str) {
        self.reach("after", name);
    }
}

/// What the process was told.
struct Told {
    url: String,
    folder: PathBuf,
    settings: WorkerSettings,
    breadth: bool,
    fault: Fault,
}

impl Told {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [url, folder, log, concurrency, lease_ms, order, fault, at] = arguments.as_slice() else {
            panic!("usage: loop_worker DATABASE_URL FOLDER LOG CONCURRENCY LEASE_MS ORDER FAULT AT");
        };
        let signal = match fault.as_str() {
            "none" => None,
            "kill" => Some(Signal::KILL),
            "stop" => Some(Signal::STOP),
            other => panic!("{other} is no fault"),
        };
        let log = File::options().create(true).append(true).open(log).expect("the log can be opened");
        Self {
            url: url.clone(),
            folder: PathBuf::from(folder),
            settings: WorkerSettings {
                concurrency: concurrency.parse().expect("a number of runs"),
                lease: Duration::from_millis(lease_ms.parse().expect("milliseconds")),
                grace: Duration::from_secs(5),
            },
            breadth: order == "breadth",
            fault: Fault { log, count: AtomicU64::new(0), signal, at: at.parse().expect("a number") },
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let told = Told::read();
    let stop = CancellationToken::new();
    let closed = stop.clone();
    tokio::spawn(async move {
        // The test holds the other end; it closes when the test ends, however it ends.
        let _ = tokio::io::stdin().read(&mut [0]).await;
        closed.cancel();
    });
    let mut options = ConnectOptions::parse(&told.url).expect("an address");
    options.max_connections = CONNECTIONS;
    let store = Store::open(options).await.expect("the database answers");
    let (breadth, settings) = (told.breadth, told.settings);
    let workshop = workshop(&store, told).await;
    let all = phases::handlers(&workshop);
    if breadth {
        work(&store, without_merge(&workshop), settings, Mode::UntilIdle, &stop).await;
    }
    work(&store, all, settings, Mode::Forever, &stop).await;
}

async fn workshop(store: &Store, told: Told) -> Arc<Workshop> {
    let folder: &Path = &told.folder;
    let recordings = Arc::new(Recordings::from_folder(&folder.join("recorded")).expect("the recordings can be read"));
    let sandbox = loop_scene::sandbox(folder).await;
    let agent: Arc<dyn Agent> = match std::fs::read_to_string(folder.join("agent.sh")) {
        Ok(script) => Arc::new(CommandAgent::new(sandbox.clone(), vec!["sh".to_owned(), "-c".to_owned(), script])),
        Err(_) => Arc::new(ReplayAgent::new(Arc::clone(&recordings))),
    };
    let model = Arc::new(ReplayModel::new(recordings));
    loop_scene::workshop(store, folder, &sandbox, agent, model, Arc::new(told.fault)).await
}

fn without_merge(workshop: &Arc<Workshop>) -> Handlers {
    Handlers::none()
        .with(WorkPhase::Spec, Arc::new(SpecPhase::new(Arc::clone(workshop))))
        .with(WorkPhase::Build, Arc::new(Build::new(Arc::clone(workshop))))
        .with(WorkPhase::Review, Arc::new(Review::new(Arc::clone(workshop))))
}

async fn work(store: &Store, handlers: Handlers, settings: WorkerSettings, mode: Mode, stop: &CancellationToken) {
    let registration = Registration {
        name: "loop".to_owned(),
        host: "loop".to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        concurrency: u32::try_from(settings.concurrency).expect("a small number"),
    };
    let id = store.register_worker(&registration).await.expect("a worker registers");
    let worker = Worker::new(id, store.clone(), handlers, ports::listening(store), settings);
    worker.run(mode, stop.clone()).await.expect("the worker ends in order");
}

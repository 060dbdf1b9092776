//! The fire: which process is hit when follows from the seed and from the progress of the work, never from a pause.

use std::process::Stdio;
use std::time::Duration;

use damascus_store::audit::Census;
use damascus_store::{Channel, Listener, StoreError};
use damascus_testkit::TestDb;
use damascus_testkit::database::PrivateServer;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{GLOBAL_PLACES, PROJECT_PLACES, person};

/// How long the workers' leases hold: short, so that a stopped worker loses them soon.
const LEASE: Duration = Duration::from_millis(400);
/// Runs that each worker takes at once.
const CONCURRENCY: u32 = 16;
/// Of a hundred runs, so many pass.
const PASS_PERCENT: u32 = 75;
/// Hits for each item: one in so many transitions, on average.
const HITS_PER_ITEM: f64 = 0.04;
/// What a round of hits is made of, before it is shuffled.
const HITS: [Hit; 8] = [Hit::Kill, Hit::Kill, Hit::Kill, Hit::Kill, Hit::Stop, Hit::Stop, Hit::Stop, Hit::CrashServer];
/// How long to wait for a notification before looking without one.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy)]
enum Hit {
    Kill,
    Stop,
    CrashServer,
}

/// How much fire there was.
#[derive(Debug, Default)]
pub(crate) struct Felt {
    pub(crate) killed: u32,
    pub(crate) stopped: u32,
    pub(crate) server_crashes: u32,
    pub(crate) decisions: u32,
    pub(crate) most_at_once: i64,
    pub(crate) most_in_narrow: i64,
}

/// The worker processes.
pub(crate) struct Workers {
    children: Vec<Child>,
    url: String,
    seed: u64,
}

impl Workers {
    pub(crate) fn start(db: &TestDb, seed: u64, count: u64) -> Self {
        let mut fleet = Self { children: Vec::new(), url: db.url().to_owned(), seed };
        for _ in 0..count {
            let child = fleet.spawn();
            fleet.children.push(child);
        }
        fleet
    }

    fn spawn(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_fire_worker"))
            .arg(&self.url)
            .args([
                self.seed.to_string(),
                PASS_PERCENT.to_string(),
                CONCURRENCY.to_string(),
                LEASE.as_millis().to_string(),
            ])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker starts")
    }

    /// Hits until every item has ended: the next hit comes when so many more transitions have been made.
    pub(crate) async fn fire(&mut self, db: &TestDb, server: &PrivateServer, seed: u64, items: u64) -> Felt {
        let began = tokio::time::Instant::now();
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut felt = Felt::default();
        let mut listener: Option<Listener> = None;
        // An item makes four transitions at least.
        let calm = 4.0 / HITS_PER_ITEM;
        let (mut bag, mut next_hit) = (Vec::new(), calm.min(items as f64));
        loop {
            let Ok(seen) = look(db, &mut felt).await else { continue };
            if seen.open == 0 {
                return felt;
            }
            if (seen.transitions as f64) < next_hit {
                if seen.open_issues > 0 {
                    felt.decisions += person::decide(db.store(), &mut rng).await;
                }
                listen(db, &mut listener).await;
                continue;
            }
            next_hit = seen.transitions as f64 + rng.random_range(0.5..1.5) * calm;
            if bag.is_empty() {
                bag = HITS.to_vec();
            }
            let hit = bag.swap_remove(rng.random_range(0..bag.len()));
            println!("{:>6.1} s, {} transitions: {hit:?}", began.elapsed().as_secs_f64(), seen.transitions);
            match hit {
                Hit::Kill => self.kill(&mut rng, &mut felt).await,
                Hit::Stop => self.stop_past_its_lease(db, &mut rng, &mut felt).await,
                Hit::CrashServer => {
                    server.crash_and_restart().await;
                    felt.server_crashes += 1;
                }
            }
        }
    }

    async fn kill(&mut self, rng: &mut SmallRng, felt: &mut Felt) {
        let at = rng.random_range(0..self.children.len());
        self.children[at].kill().await.expect("the worker is ours to kill");
        self.children[at] = self.spawn();
        felt.killed += 1;
    }

    /// Stops a worker until the database says that none of its leases is left, then lets it go on, unaware.
    async fn stop_past_its_lease(&mut self, db: &TestDb, rng: &mut SmallRng, felt: &mut Felt) {
        let child = &self.children[rng.random_range(0..self.children.len())];
        let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return };
        kill_process(pid, Signal::STOP).expect("the worker is ours to stop");
        let mut listener = None;
        while holds_leases(db, pid).await.unwrap_or(true) {
            listen(db, &mut listener).await;
        }
        kill_process(pid, Signal::CONT).expect("the worker is ours to continue");
        felt.stopped += 1;
    }

    /// Ends the workers in order: their standard input closes.
    pub(crate) async fn stop(mut self) {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        for child in &mut self.children {
            let status = child.wait().await.expect("the worker can be waited for");
            assert!(status.success(), "a worker ended with {status}");
        }
    }
}

/// Waits until something happened; looks without a cause when nothing does for a while.
async fn listen(db: &TestDb, listener: &mut Option<Listener>) {
    if listener.is_none() {
        *listener = db.store().listen(&[Channel::Events]).await.ok();
    }
    if let Some(open) = listener
        && let Ok(Err(_)) = tokio::time::timeout(LOOK, open.wait()).await
    {
        *listener = None;
    }
}

/// Looks how far things are; also checks that no lane holds more than it may.
async fn look(db: &TestDb, felt: &mut Felt) -> Result<Census, StoreError> {
    let census = db.store().census().await?;
    let (leased, narrow) = (census.leases(), census.leases_by_project.get("narrow").copied().unwrap_or(0));
    assert!(leased <= i64::from(GLOBAL_PLACES), "{leased} runs at once, {GLOBAL_PLACES} allowed");
    assert!(narrow <= i64::from(PROJECT_PLACES), "{narrow} runs of one project at once, {PROJECT_PLACES} allowed");
    felt.most_at_once = felt.most_at_once.max(leased);
    felt.most_in_narrow = felt.most_in_narrow.max(narrow);
    Ok(census)
}

async fn holds_leases(db: &TestDb, pid: Pid) -> Result<bool, StoreError> {
    Ok(db.store().census().await?.leases_by_pid.contains_key(&pid.as_raw_nonzero().get()))
}

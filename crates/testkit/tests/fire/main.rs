//! Claims and transitions under fire: real worker processes with random verdicts are killed, stopped past their leases and robbed of their
//! server, while a person answers, retries and cancels. Afterwards the history of every item is replayed.
//!
//! `DAMASCUS_FIRE_SEED`, `DAMASCUS_FIRE_ITEMS` and `DAMASCUS_FIRE_WORKERS` make it another or a longer one; the seed is printed.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints its seed"
)]

mod chaos;
mod person;

use std::time::Duration;

use damascus_core::{Backoff, Digest, ProjectId};
use damascus_store::Store;
use damascus_store::item::{NewItem, StorySource};
use damascus_store::project::{ForgeKind, NewProject};
use damascus_testkit::TestDb;

use chaos::Workers;

/// Places in the global lane and in the lane of the first project: fewer than the workers have, so that the caps are felt.
const GLOBAL_PLACES: u32 = 40;
const PROJECT_PLACES: u32 = 12;
/// How long the whole may take before it counts as stuck; a long run raises it with its items.
const PATIENCE: Duration = Duration::from_secs(240);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Two projects, one with a cap of its own; failures of the surroundings back off for milliseconds instead of minutes.
async fn projects(store: &Store) -> [ProjectId; 2] {
    let mut made = [ProjectId(0); 2];
    for (at, name) in ["narrow", "wide"].into_iter().enumerate() {
        let mut project = NewProject::new(name, ForgeKind::Local, &format!("/nonexistent/{name}"));
        project.backoff = Backoff { base_ms: 20, cap_ms: 200 };
        project.max_infra_failures = 50;
        project.max_moves = 20;
        project.max_attempts = 4;
        project.concurrency = (name == "narrow").then_some(PROJECT_PLACES);
        made[at] = store.add_project(&project).await.expect("the project is new");
    }
    store.set_lane_concurrency("landing:wide", None).await.expect("the lane is there");
    store.set_global_concurrency(Some(GLOBAL_PLACES)).await.expect("the lane is there");
    made
}

fn items(count: u64) -> Vec<NewItem> {
    (0..count)
        .map(|n| NewItem {
            key: format!("item-{n}"),
            title: format!("Item {n}"),
            body: String::new(),
            acceptance: Vec::new(),
            source: StorySource::Manual,
            source_path: None,
            content_sha256: Digest::filled(b'0'),
            priority: None,
            rank: 0,
            max_attempts: None,
            gates: Vec::new(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_left_behind() {
    let seed = setting("DAMASCUS_FIRE_SEED", 0xDA3A);
    let count = setting("DAMASCUS_FIRE_ITEMS", 800);
    let workers = setting("DAMASCUS_FIRE_WORKERS", 8);
    println!("DAMASCUS_FIRE_SEED={seed} DAMASCUS_FIRE_ITEMS={count} DAMASCUS_FIRE_WORKERS={workers}");

    let (db, server) = TestDb::private().await;
    let [narrow, wide] = projects(db.store()).await;
    let (few, many) = (count / 5, count - count / 5);
    for (project, share) in [(narrow, few), (wide, many)] {
        for chunk in items(share).chunks(5_000) {
            db.store().create_items(project, chunk).await.expect("the items are new");
        }
    }

    let mut fleet = Workers::start(&db, seed, workers);
    let patience = PATIENCE.max(Duration::from_millis(count * 60));
    let felt = tokio::time::timeout(patience, fleet.fire(&db, &server, seed, count)).await;
    let felt = felt.unwrap_or_else(|_| panic!("not at an end after {patience:?}; seed {seed}"));
    fleet.stop().await;
    println!("{felt:?}");
    assert!(
        felt.killed > 0 && felt.stopped > 0 && felt.server_crashes > 0,
        "too little fire to prove anything: {felt:?}"
    );
    let census = db.store().census().await.expect("everything can be counted");
    println!("{} of {count} merged", census.landings);
    assert_eq!(
        (u64::try_from(census.ended), census.open),
        (Ok(count), 0),
        "every item ended, and there are as many as were made"
    );
    assert!(census.landings > 0, "some were merged");
    assert_eq!(
        (census.leases(), census.asleep, census.open_issues),
        (0, 0, 0),
        "nothing is left in a lease, asleep or asked"
    );
    let offences = db.store().audit().await.expect("the history can be read");
    assert!(offences.is_empty(), "the history does not add up: {offences:#?}");
}

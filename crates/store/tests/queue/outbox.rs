//! The outbox under concurrent transactions: a follower misses nothing, and hears of each item in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use damascus_core::{ItemId, WorkPhase};
use damascus_store::event::{Cursor, EventFilter, EventRow};
use damascus_store::{Store, apply};
use damascus_testkit::Scene;
use damascus_testkit::scene::{names, passed, passes, report_move, request};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Connection as _;

use crate::table;

/// What can be read behind a cursor now, in pages of a few.
async fn read(store: &Store, cursor: &mut Cursor, page: u32) -> Vec<EventRow> {
    let mut events = Vec::new();
    loop {
        let next = store.events_after(*cursor, EventFilter::default(), page).await.unwrap();
        *cursor = next.next;
        if next.events.is_empty() {
            return events;
        }
        events.extend(next.events);
    }
}

/// The next so many events. Other databases of the server may hold back what is committed for a moment.
async fn follow(store: &Store, cursor: &mut Cursor, page: u32, count: usize) -> Vec<EventRow> {
    let mut events = Vec::new();
    let following = async {
        while events.len() < count {
            events.extend(read(store, cursor, page).await);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(table::PATIENCE, following).await.expect("what is committed can be read");
    assert_eq!(events.len(), count);
    events
}

/// All events there are.
async fn follow_all(scene: &Scene, page: u32) -> Vec<EventRow> {
    let count = table::number(&scene.db, "SELECT count(*) FROM events_outbox").await;
    follow(scene.store(), &mut Cursor::START.clone(), page, usize::try_from(count).unwrap()).await
}

fn kinds(events: &[EventRow]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Each item's events come in the order of their numbers, from the first on.
fn are_in_order(events: &[EventRow]) {
    let mut last: BTreeMap<ItemId, i32> = BTreeMap::new();
    for event in events {
        let (Some(item), Some(seq)) = (event.item, event.seq) else { continue };
        let before = last.insert(item, seq).unwrap_or(0);
        assert_eq!(seq, before + 1, "item {item}: event {seq} ({}) came after event {before}", event.kind);
    }
}

#[tokio::test]
async fn what_commits_late_is_not_missed_by_who_read_past_it() {
    let scene = Scene::new().await;
    let mut cursor = Cursor::START;
    assert_eq!(kinds(&follow(scene.store(), &mut cursor, 10, 1).await), ["project.added"]);
    let mut slow = scene.db.connect().await;
    sqlx::query("BEGIN").execute(&mut slow).await.unwrap();
    sqlx::query("INSERT INTO events_outbox (type) VALUES ('slow')").execute(&mut slow).await.unwrap();
    scene.item("fast").await;
    assert_eq!(
        kinds(&read(scene.store(), &mut cursor, 10).await),
        [""; 0],
        "what is behind a running transaction waits for it"
    );
    sqlx::query("COMMIT").execute(&mut slow).await.unwrap();
    assert_eq!(kinds(&follow(scene.store(), &mut cursor, 1, 2).await), ["slow", "work.created"]);
    slow.close().await.unwrap();
}

#[tokio::test]
async fn an_items_events_stay_in_order_when_the_later_writer_began_first() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    let leases = scene.claim(2).await;
    // One transaction reports for the first item, and is overtaken by a person's word on the second before it comes to that one.
    let mut slow = scene.db.connect().await;
    sqlx::query("BEGIN").execute(&mut slow).await.unwrap();
    apply::apply(&mut slow, &passes(&leases[..1])).await.unwrap();
    scene.store().hold(items[1], "ada", "").await.unwrap();
    let late = apply::apply(&mut slow, &[report_move(&leases[1], passed(WorkPhase::Spec))]).await.unwrap();
    assert_eq!(late.written, items[1..]);
    sqlx::query("COMMIT").execute(&mut slow).await.unwrap();
    slow.close().await.unwrap();
    for page in [1, 2, 100] {
        are_in_order(&follow_all(&scene, page).await);
    }
}

#[tokio::test]
async fn a_claim_after_a_report_in_one_commit_stays_behind_what_others_told_in_between() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    let leases = scene.claim(2).await;
    let mut slow = scene.db.connect().await;
    sqlx::query("BEGIN").execute(&mut slow).await.unwrap();
    apply::apply(&mut slow, &passes(&leases[..1])).await.unwrap();
    scene.store().hand_back(scene.worker, &names(&leases[1..])).await.unwrap();
    sqlx::query("SELECT * FROM claim_items($1, enum_range(NULL::phase), 2, 60000)")
        .bind(scene.worker.0)
        .execute(&mut slow)
        .await
        .unwrap();
    sqlx::query("COMMIT").execute(&mut slow).await.unwrap();
    slow.close().await.unwrap();
    let events = follow_all(&scene, 1).await;
    are_in_order(&events);
    assert_eq!(events.iter().filter(|event| event.item == Some(items[1])).count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_of_many_writers_hears_everything_once_and_in_order() {
    const SEED: u64 = 0x0B0C;
    const WRITERS: u64 = 6;
    let scene = Arc::new(Scene::new().await);
    let items = scene.items(scene.project, 60).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..WRITERS {
        let (scene, items, worker) = (Arc::clone(&scene), items.clone(), scene.worker(&format!("w{n}")).await);
        let mut rng = SmallRng::seed_from_u64(SEED + n);
        writers.spawn(async move {
            let mut leases = Vec::new();
            for _ in 0..30 {
                let claim = request(worker, rng.random_range(0..12));
                let moves = passes(&leases);
                leases = scene.store().finish_and_claim(&moves, &claim).await.unwrap().1;
                let item = items[rng.random_range(0..items.len())];
                // An item that has ended can't be held any more.
                match rng.random_range(0..4) {
                    0 => drop(scene.store().hold(item, "ada", "").await),
                    1 => drop(scene.store().release(item, "ada").await),
                    2 => drop(scene.store().hand_back(worker, &names(&leases)).await),
                    _ => {}
                }
            }
        });
    }
    let (mut cursor, mut heard) = (Cursor::START, Vec::new());
    while !writers.is_empty() {
        heard.extend(read(scene.store(), &mut cursor, 7).await);
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
    }
    let count = usize::try_from(table::number(&scene.db, "SELECT count(*) FROM events_outbox").await).unwrap();
    heard.extend(follow(scene.store(), &mut cursor, 7, count - heard.len()).await);
    let ids: BTreeSet<i64> = heard.iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), heard.len(), "nothing twice; seed {SEED}");
    let told: Vec<(i64,)> = table::all(&scene.db, "SELECT id FROM events_outbox ORDER BY id").await;
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        told.into_iter().map(|row| row.0).collect::<Vec<_>>(),
        "nothing missed; seed {SEED}"
    );
    are_in_order(&heard);
}

#[tokio::test]
async fn trimming_takes_old_days_and_leaves_a_follower_where_it_was() {
    let scene = Scene::new().await;
    let mut cursor = Cursor::START;
    follow(scene.store(), &mut cursor, 10, 1).await;
    scene.item("s").await;
    table::run(
        &scene.db,
        "CREATE TABLE events_outbox_20200101 PARTITION OF events_outbox
         FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')",
    )
    .await;
    table::run(
        &scene.db,
        "INSERT INTO events_outbox (at, type) SELECT '2020-01-01 12:00:00+00', 'old' FROM generate_series(1, 50)",
    )
    .await;
    assert_eq!(table::number(&scene.db, "SELECT drop_outbox_partitions(30)::bigint").await, 1);
    assert_eq!(kinds(&follow(scene.store(), &mut cursor, 10, 1).await), ["work.created"]);
    assert_eq!(table::number(&scene.db, "SELECT drop_outbox_partitions(30)::bigint").await, 0);
}

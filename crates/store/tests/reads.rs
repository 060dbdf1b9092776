//! Reading: what the status counts, the order in which events are read, what money adds up to.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what goes wrong in a test fails it")]

use std::time::Duration;

use damascus_core::{CostEntry, Digest, Failure, MicroUsd, Outcome, Question, RunReport, WorkPhase, WorkerId};
use damascus_store::cost::{CostBy, CostQuery};
use damascus_store::event::{Cursor, EventFilter, EventRow};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::{NewItem, StorySource};
use damascus_store::project::{ForgeKind, NewProject};
use damascus_store::{ClaimRequest, Lease, Move, Registration, Store};
use damascus_testkit::TestDb;

fn story(key: &str) -> NewItem {
    NewItem {
        key: key.to_owned(),
        title: format!("Story {key}"),
        body: "As a user I want it.".to_owned(),
        acceptance: Vec::new(),
        source: StorySource::Manual,
        source_path: None,
        content_sha256: Digest::filled(b'a'),
        priority: None,
        rank: 0,
        max_attempts: None,
        gates: Vec::new(),
    }
}

/// A project with these items and a worker that claimed what it could, up to `max`.
async fn scene(store: &Store, items: &[NewItem], max: usize) -> (WorkerId, Vec<Lease>) {
    let project = store.add_project(&NewProject::new("shop", ForgeKind::Local, "/srv/shop.git")).await.unwrap();
    store.create_items(project, items).await.unwrap();
    let registration = Registration {
        name: "worker".to_owned(),
        host: "build-01".to_owned(),
        pid: 1,
        version: "0".to_owned(),
        concurrency: 9,
    };
    let worker = store.register_worker(&registration).await.unwrap();
    let leases = store.claim(&request(worker, max)).await.unwrap();
    (worker, leases)
}

fn request(worker: WorkerId, max: usize) -> ClaimRequest {
    let phases = vec![WorkPhase::Merge, WorkPhase::Review, WorkPhase::Build, WorkPhase::Spec];
    ClaimRequest { worker, phases, max, lease: Duration::from_secs(600) }
}

async fn report(store: &Store, worker: WorkerId, lease: &Lease, report: RunReport) {
    let one = Move::from_report(lease, report, 0.5).unwrap();
    store.finish_and_claim(&[one], &request(worker, 0)).await.unwrap();
}

#[tokio::test]
async fn the_status_counts_each_unfinished_item_once() {
    let db = TestDb::new().await;
    let store = db.store();
    let waits = NewGate {
        phase: WorkPhase::Spec,
        waits_for: GateTarget::ItemKey("asks".to_owned()),
        deadline: None,
        origin: "a test".to_owned(),
    };
    let items = [
        story("asks"),
        story("fails"),
        story("runs"),
        NewItem { gates: vec![waits], ..story("waits") },
        NewItem { priority: Some(500), ..story("held") },
        NewItem { priority: Some(500), ..story("cancelled") },
        NewItem { priority: Some(500), ..story("ready") },
    ];
    let (worker, leases) = scene(store, &items, 3).await;
    let question = Question { text: "Which?".to_owned(), options: Vec::new(), default: None };
    report(store, worker, &leases[0], RunReport::free(Outcome::Ask { first: question, more: Vec::new() })).await;
    report(store, worker, &leases[1], RunReport::failed(Failure::Timeout, "too slow")).await;
    for (key, hold) in [("held", true), ("cancelled", false)] {
        let item = store.resolve_item(key).await.unwrap();
        if hold { store.hold(item, "dana", "").await } else { store.cancel(item, "dana", "").await }.unwrap();
    }

    let status = store.status(None).await.unwrap();
    let [project] = status.projects.as_slice() else { panic!("one project: {status:?}") };
    let spec = project.phases["spec"];
    assert_eq!((spec.ready, spec.running, spec.sleeping, spec.held, spec.waiting), (1, 1, 1, 1, 1));
    assert_eq!(project.phases["awaiting_human"].waiting, 1);
    assert_eq!(project.phases.values().map(|count| count.total()).sum::<i64>(), 6, "the cancelled one is not counted");
    assert_eq!((status.queue.ready, status.running, status.open_issues.question), (1, 1, 1));
    assert_eq!((status.totals.items, status.totals.merged, status.totals.estimated), (7, 0, false));
    assert_eq!((status.runs[0].key.as_str(), status.runs[0].worker), ("runs", worker));
    assert_eq!((status.workers[0].running, status.workers[0].stale), (1, false));
    assert!(status.queue.oldest_ready_since.is_some_and(|since| since <= status.at));

    let other = store.add_project(&NewProject::new("site", ForgeKind::Local, "/srv/site.git")).await.unwrap();
    let status = store.status(Some(other)).await.unwrap();
    assert_eq!((status.projects.len(), status.queue.ready, status.open_issues.total()), (1, 0, 0));
    assert_eq!((status.queue.oldest_ready_since, status.runs.len()), (None, 0));
}

/// The kinds of the events that a test wrote itself.
fn kinds(events: &[EventRow]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

/// Reads on behind a cursor until there are so many events. Transactions of other tests on the same server may hold them back for a
/// moment, since the order counts all of the server's transactions.
async fn read_on(store: &Store, mut cursor: Cursor, filter: EventFilter, count: usize) -> (Vec<EventRow>, Cursor) {
    let mut events = Vec::new();
    let reading = async {
        while events.len() < count {
            let page = store.events_after(cursor, filter, 10).await.unwrap();
            events.extend(page.events);
            cursor = page.next;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the events come");
    (events, cursor)
}

#[tokio::test]
async fn a_follower_misses_nothing_that_commits_late() {
    const WRITE: &str = "INSERT INTO events_outbox (type, data) VALUES ($1, '{}')";
    let db = TestDb::new().await;
    let store = db.store();
    let (all, from) = (EventFilter::default(), store.newest_cursor().await.unwrap());

    let (mut early, mut late) = (db.connect().await, db.connect().await);
    let mut slow = sqlx::Connection::begin(&mut early).await.unwrap();
    sqlx::query(WRITE).bind("first.begun").execute(&mut *slow).await.unwrap();
    sqlx::query(WRITE).bind("second.begun").execute(&mut late).await.unwrap();

    // The second has committed, and its id is the higher one; who read it now would miss the first.
    let page = store.events_after(from, all, 10).await.unwrap();
    assert_eq!(kinds(&page.events), [""; 0]);
    assert!(page.next >= from);
    assert_eq!(kinds(&store.latest_events(all, 10).await.unwrap()), [""; 0]);

    slow.commit().await.unwrap();
    let (events, next) = read_on(store, page.next, all, 2).await;
    assert_eq!(kinds(&events), ["first.begun", "second.begun"]);
    assert_eq!(kinds(&store.events_after(next, all, 10).await.unwrap().events), [""; 0]);

    // A full page ends at its last event; the next one goes on behind it.
    let one = store.events_after(from, all, 1).await.unwrap();
    assert_eq!((kinds(&one.events), one.next), (vec!["first.begun"], one.events[0].cursor));
    assert_eq!(kinds(&store.events_after(one.next, all, 1).await.unwrap().events), ["second.begun"]);
    assert_eq!(one.next.to_string().parse::<Cursor>().unwrap(), one.next);
}

#[tokio::test]
async fn what_a_filter_leaves_out_is_not_looked_at_again() {
    let db = TestDb::new().await;
    let store = db.store();
    scene(store, &[story("one"), story("two")], 0).await;
    let two = store.resolve_item("two").await.unwrap();
    let filter = EventFilter { item: Some(two), project: None };
    let (events, next) = read_on(store, Cursor::START, filter, 1).await;
    assert_eq!((kinds(&events), events[0].seq), (vec!["work.created"], Some(1)));
    // The project was added before, and both items at once.
    assert!(next > events[0].cursor, "the cursor stands behind what was left out, too");
    assert_eq!(kinds(&store.latest_events_of_item(two, 5).await.unwrap()), ["work.created"]);
}

#[tokio::test]
async fn sums_are_exact_and_keep_estimates_apart() {
    let db = TestDb::new().await;
    let store = db.store();
    let (worker, leases) = scene(store, &[story("one"), story("two"), story("three")], 3).await;
    for (lease, (amount, estimated)) in leases.iter().zip([(1, false), (20, true), (300, false)]) {
        let cost = CostEntry {
            provider: "gateway".to_owned(),
            model: if estimated { "small" } else { "large" }.to_owned(),
            tokens_in: 10,
            tokens_out: 5,
            tokens_cached: 2,
            amount: MicroUsd(amount),
            estimated,
        };
        report(store, worker, lease, RunReport { costs: vec![cost], ..RunReport::failed(Failure::Timeout, "slow") })
            .await;
    }
    let query = |by, limit| CostQuery { by, project: None, since: None, limit };
    let by_model = store.cost(&query(CostBy::Model, 10)).await.unwrap();
    let rows: Vec<(&str, i64)> =
        by_model.rows.iter().map(|row| (row.group.as_str(), row.sums.spent_microusd.0)).collect();
    assert_eq!(rows, [("gateway/large", 301), ("gateway/small", 20)]);
    assert_eq!((by_model.total.spent_microusd, by_model.total.estimated_microusd), (MicroUsd(321), MicroUsd(20)));
    assert_eq!((by_model.total.tokens_in, by_model.total.runs), (30, 3));

    let by_item = store.cost(&query(CostBy::Item, 1)).await.unwrap();
    assert_eq!((by_item.rows.len(), by_item.more, by_item.total.spent_microusd), (1, true, MicroUsd(321)));
    assert_eq!((by_item.rows[0].group.as_str(), by_item.rows[0].title.as_deref()), ("shop/three", Some("Story three")));
    let later = CostQuery { since: Some(by_now(store).await), ..query(CostBy::Day, 10) };
    assert_eq!(store.cost(&later).await.unwrap().rows, []);
    assert_eq!(store.cost(&query(CostBy::Project, 10)).await.unwrap().rows[0].group, "shop");
    assert_eq!(store.cost(&query(CostBy::Phase, 10)).await.unwrap().rows[0].group, "spec");
}

/// The database's clock.
async fn by_now(store: &Store) -> chrono::DateTime<chrono::Utc> {
    store.health().await.unwrap().clock
}

#[tokio::test]
async fn the_health_of_a_fresh_database() {
    let db = TestDb::new().await;
    let health = db.store().health().await.unwrap();
    assert_eq!(health.schema, damascus_store::migrate::known_version());
    let outbox = health.outbox.unwrap();
    assert!(outbox.days_ahead >= 6 && !outbox.caught, "{outbox:?}");

    let empty = TestDb::empty().await;
    let health = empty.store().health().await.unwrap();
    assert_eq!((health.schema, health.outbox), (0, None));
}

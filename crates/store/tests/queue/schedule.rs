//! Schedules: a tick happens once however many schedulers run, and does its job in the same transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use damascus_store::{Job, Schedule, StoreError};
use damascus_testkit::Scene;

use crate::table;

const RETENTION: u16 = 30;

async fn tomorrow(scene: &Scene) -> DateTime<Utc> {
    table::one::<(DateTime<Utc>,)>(&scene.db, "SELECT now() + interval '1 day'").await.0
}

async fn schedule(scene: &Scene, job: Job) -> Schedule {
    scene.store().schedules().await.unwrap().into_iter().find(|one| one.job == job).expect("it comes with the schema")
}

async fn tick(scene: &Scene, job: Job) -> bool {
    scene.store().tick(&schedule(scene, job).await, tomorrow(scene).await, RETENTION).await.unwrap()
}

/// Lets all planned ticks come due.
async fn come_due(scene: &Scene) {
    table::run(&scene.db, "UPDATE schedules SET next_due_at = now() - interval '3 days'").await;
}

async fn partitions(scene: &Scene) -> BTreeSet<String> {
    let query = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'events_outbox'::regclass";
    table::all::<(String,)>(&scene.db, query).await.into_iter().map(|row| row.0).collect()
}

/// The partitions of the week after today. (Older ones depend on when the tests' template was made.)
async fn week_ahead(scene: &Scene) -> BTreeSet<String> {
    let query = "SELECT to_char((now() AT TIME ZONE 'UTC')::date + n, '\"events_outbox_\"YYYYMMDD') FROM generate_series(1, 7) n";
    table::all::<(String,)>(&scene.db, query).await.into_iter().map(|row| row.0).collect()
}

#[tokio::test]
async fn a_schedule_is_planned_first_then_waits_then_ticks_once_for_all_it_missed() {
    let scene = Scene::new().await;
    let planned = schedule(&scene, Job::WorkerCleanup).await;
    assert_eq!((planned.due_at, planned.name.as_str()), (None, "worker-cleanup"));
    assert!(!tick(&scene, Job::WorkerCleanup).await, "who sees it first plans it");
    assert!(!tick(&scene, Job::WorkerCleanup).await, "it is not due");
    come_due(&scene).await;
    let due = schedule(&scene, Job::WorkerCleanup).await;
    assert!(tick(&scene, Job::WorkerCleanup).await);
    assert!(!tick(&scene, Job::WorkerCleanup).await, "three days were missed and are made up for once");
    assert!(
        !scene.store().tick(&due, tomorrow(&scene).await, RETENTION).await.unwrap(),
        "nor by whoever looked before"
    );
    let ticks: Vec<(DateTime<Utc>,)> = table::all(&scene.db, "SELECT due_at FROM schedule_ticks").await;
    assert_eq!(ticks, [(due.due_at.unwrap(),)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_schedulers_tick_once() {
    let scene = Arc::new(Scene::new().await);
    let next = tomorrow(&scene).await;
    for round in 0..5 {
        let (all, due) = if round == 0 { (4, 0) } else { (4, 4) };
        if due > 0 {
            come_due(&scene).await;
        }
        let seen = scene.store().schedules().await.unwrap();
        assert_eq!(seen.len(), all);
        let mut schedulers = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (scene, seen) = (Arc::clone(&scene), seen.clone());
            schedulers.spawn(async move {
                let mut did = 0;
                for one in &seen {
                    did += usize::from(scene.store().tick(one, next, RETENTION).await.unwrap());
                }
                did
            });
        }
        assert_eq!(schedulers.join_all().await.iter().sum::<usize>(), due, "round {round}");
    }
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM schedule_ticks").await, 16);
}

#[tokio::test]
async fn partitions_are_made_ahead_and_dropped_past_their_retention() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let ahead = week_ahead(&scene).await;
    let mut connection = scene.db.connect().await;
    for statement in [
        "CREATE TABLE events_outbox_20200101 PARTITION OF events_outbox FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00')",
        "INSERT INTO events_outbox (at, type) VALUES ('2020-01-01 12:00:00+00', 'old'), ('2020-01-03 12:00:00+00', 'stray')",
        "INSERT INTO events_outbox (at, type) VALUES (now() - interval '29 days', 'kept'), (now() + interval '20 days', 'early')",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    // What a quiet week leaves: no partition is ahead.
    for name in partitions(&scene).await.intersection(&ahead) {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP TABLE {name}"))).execute(&mut connection).await.unwrap();
    }
    for job in [Job::OutboxPartitions, Job::OutboxTrim] {
        tick(&scene, job).await;
    }
    come_due(&scene).await;
    let before = partitions(&scene).await;
    assert!(before.is_disjoint(&ahead));
    assert!(tick(&scene, Job::OutboxPartitions).await);
    assert!(partitions(&scene).await.is_superset(&ahead));
    assert!(tick(&scene, Job::OutboxTrim).await);
    let mut expected: BTreeSet<String> = before.union(&ahead).cloned().collect();
    assert!(expected.remove("events_outbox_20200101"));
    assert!(partitions(&scene).await.is_superset(&expected));
    assert!(!partitions(&scene).await.contains("events_outbox_20200101"));
    let left = "SELECT type FROM events_outbox WHERE item_id IS NULL AND project_id IS NULL ORDER BY type";
    let left: Vec<(String,)> = table::all(&scene.db, left).await;
    assert_eq!(left.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["early", "kept"]);
    assert_eq!(table::events(&scene.db, item).await, ["work.created"]);
}

#[tokio::test]
async fn workers_that_are_long_gone_are_forgotten_and_live_ones_are_not() {
    let scene = Scene::new().await;
    let gone = scene.worker("gone").await;
    let mut connection = scene.db.connect().await;
    sqlx::query("UPDATE workers SET heartbeat_at = now() - interval '8 days' WHERE id = $1")
        .bind(gone.0)
        .execute(&mut connection)
        .await
        .unwrap();
    tick(&scene, Job::WorkerCleanup).await;
    come_due(&scene).await;
    assert!(tick(&scene, Job::WorkerCleanup).await);
    let left: Vec<(i64,)> = table::all(&scene.db, "SELECT id FROM workers").await;
    assert_eq!(left, [(scene.worker.0,)]);
}

#[tokio::test]
async fn a_job_that_this_version_does_not_know_is_named() {
    let scene = Scene::new().await;
    table::run(&scene.db, "INSERT INTO schedules (name, job, cron) VALUES ('from the future', 'compost', '* * * * *')")
        .await;
    let error = scene.store().schedules().await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistent { table: "schedules", .. }), "{error:?}");
    assert!(error.to_string().contains("compost") && !error.retryable(), "{error}");
    table::run(&scene.db, "UPDATE schedules SET enabled = false WHERE job = 'compost'").await;
    assert_eq!(scene.store().schedules().await.unwrap().len(), 4);
}

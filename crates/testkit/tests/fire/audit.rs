//! What must hold when the fire is out. Each check gives the first offenders, by item.

use damascus_testkit::TestDb;

async fn offenders(db: &TestDb, query: &'static str) -> Vec<(i64, String)> {
    let mut connection = db.connect().await;
    sqlx::query_as(query).fetch_all(&mut connection).await.expect("the audit's query runs")
}

macro_rules! none {
    ($db:expr, $what:literal, $query:literal) => {
        let found = offenders($db, $query).await;
        assert!(found.is_empty(), "{}: {:?}", $what, &found[..found.len().min(5)]);
    };
}

pub(crate) async fn every_item_ended(db: &TestDb, count: u64) {
    let mut connection = db.connect().await;
    let ended: i64 = sqlx::query_scalar("SELECT count(*) FROM work_items WHERE phase IN ('merged', 'cancelled')")
        .fetch_one(&mut connection)
        .await
        .expect("the items can be counted");
    assert_eq!(u64::try_from(ended), Ok(count), "every item is at an end, and there are as many as were made");
    let merged: i64 = sqlx::query_scalar("SELECT count(*) FROM landings").fetch_one(&mut connection).await.expect("counted");
    println!("{merged} of {count} merged");
    assert!(merged > 0, "some were merged");
    none!(db, "left in a lease, asleep, or with an open question", "
        SELECT id, 'lease' FROM work_items WHERE lease_owner IS NOT NULL OR run_id IS NOT NULL OR wake_at IS NOT NULL
        UNION ALL SELECT item_id, question FROM human_issues WHERE state = 'open'");
    none!(db, "more attempts used than granted", "
        SELECT id, attempts_used || ' of ' || attempts_granted FROM work_items WHERE attempts_used > attempts_granted");
}

pub(crate) async fn histories_are_whole(db: &TestDb) {
    none!(db, "events with a gap or a double", "
        SELECT w.id, w.events || ' said, ' || count(e.seq) || ' there, up to ' || coalesce(max(e.seq), 0)
        FROM work_items w LEFT JOIN events_outbox e ON e.item_id = w.id
        GROUP BY w.id HAVING count(e.seq) <> w.events OR count(DISTINCT e.seq) <> w.events OR max(e.seq) <> w.events OR min(e.seq) <> 1");
    none!(db, "a transition that is not told, or told twice", "
        SELECT w.id, w.transitions || ' made, ' || count(e.seq) || ' told'
        FROM work_items w LEFT JOIN events_outbox e ON e.item_id = w.id AND e.data ? 'cause'
        GROUP BY w.id HAVING count(e.seq) <> w.transitions");
    none!(db, "a chain of transitions that is broken or illegal", "
        SELECT item_id, previous || ' then ' || (data ->> 'from') || ' by ' || (data ->> 'cause') || ' to ' || (data ->> 'to')
        FROM (SELECT item_id, seq, data, coalesce(lag(data ->> 'to') OVER (PARTITION BY item_id ORDER BY seq), 'spec') AS previous
              FROM events_outbox WHERE data ? 'cause') t
        WHERE previous <> data ->> 'from'
           OR NOT transition_is_legal((data ->> 'from')::phase, (data ->> 'cause')::transition_event, (data ->> 'to')::phase)");
    none!(db, "an end that is not the last transition", "
        SELECT w.id, w.phase::text FROM work_items w
        WHERE w.phase::text IS DISTINCT FROM (SELECT e.data ->> 'to' FROM events_outbox e
                                              WHERE e.item_id = w.id AND e.data ? 'cause' ORDER BY e.seq DESC LIMIT 1)");
}

pub(crate) async fn runs_and_landings_are_single(db: &TestDb) {
    none!(db, "a run that was started and never ended, or ended and never started", "
        SELECT coalesce(r.item_id, e.item_id), coalesce(r.id::text, 'no row') || ' / ' || coalesce(e.run, 'no event')
        FROM runs r FULL JOIN (SELECT item_id, data ->> 'run_id' AS run FROM events_outbox WHERE type = 'run.started') e
             ON e.item_id = r.item_id AND e.run = r.id::text
        WHERE r.id IS NULL OR e.run IS NULL");
    none!(db, "a run that made more than one transition", "
        SELECT item_id, data ->> 'run_id' FROM events_outbox WHERE data ? 'cause' AND data ? 'run_id'
        GROUP BY item_id, data ->> 'run_id' HAVING count(*) > 1");
    none!(db, "a verdict without its transition", "
        SELECT r.item_id, r.id || ' ' || r.verdict FROM runs r WHERE r.verdict IS NOT NULL AND NOT EXISTS (
            SELECT FROM events_outbox e WHERE e.item_id = r.item_id AND e.data ->> 'run_id' = r.id::text AND e.data ->> 'cause' = r.verdict::text)");
    none!(db, "merged without its landing, or landed without being merged", "
        SELECT w.id, w.phase::text FROM work_items w FULL JOIN landings l ON l.item_id = w.id
        WHERE (w.phase = 'merged') IS DISTINCT FROM (l.id IS NOT NULL)");
}

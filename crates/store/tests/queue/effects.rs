//! What a report does beside moving its item: closing lanes, backing off, spending money; and what the tables refuse.

use std::time::Duration;

use damascus_core::{CostEntry, Failure, MicroUsd, RunReport, WorkPhase};
use damascus_store::Move;
use damascus_store::apply::{DEFAULT_LANE_CLOSURE_MS, MAX_LANE_CLOSURE_MS};
use damascus_testkit::Scene;
use damascus_testkit::scene::{failed, passed, project, rate_limited, report_move};
use serde_json::{Value, json};

use crate::table;

/// The lanes that are closed, with the seconds until they open.
async fn closed(scene: &Scene) -> Vec<(String, i64)> {
    let query = "SELECT name, extract(epoch FROM opens_at - clock_timestamp())::bigint FROM lanes
                 WHERE opens_at > clock_timestamp() ORDER BY name";
    table::all(&scene.db, query).await
}

#[tokio::test]
async fn a_limit_closes_the_lanes_of_its_phase_and_no_other() {
    let scene = Scene::new().await;
    let mut other = project("other");
    (other.agent_lane, other.provider_lane) = ("agent:codex".to_owned(), "provider:gateway".to_owned());
    scene.store().add_project(&other).await.unwrap();
    let item = scene.item("s").await;
    let lease = scene.lease(item).await;
    assert!(scene.report(&lease, rate_limited(Some(90_000))).await);
    let shut = closed(&scene).await;
    assert!(matches!(shut.as_slice(), [(name, 80..=90)] if name == "provider:gateway"), "{shut:?}");
    let (told,): (Value,) = table::one(&scene.db, "SELECT data FROM events_outbox WHERE type = 'lane.closed'").await;
    assert_eq!((&told["lane"], &told["reason"]), (&json!("provider:gateway"), &json!("too many requests")));
    let row = "SELECT phase::text, attempts_used, infra_failures, wake_at IS NOT NULL FROM work_items";
    let row: (String, i16, i16, bool) = table::one(&scene.db, row).await;
    assert_eq!(row, ("spec".to_owned(), 0, 1, true), "it costs no attempt");

    // The build of the same project uses an agent, the other project's build another one.
    scene.store().open_lane("provider:gateway", "ada").await.unwrap();
    let built = scene.item("t").await;
    scene.bring_to(WorkPhase::Build, &[built]).await;
    let lease = scene.lease(built).await;
    assert!(scene.report(&lease, rate_limited(None)).await);
    let shut = closed(&scene).await;
    let default = i64::try_from(DEFAULT_LANE_CLOSURE_MS / 1000).unwrap();
    assert!(
        matches!(shut.as_slice(), [(name, n)] if name == "agent:claude-code" && *n <= default && *n > default - 10)
    );
}

#[tokio::test]
async fn a_lane_is_never_closed_for_more_than_a_week_and_never_opened_by_a_shorter_word() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    let leases = scene.claim(2).await;
    assert_eq!(leases.len(), items.len());
    scene.report(&leases[0], rate_limited(Some(u64::MAX))).await;
    let week = i64::try_from(MAX_LANE_CLOSURE_MS / 1000).unwrap();
    let shut = closed(&scene).await;
    assert!(matches!(shut.as_slice(), [(_, n)] if (week - 10..=week).contains(n)), "{shut:?}");
    scene.report(&leases[1], rate_limited(Some(0))).await;
    assert_eq!(closed(&scene).await.len(), 1, "what was said first still holds");
}

#[tokio::test]
async fn failures_of_the_surroundings_back_off_within_bounds() {
    let mut slow = project("demo");
    slow.backoff = damascus_core::Backoff { base_ms: 10_000, cap_ms: 300_000 };
    let scene = Scene::with(slow).await;
    for (failures, longest) in [10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
        for jitter in [0.0, 1.0] {
            let item = scene.item(&format!("s{failures}-{jitter}")).await;
            let mut lease = scene.lease(item).await;
            lease.budget.infra_failures = u16::try_from(failures).unwrap();
            let one = Move::from_report(&lease, failed(Failure::Timeout), jitter).unwrap();
            let wait = Duration::from_secs(if jitter == 0.0 { longest / 2 } else { longest });
            assert_eq!(one.comes_due_after(), Some(wait));
            scene.write(&[one]).await;
            let asleep = "SELECT extract(epoch FROM wake_at - clock_timestamp())::float8 FROM work_items ORDER BY id DESC LIMIT 1";
            let (seconds,): (f64,) = table::one(&scene.db, asleep).await;
            assert!((wait.as_secs_f64() - 10.0..=wait.as_secs_f64()).contains(&seconds), "{seconds} s for {wait:?}");
        }
    }
    assert_eq!(scene.claim(99).await, []);
}

#[tokio::test]
async fn money_is_entered_as_it_was_reported_and_a_negative_price_gives_nothing_back() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = scene.lease(item).await;
    let entry = |amount: i64, tokens_in: u64, tokens_cached: u64| CostEntry {
        provider: "gateway\u{1b}[2J\0".to_owned() + &"x".repeat(300),
        model: "large".to_owned(),
        tokens_in,
        tokens_out: 7,
        tokens_cached,
        amount: MicroUsd(amount),
        estimated: amount < 0,
    };
    let costs = vec![entry(1_500, 20, 10), entry(-1_000_000, 20, 30), entry(i64::MAX, u64::MAX, u64::MAX)];
    assert!(scene.report(&lease, RunReport { costs, ..failed(Failure::SpecInvalid) }).await);
    let query =
        "SELECT ordinal, amount_microusd, tokens_in, tokens_out, tokens_cached, estimated, phase::text || ' ' || entry,
                        length(provider), run_id, item_id FROM cost_ledger ORDER BY ordinal";
    type Entry = (i16, i64, i64, i64, i64, bool, String, i32, i64, i64);
    let entries: Vec<Entry> = table::all(&scene.db, query).await;
    let row = |n, amount, tokens, cached, estimated| {
        (n, amount, tokens, 7, cached, estimated, "spec spend".to_owned(), 100, lease.run.0, item.0)
    };
    let most = i64::MAX;
    assert_eq!(entries, [row(0, 1_500, 20, 10, false), row(1, 0, 20, 20, true), row(2, most, most, most, false)]);
}

#[tokio::test]
async fn what_is_written_once_is_never_changed_or_removed() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    for _ in 0..4 {
        let lease = scene.lease(item).await;
        let costs = vec![CostEntry {
            provider: "p".to_owned(),
            model: "m".to_owned(),
            tokens_in: 1,
            tokens_out: 1,
            tokens_cached: 0,
            amount: MicroUsd(1),
            estimated: false,
        }];
        scene.write(&[report_move(&lease, RunReport { costs, ..passed(lease.phase) })]).await;
    }
    table::run(
        &scene.db,
        "INSERT INTO specs (item_id, version, sha256, body, run_id) SELECT id, 1, repeat('a', 64), '{}', 1 FROM work_items",
    )
    .await;
    let mut connection = scene.db.connect().await;
    for statement in [
        "UPDATE runs SET detail = 'better'",
        "DELETE FROM runs",
        "UPDATE specs SET body = '{\"a\": 1}'",
        "DELETE FROM specs",
        "UPDATE landings SET tree = base_commit",
        "DELETE FROM landings",
        "UPDATE cost_ledger SET amount_microusd = 0",
        "DELETE FROM cost_ledger",
        "DELETE FROM work_items",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("immutable"), "{statement}: {refused}");
    }
}

/// One move as `apply_moves` takes it, made by hand: what no version of Damascus sends.
fn by_hand(scene: &Scene, lease: &damascus_store::Lease, more: &Value) -> Value {
    let mut one = json!({
        "item_id": lease.item, "epoch": lease.epoch, "worker": scene.worker, "from_phase": lease.phase, "event": "pass",
        "to_phase": "merged", "granted": 3, "used": 0, "infra": 0, "moves": 0, "tampers": 0, "events": 1, "close_issues": false,
        "announcement": "work.merged", "ended": "reported", "verdict": "pass", "charge": "free", "evidence": {}, "told": {}
    });
    for (key, value) in more.as_object().unwrap() {
        one[key] = value.clone();
    }
    json!({ "moves": [one], "landings": [], "costs": [], "issues": [] })
}

#[tokio::test]
async fn the_tables_refuse_what_no_decision_leads_to() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    scene.bring_to(WorkPhase::Merge, &[item]).await;
    let lease = scene.lease(item).await;
    let mut connection = scene.db.connect().await;
    for (more, constraint) in [
        (json!({}), "merged_has_its_landing"),
        (json!({ "to_phase": "blocked", "event": "timeout", "resume_phase": "merge" }), "blocked_knows_why"),
        (json!({ "to_phase": "blocked", "event": "timeout", "block_reason": "moves" }), "parked_knows_where_to_resume"),
        (json!({ "to_phase": "review" }), "transition_is_legal"),
        (json!({ "to_phase": "cancelled" }), "transition_is_legal"),
        (json!({ "to_phase": "review", "event": "base_moved", "used": 4 }), "work_items_check"),
        (json!({ "to_phase": "merge", "event": "timeout", "evidence": null }), "a_pass_has_evidence"),
        (json!({ "to_phase": "merge", "event": "timeout", "verdict": null }), "only_what_reported_has_a_verdict"),
    ] {
        let batch = by_hand(&scene, &lease, &more);
        let done = sqlx::query("SELECT * FROM apply_moves($1)").bind(&batch).fetch_all(&mut connection).await;
        let refused = done.expect_err(constraint).into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some(constraint), "{more}: {refused}");
    }
    assert!(scene.report(&lease, passed(WorkPhase::Merge)).await, "and nothing of them was left");
}

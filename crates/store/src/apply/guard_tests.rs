//! The database's own refusal: raw writes of a phase, each triple of phase, event and phase tried on a real row. The only such writes there are.

use std::collections::BTreeSet;

use damascus_core::transition::EventKind;
use damascus_core::{ItemId, Named as _, Phase, table};
use damascus_testkit::Scene;
use sqlx::{Connection as _, PgConnection};

/// Moves an item by an event, with all that the target asks for beside the phase: where a parked one resumes and why, a landing.
const MOVE: &str = "
    UPDATE work_items w SET phase = $2::text::phase, last_event = $1::text::transition_event, transitions = transitions + 1,
        resume_phase = CASE WHEN $2 IN ('awaiting_human', 'blocked') THEN 'spec'::phase END,
        block_reason = CASE WHEN $2 = 'blocked' THEN 'moves'::block_reason END,
        landing_id = CASE WHEN $2 = 'merged' THEN (SELECT max(id) FROM landings) END
    WHERE id = $3";

/// Tries the move; says whether it was taken, and takes it back unless it is to be kept.
async fn try_move(connection: &mut PgConnection, item: ItemId, event: &str, to: &str, keep: bool) -> bool {
    let mut tx = connection.begin().await.expect("a transaction");
    let tried = sqlx::query(MOVE).bind(event).bind(to).bind(item.0).execute(&mut *tx).await;
    let taken = match tried {
        Ok(done) => {
            assert_eq!(done.rows_affected(), 1);
            true
        }
        Err(error) => {
            let refused = error.into_database_error().expect("the database refuses");
            assert_eq!(refused.constraint(), Some("transition_is_legal"), "{event} to {to}: {refused}");
            false
        }
    };
    let ended = if keep && taken { tx.commit().await } else { tx.rollback().await };
    ended.expect("the transaction ends");
    taken
}

/// An item, and a landing for it.
async fn scene() -> (Scene, ItemId, PgConnection) {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let mut connection = scene.db.connect().await;
    let landing = "INSERT INTO landings (item_id, project_id, run_id, base_branch, base_commit, landed_commit, tree, evidence)
                   SELECT id, project_id, 1, 'main', repeat('a', 40), repeat('a', 40), repeat('a', 40), '{}' FROM work_items";
    sqlx::query(landing).execute(&mut connection).await.expect("a landing");
    (scene, item, connection)
}

/// The events that lead a new item to each phase.
const WAYS: [(&str, &[(&str, &str)]); 8] = [
    ("spec", &[]),
    ("build", &[("pass", "build")]),
    ("review", &[("pass", "build"), ("pass", "review")]),
    ("merge", &[("pass", "build"), ("pass", "review"), ("pass", "merge")]),
    ("awaiting_human", &[("spec_ambiguous", "awaiting_human")]),
    ("blocked", &[("money_spent", "blocked")]),
    ("merged", &[("pass", "build"), ("pass", "review"), ("pass", "merge"), ("pass", "merged")]),
    ("cancelled", &[("cancelled", "cancelled")]),
];

#[tokio::test]
async fn exactly_the_legal_triples_are_taken() {
    let legal = table::legal_triples();
    let (scene, _, mut connection) = scene().await;
    let mut tried = BTreeSet::new();
    for (from, way) in WAYS {
        let item = scene.item(from).await;
        for (event, to) in way {
            assert!(try_move(&mut connection, item, event, to, true).await);
        }
        for event in EventKind::all() {
            for &to in Phase::ALL {
                let taken = try_move(&mut connection, item, event.name(), to.name(), false).await;
                // A parked item resumes nowhere but in the phase that was recorded, here always spec.
                let recorded =
                    !matches!(from, "blocked" | "awaiting_human") || to == Phase::Spec || to.working().is_none();
                let expected = legal.contains(&(from, event.name(), to.name())) && recorded;
                assert_eq!(taken, expected, "{from} by {} to {to}", event.name());
                tried.insert((from, event.name(), to.name()));
            }
        }
    }
    assert_eq!(tried.len(), 8 * 8 * EventKind::all().count());
    assert!(tried.is_superset(&legal));
}

#[tokio::test]
async fn a_transition_is_counted_named_and_made_by_nothing_else() {
    let (_scene, _, mut connection) = scene().await;
    for statement in [
        // Not counted, counted twice, without its event, an event without a transition, a count without an event.
        "UPDATE work_items SET phase = 'build', last_event = 'pass'",
        "UPDATE work_items SET phase = 'build', last_event = 'pass', transitions = transitions + 2",
        "UPDATE work_items SET phase = 'build', transitions = transitions + 1",
        "UPDATE work_items SET phase = 'build', last_event = NULL, transitions = transitions + 1",
        "UPDATE work_items SET last_event = 'timeout'",
        "UPDATE work_items SET transitions = transitions - 1",
        "UPDATE work_items SET resume_phase = 'build'",
        "UPDATE work_items SET landing_id = (SELECT max(id) FROM landings)",
        "INSERT INTO work_items (project_id, attempts_granted, phase) SELECT project_id, 3, 'merge' FROM work_items",
        "INSERT INTO work_items (project_id, attempts_granted, last_event) SELECT project_id, 3, 'pass' FROM work_items",
        "INSERT INTO work_items (project_id, attempts_granted, transitions) SELECT project_id, 3, 1 FROM work_items",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        let refused = refused.into_database_error().expect("the database refuses");
        assert_eq!(refused.constraint(), Some("transition_is_legal"), "{statement}: {refused}");
    }
    let stands: String =
        sqlx::query_scalar("SELECT phase::text FROM work_items").fetch_one(&mut connection).await.expect("the item");
    assert_eq!(stands, "spec");
}

#[tokio::test]
async fn a_merge_without_a_landing_and_a_lease_on_what_is_no_work_are_refused() {
    let (_scene, item, mut connection) = scene().await;
    for (event, to) in [("pass", "build"), ("pass", "review"), ("pass", "merge")] {
        assert!(try_move(&mut connection, item, event, to, true).await);
    }
    for (statement, constraint) in [
        ("UPDATE work_items SET phase = 'merged', last_event = 'pass', transitions = transitions + 1", "merged_has_its_landing"),
        ("UPDATE work_items SET lease_owner = 1", "lease_is_whole"),
        ("UPDATE work_items SET wake_at = now(), lease_owner = 1, run_id = 1, lease_until = now(), run_started_at = now()", "leased_is_awake"),
        (
            "UPDATE work_items SET phase = 'cancelled', last_event = 'cancelled', transitions = transitions + 1, lease_owner = 1, run_id = 1,
             lease_until = now(), run_started_at = now()",
            "only_work_is_leased",
        ),
        ("UPDATE work_items SET phase = 'cancelled', last_event = 'cancelled', transitions = transitions + 1, wake_at = now()", "only_work_sleeps"),
        ("UPDATE work_items SET gate_mask = 16", "work_items_gate_mask_check"),
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        let refused = refused.into_database_error().expect("the database refuses");
        assert_eq!(refused.constraint(), Some(constraint), "{statement}: {refused}");
    }
}

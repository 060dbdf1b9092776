//! The database refuses illegal transitions itself, whoever writes, and its table is the one that `step()` makes.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use damascus_core::transition::{Charge, EventKind};
use damascus_core::{BlockReason, GateKind, GateState, IssueKind, Named, Phase, Verdict, table};
use damascus_testkit::TestDb;
use sqlx::PgConnection;

async fn labels(connection: &mut PgConnection, type_name: &str) -> Vec<String> {
    sqlx::query_scalar("SELECT enumlabel::text FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = $1 ORDER BY enumsortorder")
        .bind(type_name)
        .fetch_all(connection)
        .await
        .expect("the catalogue can be read")
}

fn names<T: Named>() -> Vec<String> {
    T::ALL.iter().map(|value| value.name().to_owned()).collect()
}

#[tokio::test]
async fn the_closed_sets_of_the_database_are_those_of_the_domain() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    for (type_name, expected) in [
        ("phase", names::<Phase>()),
        ("verdict", names::<Verdict>()),
        ("transition_event", EventKind::all().map(|event| event.name().to_owned()).collect()),
        ("block_reason", names::<BlockReason>()),
        ("charge", names::<Charge>()),
        ("gate_kind", names::<GateKind>()),
        ("gate_state", names::<GateState>()),
        ("issue_kind", names::<IssueKind>()),
    ] {
        assert_eq!(labels(&mut connection, type_name).await, expected, "type {type_name}");
    }
}

#[tokio::test]
async fn the_database_and_step_agree_on_every_transition() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let accepted: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT f::text, e::text, t::text
         FROM unnest(enum_range(NULL::phase)) f, unnest(enum_range(NULL::transition_event)) e, unnest(enum_range(NULL::phase)) t
         WHERE transition_is_legal(f, e, t)",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the function answers");
    let accepted: BTreeSet<(&str, &str, &str)> =
        accepted.iter().map(|(from, event, to)| (from.as_str(), event.as_str(), to.as_str())).collect();
    let decided = table::legal_triples();
    let only_database: Vec<_> = accepted.difference(&decided).collect();
    let only_step: Vec<_> = decided.difference(&accepted).collect();
    assert!(
        only_database.is_empty() && only_step.is_empty(),
        "only in the database: {only_database:?}; only in step(): {only_step:?}"
    );
    assert!(decided.len() > 50, "the table has {} rows", decided.len());
}

#[tokio::test]
async fn the_guard_stands_on_the_table_that_is_written() {
    // The function alone would guard nothing: the trigger must call it, on every kind of write.
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let triggers: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT tgname::text, pg_get_triggerdef(oid), tgenabled = 'O' FROM pg_trigger
         WHERE tgrelid = 'work_items'::regclass AND NOT tgisinternal ORDER BY tgname",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the catalogue can be read");
    let definition = |name: &str| {
        let found = triggers.iter().find(|(trigger, _, enabled)| trigger == name && *enabled);
        found.unwrap_or_else(|| panic!("no trigger {name}")).1.clone()
    };
    assert!(definition("transition_is_legal").contains("BEFORE UPDATE ON"));
    assert!(definition("items_begin_in_spec").contains("BEFORE INSERT ON"));
    assert!(definition("items_are_kept").contains("BEFORE DELETE ON"));
}

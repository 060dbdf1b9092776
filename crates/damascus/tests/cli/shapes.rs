//! The shapes of `--json`, pinned, and the same things for people.
//!
//! Times, ages, cursors and folders differ from run to run and are replaced; ids are those of a fresh database.

use damascus_core::{Failure, Outcome};
use damascus_testkit::TestDb;

use crate::program::{Program, claim, question, report, shop};

/// Compares with a snapshot, what differs from run to run replaced.
fn pin(name: &str, text: &str) {
    let filters = vec![
        (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z| UTC)", "[time]"),
        (r"\b\d{4}-\d{2}-\d{2}\b", "[day]"),
        (r#"("cursor": ?)"\d+\.\d+""#, r#"$1"[cursor]""#),
        (r#"("(?:heartbeat_age_seconds|oldest_snapshot_seconds)": )[^,\n]+"#, "${1}[seconds]"),
        (r#"("content_sha256": )"[0-9a-f]{64}""#, r#"$1"[sha256]""#),
        (r#"/[^ "]*\.tmp\w+"#, "[folder]"),
        (r"\b\d+[smh]( \d+[smh])?\b", "[age]"),
        // Columns are as wide as what stands in them; that they align is shown elsewhere.
        (r"(\S) {2,}", "$1  "),
    ];
    insta::with_settings!({ filters => filters }, { insta::assert_snapshot!(name, text); });
}

/// One item that asks, one that runs, one that failed and backs off, one that waits for another; a gate for a person.
async fn scene() -> (TestDb, Program) {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["asks", "runs", "fails", "waits"]);
    program.run(&["gate", "create", "waits", "--phase", "spec", "--item-merged", "asks"]).ok();
    let (worker, leases) = claim(db.store()).await;
    report(db.store(), worker, &leases[0], question()).await;
    let detail = "the forge does not answer".to_owned();
    report(db.store(), worker, &leases[2], Outcome::Fail { failure: Failure::InfraError, detail }).await;
    (db, program)
}

#[tokio::test]
async fn listings() {
    let (_db, program) = scene().await;
    // One for the project, four for the items, two for the gate and its item, three for the claim, three for the reports.
    program.events(12);
    for (name, arguments) in [
        ("project_list", &["project", "list"][..]),
        ("project_show", &["project", "show", "shop"]),
        ("item_list", &["item", "list"]),
        ("item_show", &["item", "show", "fails"]),
        ("issue_list", &["issue", "list"]),
        ("issue_show", &["issue", "show", "1"]),
        ("gate_list", &["gate", "list"]),
        ("lane_list", &["lane", "list"]),
        ("status", &["status"]),
        ("cost", &["cost", "--by", "item"]),
        ("events", &["events", "--limit", "3"]),
    ] {
        // As text first: it must not be cut when nobody looks.
        let text = program.run(arguments).ok();
        assert!(!text.contains('…'), "{name}: {text}");
        pin(&format!("{name}_text"), &text);
        let json = program.run(&[arguments, &["--json"]].concat());
        assert_eq!((json.code, json.stderr.as_str()), (0, ""), "{name}");
        pin(&format!("{name}_json"), &json.stdout);
    }
}

#[tokio::test]
async fn changes() {
    let (_db, program) = scene().await;
    let repository = crate::program::repository();
    for (name, arguments) in [
        (
            "project_add",
            &["project", "add", "site", "--repo", repository.path().to_str().unwrap(), "--concurrency", "2"][..],
        ),
        ("project_pause", &["project", "pause", "site"]),
        ("item_hold", &["item", "hold", "runs", "waits", "--why", "the design is late"]),
        ("issue_answer", &["issue", "answer", "1", "2"]),
        ("gate_create", &["gate", "create", "waits", "--phase", "merge", "--human", "Is the copy approved?"]),
        ("gate_waive", &["gate", "waive", "1", "--why", "agreed"]),
        ("lane_set", &["lane", "set", "global", "--concurrency", "4"]),
        ("lane_open", &["lane", "open", "provider:gateway"]),
        ("item_cancel", &["item", "cancel", "fails"]),
    ] {
        let json = program.run(&[arguments, &["--json"]].concat());
        assert_eq!((json.code, json.stderr.as_str()), (0, ""), "{name}");
        pin(&format!("{name}_json"), &json.stdout);
    }
    let created = program.run_with(
        &["item", "create", "-p", "site", "--json", "--after", "runs"],
        "# Story 1.2: Sign in\n\n**Dependencies:** Story 1.1\n\n## Acceptance Criteria\n\n1. It works\n",
    );
    pin("item_create_json", &created.ok());
}

//! `item wait`: its exit codes.

use damascus_testkit::TestDb;
use serde_json::json;

use crate::program::{Program, claim, merge_all, question, report, shop};

#[tokio::test]
async fn a_timeout_ends_with_8() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["sign-in"]);
    let waited = program.run(&["item", "wait", "sign-in", "--timeout", "0", "--json"]);
    assert_eq!((waited.code, &waited.json()[0]["outcome"]), (8, &json!("running")));
}

#[tokio::test]
async fn merged_items_end_with_0() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["sign-in", "sign-out"]);
    let waiting = program.start(&["item", "wait", "shop/sign-in", "sign-out", "--timeout", "60s"]);
    merge_all(db.store()).await;
    let ended = waiting.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("item #1 landed on ") && ended.stdout.contains("item #2 landed on "), "{ended:?}");
}

#[tokio::test]
async fn a_cancelled_item_ends_with_3_while_waited_for() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["sign-in"]);
    let waiting = program.start(&["item", "wait", "sign-in", "--json"]);
    program.run(&["item", "cancel", "sign-in", "--why", "out of scope"]).ok();
    let ended = waiting.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    assert_eq!(ended.json()[0]["outcome"], "cancelled");
}

#[tokio::test]
async fn what_needs_a_person_ends_with_5() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["asks", "held", "behind"]);
    program.run(&["gate", "create", "behind", "--phase", "spec", "--item-merged", "asks"]).ok();
    program.run(&["item", "hold", "held"]).ok();
    let (worker, leases) = claim(db.store()).await;
    let [lease] = leases.as_slice() else { panic!("one can be claimed: {leases:?}") };
    report(db.store(), worker, lease, question()).await;
    for item in ["asks", "held"] {
        let waited = program.run(&["item", "wait", item]);
        assert_eq!(waited.code, 5, "{waited:?}");
    }
    program.run(&["project", "pause", "shop"]).ok();
    program.run(&["issue", "answer", "1", "2"]).ok();
    let waited = program.run(&["item", "wait", "asks"]);
    assert_eq!((waited.code, waited.stdout.contains("its project is paused")), (5, true), "{waited:?}");
}

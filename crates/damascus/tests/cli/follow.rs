//! Following: events and status, Ctrl-C, a reader that leaves.

use damascus_core::Digest;
use damascus_store::item::{NewItem, StorySource};
use damascus_testkit::TestDb;
use serde_json::{Value, json};

use crate::program::{Program, shop};

/// A field of a line of JSON.
fn field(line: &str, name: &str) -> Value {
    serde_json::from_str::<Value>(line).unwrap()[name].clone()
}

#[tokio::test]
async fn a_follower_hears_of_what_happens_and_goes_on_where_it_stopped() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["one"]);
    program.events(2);
    let mut following = program.start(&["events", "--follow", "--json", "--limit", "1"]);
    let first: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&first["type"], &first["subject"]), (&json!("work.created"), &json!("items/1")));
    program.run(&["item", "hold", "one"]).ok();
    let second: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&second["type"], &second["sequence"]), (&json!("work.held"), &json!("0000000002")));
    following.interrupt();
    let ended = following.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (130, ""));

    program.run(&["item", "release", "one"]).ok();
    program.run(&["project", "pause", "shop"]).ok();
    let cursor = second["cursor"].as_str().unwrap();
    let mut rest = program.start(&["events", "--json", "--follow", "--since-cursor", cursor]);
    assert_eq!(field(&rest.line(), "type"), "work.released");
    assert_eq!(field(&rest.line(), "type"), "project.paused");

    let mut item = program.start(&["events", "--json", "--follow", "--item", "one", "--since-cursor", "0.0"]);
    for number in ["0000000001", "0000000002", "0000000003"] {
        assert_eq!(field(&item.line(), "sequence"), number);
    }
    let wrong = program.run(&["events", "--since-cursor", "yesterday"]);
    assert_eq!((wrong.code, wrong.stderr.contains("a cursor looks like 1234.56")), (1, true), "{}", wrong.stderr);
}

#[tokio::test]
async fn a_follower_of_one_project_passes_over_the_others_and_keeps_its_place() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["one"]);
    let repository = crate::program::repository();
    program.run(&["project", "add", "site", "--repo", repository.path().to_str().unwrap()]).ok();
    program.events(3);
    let mut following = program.start(&["events", "--follow", "--json", "--project", "site", "--limit", "1"]);
    let first: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&first["type"], &first["project"]), (&json!("project.added"), &json!("site")));
    program.run(&["item", "hold", "shop/one"]).ok();
    program.run(&["project", "pause", "site"]).ok();
    let second: Value = serde_json::from_str(&following.line()).unwrap();
    assert_eq!((&second["type"], &second["project"]), (&json!("project.paused"), &json!("site")));
}

#[tokio::test]
async fn a_reader_that_leaves_is_no_failure() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &[]);
    // More than a pipe holds; with the project, one event more.
    let project = db.store().resolve_project("shop").await.unwrap();
    let items: Vec<NewItem> = (0..900).map(|n| story(&format!("item-{n}"))).collect();
    db.store().create_items(project, &items).await.unwrap();
    program.events(901);
    let mut reading = program.start(&["events", "--json", "--since-cursor", "0.0"]);
    assert!(reading.line().contains("specversion"));
    reading.stop_reading();
    let ended = reading.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

fn story(key: &str) -> NewItem {
    NewItem {
        key: key.to_owned(),
        title: format!("A story with a title of some length: {key}"),
        body: "As a shopper I want it.".to_owned(),
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

#[tokio::test]
async fn a_watched_status_shows_what_changed() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["one"]);
    let mut watching = program.start(&["status", "--watch", "--json"]);
    let ready = |line: &str| serde_json::from_str::<Value>(line).unwrap()["queue"]["ready"].clone();
    assert_eq!(ready(&watching.line()), json!(1));
    program.run(&["item", "hold", "one"]).ok();
    // A picture may have been under way; the next ones show it.
    assert!((0..20).any(|_| ready(&watching.line()) == json!(0)));
    watching.interrupt();
    assert_eq!(watching.end().code, 130);
}

//! `item log` and `item diff`: what runs left, and what they leave while they go on.

use damascus_core::{Failure, Outcome, WorkPhase};
use damascus_store::transcript::Chunk;
use damascus_testkit::{TestDb, handlers};
use serde_json::{Value, json};

use crate::program::{Program, claim, report, shop};

fn chunk(ordinal: u32, text: &str) -> Chunk {
    Chunk { ordinal, text: text.to_owned() }
}

fn failed() -> Outcome {
    Outcome::Fail { failure: Failure::SpecInvalid, detail: "it does not fit".to_owned() }
}

#[tokio::test]
async fn the_latest_run_is_shown_or_another_one() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["one"]);
    let none = program.run(&["item", "log", "one"]);
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "item #1 has not run yet\n"));

    let (worker, leases) = claim(db.store()).await;
    let first = &leases[0];
    let text = "made of it\n\u{1b}[31mred\u{7} \u{202e}end";
    db.store().append_transcript(first, &[chunk(0, "what it "), chunk(1, text)]).await.unwrap();
    let shown = program.run(&["item", "log", "one"]);
    assert_eq!(shown.stdout, "what it made of it\n[31mred end\n");
    assert!(shown.stderr.contains(&format!("run {}: spec, by worker {worker} since ", first.run)), "{shown:?}");
    assert!(shown.stderr.ends_with("it goes on; --follow shows what comes\n"), "{shown:?}");

    report(db.store(), worker, first, failed()).await;
    let (worker, again) = claim(db.store()).await;
    report(db.store(), worker, &again[0], failed()).await;
    let latest = program.run(&["item", "log", "one"]);
    assert_eq!((latest.code, latest.stdout.as_str()), (0, ""));
    assert!(latest.stderr.contains("it printed nothing, or that was removed by age\n"), "{latest:?}");
    assert!(latest.stderr.ends_with("has ended: reported, spec_invalid\n"), "{latest:?}");

    let lines = program.run(&["item", "log", "one", "--run", &first.run.to_string(), "--json"]);
    assert_eq!((lines.code, lines.stderr.as_str()), (0, ""));
    let lines: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({ "run": first.run, "ordinal": 0, "text": "what it " }));
    assert_eq!(lines[1]["text"], "made of it\n[31mred end");

    let missing = program.run(&["item", "log", "one", "--run", "999"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("there is no run 999 of item #1"), "{missing:?}");
}

#[tokio::test]
async fn a_follower_hears_a_run_to_its_end() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["one"]);
    let mut following = program.start(&["item", "log", "one", "--follow"]);
    let (worker, leases) = claim(db.store()).await;
    db.store().append_transcript(&leases[0], &[chunk(0, "first\n")]).await.unwrap();
    assert_eq!(following.line(), "first\n");
    db.store().append_transcript(&leases[0], &[chunk(1, "second\n"), chunk(2, "third")]).await.unwrap();
    assert_eq!(following.line(), "second\n");
    report(db.store(), worker, &leases[0], failed()).await;
    let ended = following.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "third\n"));
    assert!(ended.stderr.contains("has ended: reported, spec_invalid"), "{ended:?}");

    // One that has ended ends at once; Ctrl-C ends one that goes on.
    let run = leases[0].run.to_string();
    assert_eq!(program.run(&["item", "log", "one", "--follow", "--run", &run]).ok(), "first\nsecond\nthird\n");
    let (_, leases) = claim(db.store()).await;
    db.store().append_transcript(&leases[0], &[chunk(0, "again\n")]).await.unwrap();
    let mut following = program.start(&["item", "log", "one", "--follow", "--json"]);
    assert!(following.line().contains("again"));
    following.interrupt();
    assert_eq!(following.end().code, 130);
}

#[tokio::test]
async fn the_diff_of_the_latest_build_is_shown_without_escapes() {
    let db = TestDb::new().await;
    let (program, store) = (Program::on(&db), db.store());
    shop(&program, &["one"]);
    let none = program.run(&["item", "diff", "one"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(none.stderr.contains("there is no diff of item #1: no build of it has changed anything yet"), "{none:?}");
    assert!(none.stderr.contains("`damascus item show 1`"), "{none:?}");

    let (worker, spec) = claim(store).await;
    report(store, worker, &spec[0], Outcome::Pass(handlers::proof(WorkPhase::Spec))).await;
    let mut runs = Vec::new();
    for body in ["-old\n+first\n", "-old\n+\u{1b}]0;title\u{7}second\n"] {
        let (worker, build) = claim(store).await;
        store.put_artifact(&build[0], "diff", body, body.contains("second")).await.unwrap();
        let outcome = Outcome::Fail { failure: Failure::BuildFailed, detail: String::new() };
        report(store, worker, &build[0], outcome).await;
        runs.push(build[0].run.to_string());
    }
    let shown = program.run(&["item", "diff", "one"]);
    assert_eq!(shown.stdout, "-old\n+]0;titlesecond\n");
    assert!(shown.stderr.ends_with("the change is larger; this is its beginning\n"), "{shown:?}");
    assert_eq!(program.run(&["item", "diff", "one", "--run", &runs[0]]).ok(), "-old\n+first\n");
    let found = program.run(&["item", "diff", "one", "--json"]).json();
    assert_eq!((&found["body"], &found["cut"]), (&json!("-old\n+]0;titlesecond\n"), &json!(true)));
    assert_eq!((&found["phase"], &found["name"]), (&json!("build"), &json!("diff")));

    let none = program.run(&["item", "diff", "one", "--run", &spec[0].run.to_string()]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("there is no diff of run "), "{none:?}");
}

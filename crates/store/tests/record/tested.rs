//! Results of testing a tree.

use damascus_core::{Digest, ProjectId};
use damascus_store::StoreError;
use damascus_store::tested::{TESTS_MAX_BYTES, Tested};
use damascus_testkit::Scene;
use serde_json::json;

use crate::subject::{commit, evidence, execute, is_invalid};

fn result(tree: u8) -> Tested {
    Tested { evidence: evidence(b'a', tree), tests: json!({ "it works": "passed" }), at: chrono::DateTime::UNIX_EPOCH }
}

#[tokio::test]
async fn a_result_is_found_by_project_tree_and_rules_and_the_first_one_stays() {
    let scene = Scene::new().await;
    let (store, rules) = (scene.store(), Digest::filled(b'1'));
    assert_eq!(store.tested(scene.project, &commit(b'9'), &rules).await.unwrap(), None);
    store.remember_tested(scene.project, &rules, &result(b'9')).await.unwrap();
    let found = store.tested(scene.project, &commit(b'9'), &rules).await.unwrap().unwrap();
    assert_eq!((&found.evidence, &found.tests), (&result(b'9').evidence, &result(b'9').tests));
    assert!(found.at > chrono::DateTime::UNIX_EPOCH, "the database's clock");

    let later = Tested { tests: json!({ "it works": "failed" }), ..result(b'9') };
    let (a, b) = tokio::join!(
        store.remember_tested(scene.project, &rules, &later),
        store.remember_tested(scene.project, &rules, &later)
    );
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(store.tested(scene.project, &commit(b'9'), &rules).await.unwrap(), Some(found));

    let other = scene.project("other").await;
    for (project, tree, rules) in [
        (other, b'9', rules.clone()),
        (scene.project, b'8', rules.clone()),
        (scene.project, b'9', Digest::filled(b'2')),
    ] {
        assert_eq!(store.tested(project, &commit(tree), &rules).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_can_not_be_stored_is_refused() {
    let scene = Scene::new().await;
    let (store, rules) = (scene.store(), Digest::filled(b'1'));
    let with = |tests| Tested { tests, ..result(b'9') };
    let large = with(json!({ "name": "x".repeat(TESTS_MAX_BYTES) }));
    is_invalid(store.remember_tested(scene.project, &rules, &large).await, "tests: has");
    is_invalid(store.remember_tested(scene.project, &rules, &with(json!({ "a\0": "passed" }))).await, "NUL");
    let mut long = result(b'9');
    long.evidence.command = vec!["x".repeat(70_000)];
    is_invalid(store.remember_tested(scene.project, &rules, &long).await, "evidence: has");
    let error = store.remember_tested(ProjectId(999), &rules, &result(b'9')).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "project", .. }), "{error}");

    // The largest that the program takes, of many short names, fits the database, which writes blanks between them.
    let many: serde_json::Map<String, serde_json::Value> =
        (0..60_000).map(|n| (format!("t{n:05}"), json!("ok"))).collect();
    let many = with(many.into());
    assert!(many.tests.to_string().len() > 800_000);
    store.remember_tested(scene.project, &rules, &many).await.unwrap();
}

#[tokio::test]
async fn rows_are_not_changed_and_what_no_version_writes_is_inconsistent() {
    let scene = Scene::new().await;
    let (store, rules) = (scene.store(), Digest::filled(b'1'));
    store.remember_tested(scene.project, &rules, &result(b'9')).await.unwrap();
    let change = "UPDATE tested_trees SET tests = '{}'";
    assert_eq!(execute(&scene.db, change).await.as_deref(), Some("immutable"));
    let insert = |tree: u8, evidence: &str| {
        let (project, tree) = (scene.project, commit(tree));
        format!(
            "INSERT INTO tested_trees (project_id, tree, rules_sha256, evidence, tests) VALUES ({project}, '{tree}', '{rules}', '{evidence}', '{{}}')"
        )
    };
    let another = json!({ "tree": commit(b'7').as_str() }).to_string();
    assert_eq!(execute(&scene.db, &insert(b'8', &another)).await.as_deref(), Some("evidence_is_of_the_tree"));
    let half = json!({ "tree": commit(b'8').as_str() }).to_string();
    assert_eq!(execute(&scene.db, &insert(b'8', &half)).await, None);
    let error = store.tested(scene.project, &commit(b'8'), &rules).await.unwrap_err();
    assert!(matches!(error, StoreError::Inconsistent { table: "tested_trees", .. }), "{error}");
}

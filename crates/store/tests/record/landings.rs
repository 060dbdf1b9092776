//! Landings, page by page.

use damascus_core::WorkPhase;
use damascus_store::StoreError;
use damascus_testkit::{Scene, handlers, scene};

use crate::subject::{commit, execute};

#[tokio::test]
async fn landings_come_in_order_with_their_evidence() {
    let scene = Scene::new().await;
    let store = scene.store();
    let other = scene.project("other").await;
    let mut items = scene.items(scene.project, 3).await;
    items.extend(scene.items(other, 1).await);
    for lane in ["landing:demo", "landing:other"] {
        store.set_lane_concurrency(lane, None).await.unwrap();
    }
    scene.bring_to(WorkPhase::Merge, &items).await;
    let leases = scene.claim(9).await;
    assert_eq!(leases.len(), 4);
    scene.write(&scene::passes(&leases)).await;

    let all = store.landings(scene.project, None, 100).await.unwrap();
    assert_eq!((all.len(), all[0].key.as_str(), all[0].title.as_str()), (3, "s0", "Story s0"));
    assert!(all.is_sorted_by_key(|row| row.id));
    let damascus_core::Proof::Merge(proof) = handlers::proof(WorkPhase::Merge) else { panic!("a landing") };
    for row in &all {
        assert_eq!(row.test_evidence().unwrap(), *proof.review().evidence());
        assert_eq!((&row.landed_commit, row.base_branch.as_str()), (proof.landed(), proof.base_branch()));
        let lease = leases.iter().find(|lease| lease.item == row.item).unwrap();
        assert_eq!(row.run, lease.run);
    }
    let page = store.landings(scene.project, None, 2).await.unwrap();
    assert_eq!(page, all[..2]);
    assert_eq!(store.landings(scene.project, Some(page[1].id), 2).await.unwrap(), all[2..]);
    assert_eq!(store.landings(scene.project, Some(all[2].id), 2).await.unwrap(), []);
    assert_eq!(store.landings(other, None, 2).await.unwrap().len(), 1);
}

#[tokio::test]
async fn evidence_that_can_not_be_read_is_an_error_and_no_empty_answer() {
    let scene = Scene::new().await;
    let item = scene.item("one").await;
    let statement = format!(
        "INSERT INTO landings (item_id, project_id, run_id, base_branch, base_commit, landed_commit, tree, evidence)
         VALUES ({item}, {}, 1, 'main', '{1}', '{1}', '{1}', '{{}}')",
        scene.project,
        commit(b'a')
    );
    assert_eq!(execute(&scene.db, &statement).await, None);
    let rows = scene.store().landings(scene.project, None, 9).await.unwrap();
    let error = rows[0].test_evidence().unwrap_err();
    assert!(matches!(error, StoreError::Inconsistent { table: "landings", .. }), "{error}");
}

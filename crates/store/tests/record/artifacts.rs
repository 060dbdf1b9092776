//! Texts that runs leave for people.

use damascus_core::{RunId, WorkPhase};
use damascus_store::Lease;
use damascus_store::artifact::ARTIFACT_MAX_BYTES;
use damascus_testkit::scene;

use crate::subject::{execute, handed_back, is_invalid, is_stale, specifying};

#[tokio::test]
async fn a_text_is_written_anew_in_its_place() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    assert_eq!(store.artifact(lease.run, "diff").await.unwrap(), None);
    store.put_artifact(&lease, "diff", "-a\n+b\n", true).await.unwrap();
    store.put_artifact(&lease, "diff", "+ä\u{1b}\n", false).await.unwrap();
    store.put_artifact(&lease, "checks", "", false).await.unwrap();
    let found = store.artifact(lease.run, "diff").await.unwrap().unwrap();
    assert_eq!((found.body.as_str(), found.head.bytes, found.head.cut), ("+ä\u{1b}\n", 5, false));
    assert_eq!((found.head.run, found.head.phase), (lease.run, WorkPhase::Spec));
    let names: Vec<String> = store.artifacts_of(item, 9).await.unwrap().into_iter().map(|head| head.name).collect();
    assert_eq!(names, ["checks", "diff"]);
    assert_eq!(store.artifacts_of(item, 1).await.unwrap().len(), 1);
    assert_eq!(store.artifacts_of(scene.item("other").await, 9).await.unwrap(), []);
}

#[tokio::test]
async fn the_newest_run_of_a_phase_with_a_text_is_found() {
    let (scene, item, first) = specifying().await;
    let store = scene.store();
    store.put_artifact(&first, "diff", "spec", false).await.unwrap();
    scene.report(&first, scene::passed(WorkPhase::Spec)).await;
    let latest = async |phases: &[WorkPhase]| store.latest_with_artifact(item, phases, "diff").await.unwrap();
    assert_eq!(latest(&[WorkPhase::Build]).await, None);
    let mut builds = Vec::new();
    for n in 0..2 {
        let build = scene.lease(item).await;
        assert_eq!(build.phase, WorkPhase::Build);
        store.put_artifact(&build, "diff", &n.to_string(), false).await.unwrap();
        scene.report(&build, scene::failed(damascus_core::Failure::BuildFailed)).await;
        builds.push(build.run);
    }
    assert_eq!(latest(&[WorkPhase::Build]).await, Some(builds[1]));
    assert_eq!(latest(&[WorkPhase::Spec]).await, Some(first.run));
    assert_eq!(store.latest_with_artifact(item, &[WorkPhase::Build], "checks").await.unwrap(), None);
    let runs: Vec<RunId> = store.artifacts_of(item, 9).await.unwrap().into_iter().map(|head| head.run).collect();
    assert_eq!(runs, [builds[1], builds[0], first.run]);
}

#[tokio::test]
async fn bounds_hold_and_the_lease_is_asked() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    for name in ["", "Diff", "a-b", "1a", "_a", "a b", "ä", &"a".repeat(65)] {
        is_invalid(store.put_artifact(&lease, name, "", false).await, "artifact");
    }
    let most = "x".repeat(ARTIFACT_MAX_BYTES);
    store.put_artifact(&lease, "most", &most, true).await.unwrap();
    is_invalid(store.put_artifact(&lease, "more", &format!("{most}x"), true).await, "at most 1048576");
    is_invalid(store.put_artifact(&lease, "nul", "a\0", true).await, "NUL");
    for n in 1..32 {
        store.put_artifact(&lease, &format!("a{n}"), "", false).await.unwrap();
    }
    is_invalid(store.put_artifact(&lease, "one_more", "", false).await, "at most 32");
    store.put_artifact(&lease, "a1", "changed", false).await.unwrap();

    let other = Lease { worker: scene.worker("other").await, ..lease.clone() };
    assert!(is_stale(store.put_artifact(&other, "a1", "x", false).await));
    handed_back(&scene, &lease).await;
    assert!(is_stale(store.put_artifact(&lease, "a1", "x", false).await));
    assert_eq!(store.artifact(lease.run, "a1").await.unwrap().unwrap().body, "changed");
    let large = format!(
        "INSERT INTO run_artifacts (run_id, worker_id, name, item_id, phase, body, cut) VALUES (1, 1, 'x', {item}, 'spec', repeat('x', 1048577), false)"
    );
    assert!(execute(&scene.db, &large).await.is_some());
}

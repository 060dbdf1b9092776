//! Accepted specs: versions, repetition, leases.

use std::sync::Arc;

use damascus_core::{ItemId, RunId};
use damascus_store::Lease;

use crate::subject::{execute, handed_back, is_invalid, is_stale, spec, specifying};

#[tokio::test]
async fn a_changed_spec_is_the_next_version_and_the_same_one_is_not() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    let first = store.add_spec(&lease, &spec("one")).await.unwrap();
    assert_eq!((first.version, first.run, &first.sha256), (1, lease.run, &spec("one").sha256()));
    assert_eq!(first.body, serde_json::to_value(spec("one")).unwrap());
    assert_eq!(store.add_spec(&lease, &spec("one")).await.unwrap(), first);
    let second = store.add_spec(&lease, &spec("two")).await.unwrap();
    // Only the latest counts: going back to an earlier one is a change, too.
    let third = store.add_spec(&lease, &spec("one")).await.unwrap();
    assert_eq!((second.version, third.version), (2, 3));
    assert_eq!(store.specs_of(item).await.unwrap(), [third, second, first]);
    assert_eq!(store.specs_of(ItemId(9_999)).await.unwrap(), []);
    for statement in ["UPDATE specs SET version = 9", "DELETE FROM specs"] {
        assert_eq!(execute(&scene.db, statement).await.as_deref(), Some("immutable"), "{statement}");
    }
}

#[tokio::test]
async fn nothing_is_stored_without_the_lease() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    let other = Lease { worker: scene.worker("other").await, ..lease.clone() };
    assert!(is_stale(store.add_spec(&other, &spec("one")).await), "the owner counts beside the epoch");
    handed_back(&scene, &lease).await;
    assert!(is_stale(store.add_spec(&lease, &spec("one")).await));
    let again = scene.lease(item).await;
    assert!(is_stale(store.add_spec(&lease, &spec("one")).await), "the worker has it again, under another epoch");
    assert_eq!(store.specs_of(item).await.unwrap(), []);
    assert_eq!(store.add_spec(&again, &spec("one")).await.unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn specs_that_come_at_once_get_one_version_each() {
    let (scene, item, lease) = specifying().await;
    let scene = Arc::new(scene);
    let mut adding = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (scene, lease) = (Arc::clone(&scene), lease.clone());
        adding.spawn(async move { scene.store().add_spec(&lease, &spec(&n.to_string())).await.unwrap().version });
    }
    let mut versions = adding.join_all().await;
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8]);
    // The very same one at once: one version, given to both.
    let same = spec("same");
    let (a, b) = tokio::join!(scene.store().add_spec(&lease, &same), scene.store().add_spec(&lease, &same));
    assert_eq!((a.unwrap().version, b.unwrap().version), (9, 9));
    assert_eq!(scene.store().specs_of(item).await.unwrap().len(), 9);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let (scene, item, lease) = specifying().await;
    is_invalid(scene.store().add_spec(&lease, &spec(&"x".repeat(1 << 20))).await, "at most 1048576");
    is_invalid(scene.store().add_spec(&lease, &spec("a\0b")).await, "NUL");
    // As many escapes as fit: jsonb writes them no longer than the program does.
    let stored = scene.store().add_spec(&lease, &spec(&"\u{1}".repeat(170_000))).await.unwrap();
    assert_eq!((stored.version, stored.run > RunId(0)), (1, true));
    let large = format!(
        "INSERT INTO specs (item_id, version, sha256, body, run_id) \
         SELECT {item}, 2, repeat('a', 64), jsonb_build_object('goal', repeat('x', 3000000)), 1"
    );
    assert_eq!(execute(&scene.db, &large).await.as_deref(), Some("a_spec_is_bounded"));
}

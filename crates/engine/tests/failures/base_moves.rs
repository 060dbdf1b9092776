//! A base branch that people push to while a story is on its way.

use std::sync::Arc;

use crate::person::Person;
use crate::stage::{DOES_IT, Hooks, commits_on_main, heard, settle, story};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_push_meanwhile_is_kept_and_the_change_is_tested_on_top_of_it() {
    let hooks = Arc::new(Hooks::default());
    let scene = heard(&hooks, DOES_IT).await;
    let person = Person::of(&scene);
    let item = story(&scene, "moved").await;
    // Between review and merge, and again in the very moment of landing.
    for (at, name) in [("after comment", "first.txt"), ("before land", "second.txt")] {
        let pusher = person.clone();
        hooks.on(at, move || {
            pusher.pushes(&[(name, Some("theirs\n"))]);
        });
    }
    let merged = settle(&scene, item).await;
    merged.stands("merged", 0);
    merged.verdicts_are(&["spec:pass", "build:pass", "review:pass", "merge:pass"]);
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    for name in ["first.txt", "second.txt", "moved.txt"] {
        assert!(mirror.read(&tip, name, 100).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(commits_on_main(&scene).await, 4, "two of theirs, one landing");
    let landing = scene.store().landings(scene.project, None, 10).await.unwrap();
    assert_eq!(landing.len(), 1);
    let evidence = landing[0].test_evidence().unwrap();
    assert_eq!((evidence.head.as_str(), &evidence.base), (tip.as_str(), &landing[0].base_commit));
    assert_eq!(mirror.parents_of(&tip).await.unwrap(), std::slice::from_ref(&evidence.base), "tested where it landed");

    // What is correct on both sides and wrong together is found before it lands.
    let clashing = story(&scene, "clash").await;
    let pusher = person.clone();
    hooks.on("after comment", move || {
        pusher.pushes(&[("tests/no-clash.sh", Some("if [ -e clash.txt ]; then echo there is a clash; false; fi\n"))]);
    });
    let blocked = settle(&scene, clashing).await;
    blocked.stands("blocked", 3);
    blocked.tells("merge:tests_failed", &["tests/no-clash.sh", "there is a clash"]);
    assert_eq!(commits_on_main(&scene).await, 5);
}

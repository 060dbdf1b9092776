//! Two stories that change the same line.

use std::sync::Arc;

use crate::stage::{Hooks, commits_on_main, heard, settle};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_of_two_stories_on_the_same_line_is_built_again_on_the_earlier() {
    let hooks = Arc::new(Hooks::default());
    let agent = "echo $DAMASCUS_STORY >> app.txt; echo \"grep -q $DAMASCUS_STORY app.txt\" > tests/$DAMASCUS_STORY.sh";
    let scene = heard(&hooks, agent).await;
    let late = scene.story("late", &["app.txt"], "tests/late.sh").await;
    let (store, runtime) = (scene.store().clone(), tokio::runtime::Handle::current());
    // Built, and then left alone until another has landed.
    hooks.on("after pull-request", move || {
        let holding = async { store.hold(late, "a person", "until the other has landed").await.unwrap() };
        tokio::task::block_in_place(|| runtime.block_on(holding));
    });
    settle(&scene, late).await.stands("review", 0);
    let early = scene.story("early", &["app.txt"], "tests/early.sh").await;
    settle(&scene, early).await.stands("merged", 0);
    scene.store().release(late, "a person").await.unwrap();

    let merged = settle(&scene, late).await;
    merged.stands("merged", 1);
    let again = ["build:pass", "review:pass", "merge:pass"];
    merged.verdicts_are(&[&["spec:pass", "build:pass", "review:rebase_conflict"], &again[..]].concat());
    merged.tells("review:rebase_conflict", &["app.txt", "Build on it as it is now"]);
    let runs = scene.store().item(late).await.unwrap().runs;
    let rebuilt = runs.iter().find(|run| run.phase == damascus_core::WorkPhase::Build).unwrap();
    let prompt = scene.store().artifact(rebuilt.id, "prompt").await.unwrap().unwrap().body;
    for wanted in ["rebase_conflict", "what an earlier attempt made conflicts with it in app.txt"] {
        assert!(prompt.contains(wanted), "{prompt}");
    }
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    assert_eq!(mirror.read(&tip, "app.txt", 100).await.unwrap().unwrap(), b"one\nearly\nlate\n");
    assert_eq!(commits_on_main(&scene).await, 3);
}

//! Stories that come to a good end.

use std::sync::Arc;

use damascus_adapters::agent::CommandAgent;
use damascus_sandbox::Sandbox;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::{Beginning, RULES};

/// An agent that runs a shell script in the tree.
fn script(text: &'static str) -> impl FnOnce(&Sandbox) -> Arc<dyn damascus_engine::ports::agent::Agent> {
    move |sandbox| Arc::new(CommandAgent::new(sandbox.clone(), vec!["sh".into(), "-c".into(), text.into()]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_story_lands_as_the_tested_commit_and_its_branch_is_gone() {
    let scene = LoopScene::new(script("echo two > two.txt; echo 'test -e two.txt' > tests/two.sh")).await;
    let item = scene.story("two", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    let verdicts = scene.verdicts(item).await;
    let names: Vec<&str> = verdicts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["spec:pass", "build:pass", "review:pass", "merge:pass"], "{verdicts:#?}");

    let landing = scene.store().item(item).await.unwrap().landing.unwrap();
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    assert_eq!(tip.as_str(), landing.landed_commit);
    assert_eq!(mirror.tree_of(&tip).await.unwrap().as_str(), landing.tree);
    assert_eq!(mirror.parents_of(&tip).await.unwrap(), std::slice::from_ref(&scene.first));
    assert_eq!(mirror.read(&tip, "two.txt", 100).await.unwrap().unwrap(), b"two\n");
    assert_eq!(mirror.remote_branches().await.unwrap(), ["main"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_code_of_zero_on_the_base_proves_no_new_test() {
    let rules = RULES.replace("\"tap\"", "\"exit_code\"");
    let beginning = Beginning::default().with(".damascus.toml", &rules);
    let does = "echo two > two.txt; [ $DAMASCUS_STORY = idle ] && echo true > tests/$DAMASCUS_STORY.sh || echo test -e two.txt > tests/$DAMASCUS_STORY.sh";
    let scene = LoopScene::begin(beginning, script(does)).await;
    let idle = scene.story("idle", &["two.txt"], "tests/idle.sh").await;
    scene.run_until_idle(1).await;
    let verdicts = scene.verdicts(idle).await;
    assert!(
        verdicts.iter().any(|(name, told)| name == "review:tests_failed" && told.contains("pass without the change")),
        "{verdicts:#?}"
    );
    assert!(!verdicts.iter().any(|(name, _)| name == "review:pass"), "{verdicts:#?}");
    let shown = scene.story("shown", &["two.txt"], "tests/shown.sh").await;
    scene.run_until_idle(1).await;
    assert_eq!(scene.stands(shown).await.0, "merged", "{:#?}", scene.verdicts(shown).await);
}

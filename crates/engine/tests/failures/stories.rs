//! Stories and specs that are not good enough to work by.

use damascus_core::MicroUsd;
use damascus_store::item::NewItem;
use damascus_testkit::loop_scene::{Beginning, spec};
use damascus_testkit::scene as made;
use serde_json::json;

use crate::stage::{DOES_IT, answer, commits_on_main, holds_all, scene, seen, settle, story};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_story_or_its_spec_leaves_open_is_asked_or_told_to_the_next_attempt() {
    let scene = scene(Beginning::default(), DOES_IT).await;
    scene.model.answers("bare", [spec(&["bare.txt"], "tests/bare.sh")]);
    let bare = scene.item(&NewItem { acceptance: Vec::new(), ..made::story("bare") }).await;
    let invalid = story(&scene, "invalid").await;
    scene.model.answers("invalid", [json!("Sure, here it is!"), json!({ "goal": "cut" }), json!("{\"goal\": \"off")]);
    let faulty = story(&scene, "faulty").await;
    let mut wide = spec(&["**"], "tests/faulty.sh");
    wide["tests"]["must_fail_on_base"] = json!(false);
    scene.model.answers("faulty", [wide, spec(&["faulty.txt"], "tests/faulty.sh")]);
    let open = story(&scene, "open").await;
    let mut asking = spec(&["open.txt"], "tests/open.sh");
    asking["ambiguities"] = json!([
        { "question": "Which colour?", "options": ["red", "blue"], "blocking": true, "default": "red" },
        { "question": "Which font?", "options": [], "blocking": false, "default": "any" }
    ]);
    scene.model.answers("open", [asking, spec(&["open.txt"], "tests/open.sh")]);
    settle(&scene, bare).await;

    let asked = seen(&scene, bare).await;
    asked.stands("awaiting_human", 0);
    asked.asks(&["Story bare", "acceptance criteria", "Answer with them"]);
    assert_eq!(asked.spent, MicroUsd(0), "no model was asked");

    let blocked = settle(&scene, invalid).await;
    blocked.stands("blocked", 3);
    blocked.verdicts_are(&["spec:spec_invalid"; 3]);
    blocked.asks(&["all 3 attempts failed", "spec_invalid", "does not fit the schema"]);
    assert_eq!(blocked.spent, MicroUsd(3_000), "every answer was paid for");
    let asked: Vec<String> = requests(&scene, "invalid");
    assert!(!asked[0].contains("schema") && asked.len() == 3, "{}", asked[0]);
    holds_all(&asked[1], &["attempt 2 of 3", "does not fit the schema: expected value at line 1"]);
    holds_all(&asked[2], &["attempt 3 of 3", "missing field"]);

    let mended = settle(&scene, faulty).await;
    mended.stands("merged", 1);
    mended.verdicts_are(&["spec:spec_invalid", "spec:pass", "build:pass", "review:pass", "merge:pass"]);
    mended.tells("spec:spec_invalid", &["allows the whole repository", "must be true"]);
    holds_all(&requests(&scene, "faulty")[1], &["files.allow[0]", "tests.must_fail_on_base"]);

    let waits = settle(&scene, open).await;
    waits.stands("awaiting_human", 0);
    waits.asks(&["Which colour?"]);
    assert_eq!(waits.spent, MicroUsd(1_000));

    answer(&scene, bare, "Given nothing, bare.txt is there.").await;
    answer(&scene, open, "blue").await;
    for (item, key, said) in [(bare, "bare", "bare.txt is there."), (open, "open", "blue")] {
        let merged = settle(&scene, item).await;
        merged.stands("merged", 0);
        let asked = requests(&scene, key);
        holds_all(asked.last().unwrap(), &[said, "What people answered"]);
        let build = scene.store().item(item).await.unwrap().runs;
        let build = build.iter().find(|run| run.phase == damascus_core::WorkPhase::Build).unwrap();
        let prompt = scene.store().artifact(build.id, "prompt").await.unwrap().unwrap();
        holds_all(&prompt.body, &[said]);
    }
    assert_eq!(commits_on_main(&scene).await, 4, "three landings, and nothing of the blocked one");
}

/// What the model was asked for a story, in order.
fn requests(scene: &damascus_testkit::LoopScene, key: &str) -> Vec<String> {
    scene.model.asked().into_iter().filter(|one| one.tag.0 == key).map(|one| one.user).collect()
}

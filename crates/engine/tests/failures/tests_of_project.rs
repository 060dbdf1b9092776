//! Tests of a change that prove nothing.

use damascus_store::item::NewItem;
use damascus_testkit::loop_scene::{Beginning, RUNNER, spec};
use damascus_testkit::scene as made;
use serde_json::json;

use crate::stage::{DOES_IT, commits_on_main, scene, settle};

/// A runner that a change can make misbehave by the file that it adds: what a defect in the code under test does to a real one.
const FRAGILE: &str = "[ -e garbled.txt ] && { echo all is well; exit 0; }\n[ -e empty.txt ] && { echo 1..0; exit 0; }\n\
                       [ -e slow.txt ] && { echo begun; sleep 1000; }\n\
                       [ -e crashes.txt ] && kill -SEGV $$\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_that_prove_nothing_are_no_pass_and_say_why() {
    let rules = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = \"tap\"\ntimeout_s = 5\n";
    // With `fewer.txt` it passes over the tests that were there before.
    let runner = format!(
        "{FRAGILE}{}",
        RUNNER.replace("|| continue\n", "|| continue\n  [ -e fewer.txt ] && [ $t = tests/base.sh ] && continue\n")
    );
    let beginning = Beginning::default().with(".damascus.toml", rules).with("run-tests.sh", &runner);
    let scene = scene(beginning, DOES_IT).await;
    let stories: [(&str, &str, &[&str]); 6] = [
        (
            "garbled",
            "review:tests_failed",
            &["The tests' report can't be believed", "no test report: expected a TAP stream"],
        ),
        ("empty", "review:tests_failed", &["zero tests"]),
        (
            "fewer",
            "review:tamper_suspected",
            &["1 tests that pass on the base do not run on the head", "tests/base.sh"],
        ),
        ("slow", "review:tests_failed", &["\"test\" failed: it did not end within 5 s", "sh run-tests.sh", "begun"]),
        ("crashes", "review:tests_failed", &["\"test\" failed: it ended with exit code 139", "crashed"]),
        ("own", "review:tests_failed", &["\"spec\" failed", "no-such-checker --strict", "exit code 127"]),
    ];
    let mut items = Vec::new();
    for (key, ..) in stories {
        let mut answer = spec(&[&format!("{key}.txt")], &format!("tests/{key}.sh"));
        if key == "own" {
            answer["tests"]["command"] = json!(["no-such-checker", "--strict"]);
        }
        scene.model.answers(key, [answer]);
        items.push(scene.item(&NewItem { max_attempts: Some(1), ..made::story(key) }).await);
    }
    for (item, (key, verdict, wanted)) in items.into_iter().zip(stories) {
        let blocked = settle(&scene, item).await;
        blocked.stands("blocked", 1);
        blocked.verdicts_are(&["spec:pass", "build:pass", verdict]);
        blocked.tells(verdict, wanted);
        blocked.asks(wanted);
        let pull = scene.store().work_context(item).await.unwrap().build.unwrap().pull_request;
        let comments = scene.store().pull_comments(scene.project, u32::try_from(pull).unwrap()).await.unwrap();
        assert_eq!(comments.len(), 1, "{key}: the pull request says why");
    }
    assert_eq!(commits_on_main(&scene).await, 1, "nothing landed");
}

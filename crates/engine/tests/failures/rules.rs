//! A base branch that can't be worked on: its rules, and its own tests.

use std::sync::Arc;

use damascus_core::MicroUsd;
use damascus_testkit::loop_scene::{Beginning, RULES};

use crate::person::Person;
use crate::stage::{DOES_IT, Hooks, answer, commits_on_main, heard, scene, settle, story};

const MISSING: &str = "[test]\ncommand = [\"no-such-runner\", \"--all\"]\nreport = \"tap\"\n";
const SLOW: &str = "[test]\ncommand = [\"sh\", \"-c\", \"echo begun; sleep 1000\"]\nreport = \"tap\"\ntimeout_s = 1\n";
const SILENT: &str = "[test]\ncommand = [\"true\"]\nreport = \"tap\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_branch_that_is_not_fit_is_asked_about_before_anything_is_spent() {
    let broken = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = \"tab\"\n";
    let scene = scene(Beginning::default().with(".damascus.toml", broken), DOES_IT).await;
    let person = Person::of(&scene);
    let item = story(&scene, "patient").await;
    let steps: [(&str, Option<&str>, &[&str]); 6] = [
        // Found at the beginning.
        ("", None, &[".damascus.toml:3:10", "tab", "on main", "then answer", "damascus project prove demo"]),
        (".damascus.toml", Some("[test\n"), &[".damascus.toml:1:", "then answer"]),
        (".damascus.toml", None, &["found no command that tests this project", "[test]", "command =", "then answer"]),
        (".damascus.toml", Some(MISSING), &["not green by itself", "no-such-runner --all", "127", "then answer"]),
        (".damascus.toml", Some(SLOW), &["did not end within 1 s", "sleep 1000", "begun"]),
        (".damascus.toml", Some(SILENT), &["no test report", "TAP", "then answer"]),
    ];
    for (path, text, wanted) in steps {
        if !path.is_empty() {
            person.pushes(&[(path, text)]);
            answer(&scene, item, "It is mended.").await;
        }
        let asked = settle(&scene, item).await;
        asked.stands("awaiting_human", 0);
        asked.asks(wanted);
        assert_eq!((asked.spent, asked.infra_failures), (MicroUsd(0), 0));
    }
    person.pushes(&[(".damascus.toml", Some(RULES)), ("tests/red.sh", Some("echo expected 2, got 1; false\n"))]);
    answer(&scene, item, "It is mended.").await;
    let red = settle(&scene, item).await;
    red.stands("awaiting_human", 0);
    red.asks(&["The base branch main is not green by itself", "tests/red.sh", "expected 2, got 1", "then answer"]);
    assert!(scene.model.asked().is_empty(), "nothing was spent");

    person.pushes(&[("tests/red.sh", Some("true\n"))]);
    answer(&scene, item, "It is mended.").await;
    let merged = settle(&scene, item).await;
    merged.stands("merged", 0);
    assert_eq!((merged.spent, commits_on_main(&scene).await), (MicroUsd(1_000), 7 + 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_branch_that_somebody_breaks_in_the_middle_is_blamed_on_no_agent() {
    let hooks = Arc::new(Hooks::default());
    let scene = heard(&hooks, DOES_IT).await;
    let person = Person::of(&scene);

    // Red while the story is reviewed: found when it is to land.
    let item = story(&scene, "solid").await;
    let pusher = person.clone();
    hooks.on("after pull-request", move || {
        pusher.pushes(&[("tests/red.sh", Some("echo by somebody; false\n"))]);
    });
    let blocked = settle(&scene, item).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&[
        "spec:pass",
        "build:pass",
        "review:pass",
        "merge:infra_error",
        "merge:infra_error",
        "merge:infra_error",
    ]);
    blocked.asks(&[
        "the surroundings failed 3 times",
        "The base branch main is not green by itself",
        "by somebody",
        "Mend the branch",
    ]);
    assert_eq!(commits_on_main(&scene).await, 2, "nothing landed on a red branch");
    person.pushes(&[("tests/red.sh", Some("true\n"))]);
    answer(&scene, item, "retry").await;
    settle(&scene, item).await.stands("merged", 0);

    // Rules that can't be read, while the spec is written: found when it is to be built.
    let item = story(&scene, "ruled").await;
    let pusher = person.clone();
    hooks.on("after spec", move || {
        pusher.pushes(&[(".damascus.toml", Some("[test]\ncommand = 5\n"))]);
    });
    let blocked = settle(&scene, item).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&["spec:pass", "build:infra_error", "build:infra_error", "build:infra_error"]);
    blocked.asks(&[".damascus.toml:2:11", "Correct them on that branch"]);
    person.pushes(&[(".damascus.toml", Some(RULES))]);
    answer(&scene, item, "retry").await;
    settle(&scene, item).await.stands("merged", 0);
}

//! A repository that is not there, or not what it should be.

use std::sync::Arc;

use damascus_core::MicroUsd;
use damascus_store::item::NewItem;
use damascus_testkit::loop_scene::spec;
use damascus_testkit::scene as made;

use crate::person::{Person, git};
use crate::stage::{DOES_IT, Hooks, answer, heard, settle, story};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_can_not_be_used_is_asked_about_and_then_used() {
    let hooks = Arc::new(Hooks::default());
    let scene = heard(&hooks, DOES_IT).await;
    let item = story(&scene, "waits").await;
    let (there, away) = (scene.repository.clone(), scene.folder.path().join("away.git"));
    let asks = async |wanted: &[&str]| {
        let asked = settle(&scene, item).await;
        asked.stands("awaiting_human", 0);
        asked.asks(&[&there.display().to_string(), "then answer"]);
        asked.asks(wanted);
        assert_eq!(asked.spent, MicroUsd(0));
        answer(&scene, item, "Look again.").await;
    };
    std::fs::rename(&there, &away).unwrap();
    scene.model.answers("bare", [spec(&["bare.txt"], "tests/bare.sh")]);
    let bare = scene.item(&NewItem { acceptance: Vec::new(), ..made::story("bare") }).await;
    settle(&scene, bare).await.asks(&["nothing is there"]);
    asks(&["nothing is there", "of project demo"]).await;
    std::fs::create_dir(&there).unwrap();
    std::fs::write(there.join("thesis.txt"), "precious").unwrap();
    asks(&["not a git repository"]).await;
    std::fs::remove_file(there.join("thesis.txt")).unwrap();
    git(&there, &["init", "-q", "--bare", "."]);
    asks(&["is empty", "Push a first commit to main"]).await;
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    let person = Person::of(&scene);
    person.moves("trunk", &scene.first);
    person.removes("main");
    asks(&["has no branch main; it has: trunk"]).await;
    person.moves("main", &scene.first);
    settle(&scene, item).await.stands("merged", 0);
    // What was said of the repository says nothing of criteria.
    answer(&scene, bare, "Look again.").await;
    let asked = settle(&scene, bare).await;
    asked.stands("awaiting_human", 0);
    asked.asks(&["acceptance criteria"]);

    // In the middle, between build and review.
    let item = story(&scene, "later").await;
    let (from, to) = (there.clone(), away.clone());
    hooks.on("after pull-request", move || std::fs::rename(from, to).unwrap());
    let blocked = settle(&scene, item).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&[
        "spec:pass",
        "build:pass",
        "review:infra_error",
        "review:infra_error",
        "review:infra_error",
    ]);
    blocked.asks(&["the surroundings failed 3 times", "there is no repository at", &there.display().to_string()]);
    std::fs::rename(&away, &there).unwrap();
    answer(&scene, item, "retry").await;
    settle(&scene, item).await.stands("merged", 0);
}

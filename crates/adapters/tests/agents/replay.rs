//! Recordings, played.

use std::path::Path;
use std::sync::Arc;

use damascus_adapters::agent::{Recordings, ReplayAgent, ReplayModel};
use damascus_core::MicroUsd;
use damascus_engine::ports::agent::{Agent as _, AgentEnd};
use damascus_engine::ports::model::{Model as _, ModelError, ModelRequest};

use crate::world::Scene;

const FILES: [(&str, &str); 9] = [
    ("README.md", "not part of any story"),
    ("1-1-first/build-0/files/src/new.rs", "fn wrong() {}\n"),
    ("1-1-first/build-0/outcome.toml", "tokens_in = 5\ntokens_out = 6\ncost_microusd = 7\n"),
    ("1-1-first/build-2/files/src/new.rs", "fn right() {}\n"),
    ("1-1-first/build-2/delete", "old.txt\n\n"),
    ("1-1-first/build-2/transcript.txt", "I see.\nDone.\n"),
    ("1-1-first/spec-0.json", "{\"goal\":1}"),
    ("1-1-first/spec-1.json", "{\"goal\":2}"),
    ("1-1-first/spec-1.toml", "tokens_in = 50\ncost_microusd = 70\n"),
];

fn recordings() -> Arc<Recordings> {
    Arc::new(Recordings::from_files(FILES).expect("recordings"))
}

#[tokio::test]
async fn a_round_plays_its_recording_or_the_last_one_before_it() {
    let agent = ReplayAgent::new(recordings());
    let mut scene = Scene::new();
    let run = scene.run(&agent).await;
    assert_eq!(run.end, AgentEnd::Done);
    assert_eq!((run.costs[0].tokens_in, run.costs[0].tokens_out, run.costs[0].amount), (5, 6, MicroUsd(7)));
    assert_eq!((run.costs[0].provider.as_str(), run.costs[0].estimated), ("replay", false));

    scene.task.round = 1;
    assert_eq!(scene.run(&agent).await.end, AgentEnd::Done);
    assert_eq!(scene.file("src/new.rs").as_deref(), Some("fn wrong() {}\n"));
    assert!(scene.file("old.txt").is_some());

    scene.task.round = 2;
    let run = scene.run(&agent).await;
    assert_eq!((run.end, run.summary.as_str(), run.costs.len()), (AgentEnd::Done, "Done.", 0));
    assert_eq!(scene.file("src/new.rs").as_deref(), Some("fn right() {}\n"));
    assert_eq!(scene.file("old.txt"), None);
    let last = scene.transcript.lines();
    assert_eq!(last[last.len() - 2..], ["I see.", "Done."]);
    assert!(last[last.len() - 3].contains("recording") && last[last.len() - 3].contains("1-1-first/build-2"));

    // A recording that does not fit the tree: what it deletes is gone.
    scene.task.round = 9;
    let run = scene.run(&agent).await;
    assert!(matches!(&run.end, AgentEnd::Failed(text) if text.contains("old.txt")), "{:?}", run.end);
}

#[tokio::test]
async fn a_story_that_was_not_recorded_fails_and_says_what_was() {
    let mut scene = Scene::new();
    scene.task.story_key = "../x".to_owned();
    let run = scene.run(&ReplayAgent::new(recordings())).await;
    let AgentEnd::Failed(text) = run.end else { panic!("{:?}", run.end) };
    assert!(text.contains("../x") && text.contains("recorded: 1-1-first"), "{text}");

    let empty = ReplayAgent::new(Arc::new(Recordings::default()));
    assert!(empty.probe().await.is_err());
    assert!(ReplayAgent::new(recordings()).probe().await.is_ok());
}

#[tokio::test]
async fn links_in_the_tree_are_not_followed() {
    let scene = Scene::new();
    let outside = scene.beside().join("outside");
    std::fs::create_dir(&outside).expect("our own folder");
    std::os::unix::fs::symlink(&outside, scene.task.tree.join("src")).expect("our own folder");

    let run = scene.run(&ReplayAgent::new(recordings())).await;

    assert!(matches!(&run.end, AgentEnd::Failed(text) if text.contains("src/new.rs")), "{:?}", run.end);
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0);
}

#[tokio::test]
async fn a_cancelled_run_plays_nothing() {
    let scene = Scene::new();
    scene.cancelled.cancel();
    assert_eq!(scene.run(&ReplayAgent::new(recordings())).await.end, AgentEnd::Cancelled);
    assert_eq!(scene.file("src/new.rs"), None);
}

#[test]
fn what_has_no_place_in_the_format_is_refused() {
    for path in [
        "../1-1-a/spec-0.json",
        "/1-1-a/spec-0.json",
        "1-1-a/../b/spec-0.json",
        "1-1-a/spec-x.json",
        "1-1-a/spec-00.json",
        "1-1-a/spec-0.yaml",
        "1-1-a/notes",
        "1-1-a/build-0",
        "1-1-a/build-0/files",
        "1-1-a/build-0/files/../../../etc/passwd",
        "1-1-a/build-0/other",
        "1-1-a/build--1/delete",
    ] {
        let error = Recordings::from_files([(path, "{}")]).expect_err(path).to_string();
        assert!(error.contains("agent::replay"), "{error}");
    }
    for line in ["../x", "/etc/passwd", "a/../../x", "."] {
        assert!(Recordings::from_files([("1-1-a/build-0/delete", line)]).is_err(), "{line}");
    }
    assert!(Recordings::from_files([("1-1-a/spec-0.json", b"\xff".to_vec())]).is_err());
}

#[tokio::test]
async fn outcomes_that_say_too_little_or_unknown_things_fail() {
    for outcome in ["end = \"maybe\"", "end = \"failed\"", "end = \"spec_wrong\"\ntext = \" \"", "price = 1", "end ="] {
        let files = [("1-1-first/build-0/outcome.toml", outcome)];
        let agent = ReplayAgent::new(Arc::new(Recordings::from_files(files).expect("recordings")));
        let run = Scene::new().run(&agent).await;
        assert!(
            matches!(&run.end, AgentEnd::Failed(text) if text.contains("outcome.toml")),
            "{outcome}: {:?}",
            run.end
        );
    }
}

#[test]
fn a_folder_is_loaded_and_links_in_it_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, content) in FILES {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("our own folder");
        std::fs::write(path, content).expect("our own folder");
    }
    assert_eq!(Recordings::from_folder(folder.path()).expect("recordings").len(), 1);
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("1-1-first/spec-7.json")).expect("our own folder");
    assert!(Recordings::from_folder(folder.path()).is_err());
    assert!(Recordings::from_folder(Path::new("/nowhere-at-all")).is_err());
}

#[tokio::test]
async fn the_model_answers_what_was_recorded() {
    let model = ReplayModel::new(recordings());
    let ask = |story: &str, round: u32| {
        let tag = (story.to_owned(), round);
        let (system, user, schema) = (String::new(), String::new(), serde_json::Value::Null);
        let request = ModelRequest { model: None, system, user, schema_name: "spec", schema, max_tokens: 1, tag };
        let model = model.clone();
        async move { model.ask(&request).await }
    };

    let first = ask("1-1-first", 0).await.expect("an answer");
    assert_eq!((first.text.as_str(), first.cost.amount), ("{\"goal\":1}", MicroUsd(0)));
    for round in [1, 2, 40] {
        let later = ask("1-1-first", round).await.expect("an answer");
        assert_eq!((later.text.as_str(), later.cost.amount), ("{\"goal\":2}", MicroUsd(70)));
        assert_eq!((later.cost.tokens_in, later.cost.estimated), (50, false));
    }
    let Err(ModelError::Refused(text)) = ask("2-1-other", 0).await else { panic!("nothing was recorded") };
    assert!(text.contains("2-1-other") && text.contains("1-1-first"), "{text}");
}

//! Pushes that are refused, and branches that somebody else has pushed to.

use std::sync::Arc;

use damascus_core::MicroUsd;
use damascus_engine::phases::branch_of;

use crate::person::{Person, git};
use crate::stage::{DOES_IT, Hooks, answer, commits_on_main, heard, settle, story};

const HOOK: &str = "#!/bin/sh\nwhile read old new ref; do case $ref in PATTERN) echo \"ticket number missing in $ref\" >&2; exit 1;; esac; done\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_the_repository_refuses_is_told_in_its_words_and_made_again() {
    let hooks = Arc::new(Hooks::default());
    let scene = heard(&hooks, DOES_IT).await;
    let person = Person::of(&scene);
    for (key, pattern, phase) in [("branch", "refs/heads/damascus/*", "build"), ("landing", "refs/heads/main", "merge")]
    {
        person.installs_hook("pre-receive", &HOOK.replace("PATTERN", pattern));
        let (before, agents) = (commits_on_main(&scene).await, hooks.count("after agent"));
        let item = story(&scene, key).await;
        let blocked = settle(&scene, item).await;
        blocked.stands("blocked", 0);
        blocked.asks(&["the surroundings failed 3 times", "the forge rejects", "ticket number missing in refs/heads/"]);
        assert!(blocked.explained.contains(&format!("then goes on in {phase}")), "{}", blocked.explained);
        assert_eq!((blocked.spent, commits_on_main(&scene).await), (MicroUsd(1_000), before));
        person.removes_hook("pre-receive");
        answer(&scene, item, "retry").await;
        settle(&scene, item).await.stands("merged", 0);
        assert_eq!(hooks.count("after agent"), agents + 1, "what the agent made was kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_pushed_to_an_items_branch_is_kept() {
    let hooks = Arc::new(Hooks::default());
    let scene = heard(&hooks, DOES_IT).await;
    let person = Person::of(&scene);
    let item = story(&scene, "taken").await;
    let branch = branch_of(item, "taken");
    let before = person.pushes_to(&branch, &[("notes.txt", Some("precious\n"))]);
    let (pusher, name) = (person.clone(), branch.clone());
    let (told, pushed) = std::sync::mpsc::channel();
    // The second time what was reviewed is no longer what would land.
    for (at, file) in [("after pull-request", "more.txt"), ("after evidence", "last.txt")] {
        let (pusher, name, told) = (pusher.clone(), name.clone(), told.clone());
        hooks.on(at, move || {
            told.send(pusher.pushes_to(&name, &[(file, Some("precious too\n"))])).unwrap();
        });
    }
    let merged = settle(&scene, item).await;
    merged.stands("merged", 2);
    let rejected = ["build:pass", "review:review_rejected"];
    let moved = ["build:pass", "review:pass", "merge:head_moved", "review:review_rejected"];
    let last = ["build:pass", "review:pass", "merge:pass"];
    merged.verdicts_are(&[&["spec:pass"], &rejected[..], &moved, &last].concat());
    merged.tells("merge:head_moved", &["The branch is at ", " was reviewed."]);
    merged.tells("review:review_rejected", &["is not Damascus' own commit: somebody pushed one"]);
    let mirror = scene.folder.path().join(format!("home/repos/{}.git", scene.project.0));
    let (second, third) = (pushed.recv().unwrap(), pushed.recv().unwrap());
    for (commit, file) in [(before, "notes.txt"), (second, "more.txt"), (third, "last.txt")] {
        let kept = format!("refs/damascus/foreign/{item}/{commit}:{file}");
        assert!(git(&mirror, &["show", &kept]).starts_with("precious"), "{file} is kept");
    }
}

//! The trial of a project that costs nothing, on good and bad projects.

use damascus_engine::prove::{Outcome, Proven, prove};
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::Beginning;
use tokio_util::sync::CancellationToken;

use crate::person::Person;
use crate::stage::{DOES_IT, scene};

async fn proven(scene: &LoopScene) -> Proven {
    let project = scene.store().project("demo").await.expect("the project is there");
    let mut told = Vec::new();
    let proven = prove(&scene.workshop, &project, &CancellationToken::new(), |line| told.push(line.name)).await;
    assert_eq!(told, proven.lines.iter().map(|line| line.name).collect::<Vec<_>>(), "told as it comes");
    proven
}

/// The line that fails, which names a fix.
#[track_caller]
fn fails(proven: &Proven, name: &str, parts: &[&str]) {
    assert!(!proven.holds());
    let failed: Vec<_> = proven.lines.iter().filter(|line| line.outcome == Outcome::Fail).collect();
    let [line] = failed.as_slice() else { panic!("{:#?}", proven.lines) };
    assert!(line.name == name && line.fix.is_some(), "{line:#?}");
    assert!(parts.iter().all(|part| line.found.contains(part)), "{}", line.found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_says_what_would_not_work_and_leaves_nothing_behind() {
    let scene = scene(Beginning::default(), DOES_IT).await;
    let person = Person::of(&scene);
    let good = proven(&scene).await;
    assert!(good.holds(), "{:#?}", good.lines);
    let lines: Vec<(&str, Outcome)> = good.lines.iter().map(|line| (line.name, line.outcome)).collect();
    let expected = ["repository", "rules", "test", "report", "push"].map(|name| (name, Outcome::Ok));
    assert_eq!(lines, expected, "{:#?}", good.lines);
    assert_eq!(scene.look().await.remote_branches().await.unwrap(), ["main"], "the scratch branch is gone");

    person.installs_hook("pre-receive", "#!/bin/sh\necho no pushing on Sundays >&2; exit 1\n");
    fails(&proven(&scene).await, "push", &["no pushing on Sundays"]);
    person.removes_hook("pre-receive");

    let red = person.pushes(&[("tests/red.sh", Some("echo expected 2, got 1; false\n"))]);
    let found = proven(&scene).await;
    fails(&found, "base", &["not green", "tests/red.sh", "expected 2, got 1"]);
    assert!(found.lines.iter().all(|line| line.name != "push"), "nothing is pushed from a red branch");
    person.pushes(&[("tests/red.sh", None), (".damascus.toml", Some("[test]\ncommand = []\n"))]);
    fails(&proven(&scene).await, "rules", &[".damascus.toml:2:11"]);
    person.pushes(&[(".damascus.toml", None)]);
    fails(&proven(&scene).await, "rules", &["found no command that tests this project", "[test]"]);
    person.moves("main", &red);

    person.moves("trunk", &scene.first);
    person.removes("main");
    fails(&proven(&scene).await, "repository", &["no branch main", "trunk"]);
    std::fs::remove_dir_all(&scene.repository).unwrap();
    fails(&proven(&scene).await, "repository", &["nothing is there"]);
    assert!(scene.model.asked().is_empty());
}

//! Somebody else at the forge: branches that move after the build, pull requests that are closed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use damascus_core::{ItemId, ProjectId};
use damascus_engine::ports::Effects;
use damascus_store::Store;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::Beginning;

use crate::stage::{HONEST, in_a_persons_hands, names, nothing_landed, one_attempt, script};

/// Where somebody acts.
struct At {
    repository: PathBuf,
    store: Store,
    project: ProjectId,
}

/// What somebody does, once.
type Deed = Box<dyn FnOnce() + Send>;

/// Does something before or after the first effect of a name, as somebody else would.
#[derive(Default)]
struct Somebody {
    before: bool,
    effect: &'static str,
    deed: Mutex<Option<Deed>>,
}

impl Somebody {
    fn acts(&self, before: bool, name: &str) {
        if before == self.before && name == self.effect {
            let deed = self.deed.lock().expect("no test panics while it holds this").take();
            if let Some(deed) = deed {
                deed();
            }
        }
    }
}

impl Effects for Somebody {
    fn before(&self, name: &'static str) {
        self.acts(true, name);
    }
    fn after(&self, name: &'static str) {
        self.acts(false, name);
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let quiet = [("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")];
    let who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "safe.directory=*"];
    let run =
        Command::new("git").current_dir(folder).args(who).args(args).envs(quiet).output().expect("git is installed");
    assert!(run.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().to_owned()
}

/// Pushes to the branch of the only story: what `change` does to its files, on top or in place of its commit.
fn push(repository: &Path, change: &str, amend: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let branch = git(repository, &["for-each-ref", "--format=%(refname:short)", "refs/heads/damascus/"]);
    let clone = folder.path().join("clone");
    let from = repository.display().to_string();
    git(folder.path(), &["clone", "-q", "-b", &branch, &from, "clone"]);
    let changed = Command::new("sh").current_dir(&clone).args(["-c", change]).status().expect("sh is there");
    assert!(changed.success());
    git(&clone, &["add", "-A"]);
    git(&clone, if amend { &["commit", "-q", "--amend", "--no-edit"] } else { &["commit", "-q", "-m", "Mine"] });
    git(&clone, &["push", "-q", "--force", "origin", &branch]);
}

/// A scene with somebody who does a deed with the repository and the store once, around the effect; then the story is worked on.
async fn meanwhile(
    before: bool,
    effect: &'static str,
    attempts: u16,
    deed: impl FnOnce(&At) + Send + 'static,
) -> (LoopScene, ItemId) {
    let somebody = Arc::new(Somebody { before, effect, deed: Mutex::default() });
    let mut beginning = Beginning { effects: Arc::clone(&somebody) as _, ..one_attempt() };
    beginning.project.max_attempts = attempts;
    let scene = LoopScene::begin(beginning, script(HONEST)).await;
    let at = At { repository: scene.repository.clone(), store: scene.store().clone(), project: scene.project };
    *somebody.deed.lock().expect("nobody panicked yet") = Some(Box::new(move || deed(&at)));
    let item = scene.story("two", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    assert!(somebody.deed.lock().expect("nobody panicked").is_none(), "the deed was not done: no effect {effect}");
    (scene, item)
}

async fn refused(scene: &LoopScene, item: ItemId, expected: &[&str], tells: &str) {
    let verdicts = scene.verdicts(item).await;
    assert_eq!(names(scene, item).await, expected, "{verdicts:#?}");
    assert!(verdicts.iter().any(|(_, told)| told.contains(tells)), "{verdicts:#?}");
    assert_eq!(in_a_persons_hands(scene, item).await, None);
    nothing_landed(scene).await;
}

/// Gives the commit another message.
fn reword(repository: &Path, message: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let branch = git(repository, &["for-each-ref", "--format=%(refname:short)", "refs/heads/damascus/"]);
    git(folder.path(), &["clone", "-q", "-b", &branch, &repository.display().to_string(), "clone"]);
    let clone = folder.path().join("clone");
    git(&clone, &["commit", "-q", "--amend", "-m", message]);
    git(&clone, &["push", "-q", "--force", "origin", &branch]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_claims_to_be_another_items_does_not_land() {
    // The same files: only whose landing it would be taken for differs.
    let other = "Two\n\nIt works.\n\nDamascus-Spec: 1\nDamascus-Item: 999";
    let (scene, item) = meanwhile(false, "pull-request", 1, move |at| reword(&at.repository, other)).await;
    refused(&scene, item, &["spec:pass", "build:pass", "review:review_rejected"], "not Damascus' own commit").await;
}

const ON_TOP: &str = "echo evil >> app.txt";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_top_of_the_built_one_is_not_reviewed_as_ours() {
    let (scene, item) = meanwhile(false, "pull-request", 1, |at| push(&at.repository, ON_TOP, false)).await;
    refused(&scene, item, &["spec:pass", "build:pass", "review:review_rejected"], "somebody pushed to the branch")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_in_place_of_the_built_one_is_judged_like_any() {
    let cheat = "rm tests/base.sh; echo '* -diff' > .gitattributes";
    let (scene, item) = meanwhile(false, "pull-request", 1, move |at| push(&at.repository, cheat, true)).await;
    refused(&scene, item, &["spec:pass", "build:pass", "review:tamper_suspected"], "tests/base.sh [test_deleted]")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_moves_after_its_review_does_not_land() {
    let (scene, item) = meanwhile(false, "comment", 1, |at| push(&at.repository, ON_TOP, false)).await;
    refused(
        &scene,
        item,
        &["spec:pass", "build:pass", "review:pass", "merge:head_moved", "review:review_rejected"],
        "was reviewed",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_moves_at_the_last_moment_does_not_land_untested() {
    let broken = "rm app.txt";
    let (scene, item) = meanwhile(true, "land", 1, move |at| push(&at.repository, broken, true)).await;
    refused(
        &scene,
        item,
        &["spec:pass", "build:pass", "review:pass", "merge:head_moved", "review:review_rejected"],
        "app.txt [outside_scope]",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_somebody_else_is_kept_when_the_branch_is_built_again() {
    let (scene, item) = meanwhile(false, "pull-request", 2, |at| push(&at.repository, ON_TOP, false)).await;
    let expected = ["spec:pass", "build:pass", "review:review_rejected", "build:pass", "review:pass", "merge:pass"];
    assert_eq!(names(&scene, item).await, expected, "{:#?}", scene.verdicts(item).await);
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    assert_eq!(
        mirror.read(&tip, "app.txt", 100).await.unwrap().unwrap(),
        b"one\n",
        "what somebody pushed did not land"
    );
    let kept = git(
        &scene.folder.path().join("home/repos").join(format!("{}.git", scene.project)),
        &["for-each-ref", "--format=%(refname)"],
    );
    assert!(kept.lines().any(|name| name.contains("foreign/")), "{kept}");
}

/// Closes the only pull request, as a person does.
fn close(store: &Store, project: ProjectId) {
    let close = async {
        let closed = store.settle_pull(project, 1, None).await.expect("the store answers");
        assert!(closed.is_some(), "there was one to close");
    };
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(close));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_that_a_person_closed_does_not_land() {
    let (scene, item) = meanwhile(false, "pull-request", 1, |at| close(&at.store, at.project)).await;
    refused(&scene, item, &["spec:pass", "build:pass", "review:review_rejected"], "was closed without merging").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_that_a_person_closed_after_its_review_does_not_land() {
    let (scene, item) = meanwhile(false, "comment", 1, |at| close(&at.store, at.project)).await;
    refused(
        &scene,
        item,
        &["spec:pass", "build:pass", "review:pass", "merge:head_moved", "review:review_rejected"],
        "closed",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_somebody_removed_does_not_land() {
    let (scene, item) = meanwhile(false, "comment", 1, |at| {
        let branch = git(&at.repository, &["for-each-ref", "--format=%(refname:short)", "refs/heads/damascus/"]);
        git(&at.repository, &["branch", "-q", "-D", &branch]);
    })
    .await;
    refused(
        &scene,
        item,
        &["spec:pass", "build:pass", "review:pass", "merge:head_moved", "review:review_rejected"],
        "is gone",
    )
    .await;
}

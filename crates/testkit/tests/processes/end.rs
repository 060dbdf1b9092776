//! How things stand when all work is done, and what must be true then, whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use damascus_engine::verify;
use damascus_store::item::ItemFilter;
use damascus_store::{Channel, Listener};
use damascus_testkit::LoopScene;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// How long to wait for a notification before looking without one.
const LOOK: Duration = Duration::from_millis(250);
/// The most items of a scene.
const ITEMS_MAX: usize = 500;
/// The message of a commit that only serves as a starting point and is thrown away.
const STARTING_POINT: &str = "What an earlier attempt made";

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemEnd {
    pub(crate) phase: String,
    pub(crate) attempts_used: u16,
    /// What its runs reported, in order; lost ones reported nothing.
    pub(crate) verdicts: Vec<String>,
}

/// How everything ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) items: BTreeMap<String, ItemEnd>,
    /// The tree of the base branch.
    pub(crate) tree: String,
}

/// Waits until every item has ended and nobody works any more.
pub(crate) async fn all_ended(scene: &LoopScene) {
    let mut listener: Option<Listener> = None;
    loop {
        let census = scene.store().census().await.expect("everything can be counted");
        if census.open == 0 && census.leases() == 0 {
            return;
        }
        if listener.is_none() {
            listener = scene.store().listen(&[Channel::Events]).await.ok();
        }
        if let Some(open) = &mut listener
            && let Ok(Err(_)) = tokio::time::timeout(LOOK, open.wait()).await
        {
            listener = None;
        }
    }
}

/// What the items came to.
pub(crate) async fn end(scene: &LoopScene) -> End {
    let filter = ItemFilter { limit: ITEMS_MAX, ..ItemFilter::default() };
    let page = scene.store().items(&filter).await.expect("the items can be listed");
    let mut items = BTreeMap::new();
    for item in page.items {
        let detail = scene.store().item(item.id).await.expect("the item is there");
        let reported = detail.runs.iter().rev().filter(|run| run.ended == "reported");
        let verdicts = reported
            .map(|run| format!("{}:{}", run.phase, run.verdict.map(|one| one.to_string()).unwrap_or_default()))
            .collect();
        let end = ItemEnd { phase: item.phase.to_string(), attempts_used: item.attempts_used, verdicts };
        items.insert(item.key, end);
    }
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.expect("the mirror can be read").expect("the base branch is there");
    let tree = mirror.tree_of(&tip).await.expect("the tip is there").to_string();
    End { items, tree }
}

/// What must be true of the database, the repository and the folders when every item has merged.
pub(crate) async fn check(scene: &LoopScene, crashes: u64) {
    let offences = scene.store().audit().await.expect("the history can be read");
    assert!(offences.is_empty(), "the history does not add up: {offences:#?}");
    let count = |texts: Vec<String>| texts.len();
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let items = count(scene.db.texts("SELECT id::text FROM work_items WHERE phase = 'merged'").await);
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let pulls = "SELECT head_branch FROM pull_requests ORDER BY 1";
    let branches: BTreeSet<String> = scene.db.texts(pulls).await.into_iter().collect();
    assert_eq!(count(scene.db.texts(pulls).await), items, "one pull request for each item");
    assert_eq!(branches.len(), items, "each for a branch of its own");
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let open = scene.db.texts("SELECT head_branch FROM pull_requests WHERE state <> 'merged'").await;
    assert!(open.is_empty(), "not merged: {open:?}");
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let landed = scene.db.texts("SELECT landed_commit FROM landings ORDER BY id").await;
    assert_eq!(landed.len(), items, "one landing for each item");
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let unmarked = "SELECT l.landed_commit FROM landings l WHERE NOT EXISTS (SELECT FROM pull_requests p WHERE p.merged_as = l.landed_commit)";
    assert_eq!(scene.db.texts(unmarked).await, Vec::<String>::new(), "each pull request is merged as what landed");
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let charged = format!("SELECT id::text FROM work_items WHERE infra_failures > {crashes}");
    assert_eq!(scene.db.texts(&charged).await, Vec::<String>::new(), "a crash is one failure of the surroundings");

    let project = scene.store().project("demo").await.expect("the project is there");
    let audit = verify::audit(&scene.workshop, &project, false, &CancellationToken::new(), |_| {}).await;
    let audit = audit.expect("the landings can be audited");
    assert!(audit.holds() && audit.foreign.is_empty(), "{audit:#?}");

    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.expect("the mirror can be read").expect("the base branch is there");
    let log = mirror.log(Some(&scene.first), &tip, ITEMS_MAX).await.expect("the history can be read");
    let on_base: Vec<String> = log.iter().rev().map(|commit| commit.id.to_string()).collect();
    assert_eq!(on_base, landed, "the base branch has the landings and nothing else, in their order");
    assert_eq!(mirror.remote_branches().await.expect("the repository answers"), ["main"], "branches are tidied up");
}

/// No commit may be lost: each that anybody made is on a branch of the repository or kept in the mirror. Gives those that are not.
pub(crate) async fn lost_commits(scene: &LoopScene) -> Vec<String> {
    let mirror = scene.folder.path().join("home/repos").join(format!("{}.git", scene.project));
    let mut all = BTreeSet::new();
    for repository in [&scene.repository, &mirror] {
        let objects =
            git(repository, &["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]).await;
        all.extend(objects.lines().filter_map(|line| line.strip_suffix(" commit")).map(str::to_owned));
    }
    for kept in git(&mirror, &["rev-list", "--all"]).await.lines() {
        all.remove(kept);
    }
    let mut lost = Vec::new();
    for commit in all {
        let home = if git(&mirror, &["cat-file", "-t", &commit]).await.trim() == "commit" {
            &mirror
        } else {
            &scene.repository
        };
        let subject = git(home, &["log", "-1", "--format=%s", &commit]).await;
        // Two that the scene itself made and threw away besides.
        if ![STARTING_POINT, "Nothing yet"].contains(&subject.trim()) {
            lost.push(format!("{commit} {}", subject.trim()));
        }
    }
    lost
}

async fn git(repository: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new("git").arg("-C").arg(repository).args(arguments).output().await.expect("git is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What is left in the work folder of processes that are gone.
pub(crate) fn left_by(scene: &LoopScene, pids: &[u32]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(scene.folder.path().join("home/work")).expect("the work folder is there");
    let of = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.split('-').next()?.parse::<u32>().ok()
    };
    entries.flatten().map(|entry| entry.path()).filter(|path| of(path).is_some_and(|pid| pids.contains(&pid))).collect()
}

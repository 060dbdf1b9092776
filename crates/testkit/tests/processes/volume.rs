//! Many stories at once: two worker processes, an agent that is a script, and changes that are in each other's way now and then.
//!
//! `DAMASCUS_TEST_VOLUME` says how many stories.

use std::collections::BTreeMap;
use std::time::Duration;

use damascus_core::CommitId;
use damascus_git::Mirror;
use damascus_store::item::NewItem;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::{Beginning, spec};
use damascus_testkit::scene::story;
use tokio::process::Command;
use tokio::time::Instant;

use crate::end::{all_ended, check, lost_commits};
use crate::process::{How, Process};
use crate::setting;
use crate::stage::{self, SPEC_MICROUSD, record_spec};

/// How the workers work.
const HOW: How = How { concurrency: 3, lease: Duration::from_secs(30), breadth: false };
/// Files that more than one story changes.
const SHARED: u64 = 4;
/// The first two of so many neighbours change the same line of a shared file.
const NEIGHBOURS: u64 = 5;
/// What a story is granted: each conflict costs one.
const ATTEMPTS: u16 = 20;
/// How long it may take as a whole, and for each story.
const PATIENCE: Duration = Duration::from_secs(120);
const PATIENCE_EACH: Duration = Duration::from_secs(4);
/// The agent. A story's key is `plain-N`, or `shared-K-N` when it also changes the shared file `K`.
const AGENT: &str = "set -e
n=${DAMASCUS_STORY##*-}
mkdir -p items
echo \"$n\" > \"items/$n.txt\"
echo \"grep -qx $n items/$n.txt\" > \"tests/$n.sh\"
case $DAMASCUS_STORY in shared-*) k=${DAMASCUS_STORY#shared-}; k=${k%-*}; echo \"changed by $n\" > \"shared/$k.txt\";; esac
";

/// How long runs took, for whoever looks for what costs time.
// tidy-expect(sql-outside-store): the test looks at the tables themselves
const PROFILE: &str = "SELECT phase || ': ' || count(*) || ' runs, ' || round(avg(extract(epoch FROM ended_at - started_at)) * 1000) || ' ms each'
    FROM runs GROUP BY phase ORDER BY phase";

/// A scene with so many stories.
async fn stories(count: u64) -> LoopScene {
    let mut beginning = Beginning::default();
    beginning.project.max_attempts = ATTEMPTS;
    for file in 0..SHARED {
        beginning = beginning.with(&format!("shared/{file}.txt"), "as it began\n");
    }
    let scene = stage::scene(beginning).await;
    std::fs::write(scene.folder.path().join("agent.sh"), AGENT).expect("a file in the scene's folder");
    let new: Vec<NewItem> = (0..count)
        .map(|n| {
            let file = (n / NEIGHBOURS) % SHARED;
            let shared = n % NEIGHBOURS < 2;
            let key = if shared { format!("shared-{file}-{n}") } else { format!("plain-{n}") };
            let mut allow = vec![format!("items/{n}.txt")];
            allow.extend(shared.then(|| format!("shared/{file}.txt")));
            let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
            record_spec(&scene, &key, &spec(&allow, &format!("tests/{n}.sh")));
            NewItem { rank: i64::try_from(n).expect("a small number"), ..story(&key) }
        })
        .collect();
    scene.store().create_items(scene.project, &new).await.expect("the items are new");
    scene
}

/// Runs the project's own tests on every commit that landed, oldest first, outside any sandbox: the project is ours.
async fn green_at_each(scene: &LoopScene, mirror: &Mirror, commits: &[CommitId]) {
    for (n, commit) in commits.iter().enumerate() {
        let dir = scene.folder.path().join(format!("green-{n}"));
        std::fs::create_dir(&dir).expect("a folder in the scene's");
        mirror.checkout(commit, &dir).await.expect("a checkout");
        let output = Command::new("sh").arg("run-tests.sh").current_dir(&dir).output().await.expect("sh is there");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{commit}, landing {n}, is red:\n{said}");
        assert!(said.ends_with(&format!("1..{}\n", n + 2)), "each landing brings one test beside the first: {said}");
        std::fs::remove_dir_all(&dir).expect("our own folder");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_stories_land_once_each_on_a_base_that_is_green_at_every_commit() {
    let count = setting("DAMASCUS_TEST_VOLUME", 24);
    println!("DAMASCUS_TEST_VOLUME={count}");
    let scene = stories(count).await;
    let began = Instant::now();
    let workers = [Process::start(&scene, "first", HOW, None), Process::start(&scene, "second", HOW, None)];
    let patience = PATIENCE + PATIENCE_EACH * u32::try_from(count).expect("a small number");
    let done = tokio::time::timeout(patience, all_ended(&scene)).await;
    let verdicts = verdicts(&scene).await;
    println!("{count} stories in {:.1} s: {verdicts:?}", began.elapsed().as_secs_f64());
    assert!(done.is_ok(), "not at an end after {patience:?}");
    for worker in &workers {
        let effects = worker.reached().len();
        println!("worker {}: {} effects", worker.pid, effects / 2);
        assert!(effects > 0, "both worked");
    }
    for worker in workers {
        worker.finish().await;
    }

    check(&scene, 0).await;
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    assert_eq!(scene.db.texts("SELECT count(*)::text FROM landings").await, [count.to_string()]);
    assert!(verdicts.get("review:rebase_conflict").or(verdicts.get("merge:rebase_conflict")).is_some(), "{verdicts:?}");
    assert_eq!(lost_commits(&scene).await, Vec::<String>::new());
    let expected = SPEC_MICROUSD * i64::try_from(verdicts["spec:pass"]).expect("a small number");
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let spent = scene.db.texts("SELECT coalesce(sum(amount_microusd), 0)::text FROM cost_ledger").await;
    assert_eq!(spent, [expected.to_string()], "one call of the model for each spec");
    assert_eq!(verdicts["spec:pass"], count);
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    assert_eq!(scene.db.texts("SELECT count(*)::text FROM work_items WHERE infra_failures > 0").await, ["0"]);

    let mirror = scene.look().await;
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let landed = scene.db.texts("SELECT landed_commit FROM landings ORDER BY id").await;
    let commits: Vec<CommitId> = landed.iter().map(|id| id.parse().expect("a commit")).collect();
    green_at_each(&scene, &mirror, &commits).await;
    for line in scene.db.texts(PROFILE).await {
        println!("{line}");
    }
    println!("all after {:.1} s", began.elapsed().as_secs_f64());
}

/// How often each phase reported what.
async fn verdicts(scene: &LoopScene) -> BTreeMap<String, u64> {
    // tidy-expect(sql-outside-store): the test looks at the tables themselves
    let query = "SELECT phase || ':' || coalesce(verdict::text, ended::text) FROM runs";
    let mut counts = BTreeMap::new();
    for verdict in scene.db.texts(query).await {
        *counts.entry(verdict).or_default() += 1;
    }
    counts
}

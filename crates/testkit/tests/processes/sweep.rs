//! The crash sweep: a worker that dies before and after each of its effects, one that dies twice, and one that is frozen past its lease.
//!
//! `DAMASCUS_TEST_SWEEP=all` takes every point instead of a sample; `DAMASCUS_SWEEP_SEED` draws another sample. The seed is printed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use damascus_testkit::LoopScene;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;

use crate::end::{End, all_ended, check, end, left_by, lost_commits};
use crate::process::{Fault, How, Process, Reached};
use crate::setting;
use crate::stage::stories;

/// How the workers work: one run at a time, so that the points come in the same order each time; a lease that a busy machine can renew in
/// time.
const HOW: How = How { concurrency: 1, lease: Duration::from_secs(5), breadth: true };
/// Scenes at the same time: most of a scene's time is waiting for a lease to run out.
const AT_ONCE: usize = 6;
/// How long one scene may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The effects that the stories of the sweep have. One that is missing here or there is noticed.
const EFFECTS: [&str; 14] = [
    "agent",
    "candidate",
    "comment",
    "evidence",
    "fetch",
    "keep",
    "land",
    "mark-merged",
    "model",
    "pull-request",
    "push",
    "remove-branch",
    "spec",
    "status",
];

/// One story, which needs a second attempt.
const SMALL: &[&str] = &["two"];
/// Another lands before it, so that it is tested again on the new base.
const MIDDLE: &[&str] = &["one", "two"];
/// And one waits for the first.
const LARGE: &[&str] = &["one", "two", "three"];

/// What a run without a crash comes to, and what it passes on the way.
#[derive(Clone)]
struct Whole {
    keys: &'static [&'static str],
    end: End,
    points: Vec<Reached>,
}

fn seed() -> u64 {
    let seed = setting("DAMASCUS_SWEEP_SEED", 0xDA3A);
    println!("DAMASCUS_SWEEP_SEED={seed}");
    seed
}

fn takes_all() -> bool {
    std::env::var("DAMASCUS_TEST_SWEEP").is_ok_and(|text| text == "all")
}

async fn whole(keys: &'static [&'static str]) -> Whole {
    let scene = stories(keys).await;
    let worker = Process::start(&scene, "whole", HOW, None);
    patiently("without a crash", all_ended(&scene)).await;
    let points = worker.reached();
    worker.finish().await;
    let end = end(&scene).await;
    check(&scene, 0).await;
    assert_eq!(lost_commits(&scene).await, Vec::<String>::new());
    let used: Vec<u16> = end.items.values().map(|item| item.attempts_used).collect();
    let expected: Vec<u16> = end.items.keys().map(|key| u16::from(key == "two")).collect();
    assert_eq!(used, expected, "`two` needs a second attempt: {end:#?}");
    Whole { keys, end, points }
}

async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("not at an end after {PATIENCE:?}: {what}"))
}

/// Lets workers die at these points, one after the other, and one more do the rest. Says what was reached by those that died.
async fn crashed(whole: &Whole, points: &[u64]) -> Vec<String> {
    let scene = stories(whole.keys).await;
    let (mut dead, mut last) = (Vec::new(), Vec::new());
    for (n, &at) in points.iter().enumerate() {
        let mut worker = Process::start(&scene, &format!("dies-{n}"), HOW, Some(Fault::Kill(at)));
        let status = patiently(&format!("dying at {at}"), worker.ended()).await;
        assert!(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9), "{status} at {at}");
        last.push(worker.reached().pop().map(|reached| reached.what).unwrap_or_default());
        dead.push(worker.pid);
    }
    let worker = Process::start(&scene, "last", HOW, None);
    patiently(&format!("after dying at {last:?}"), all_ended(&scene)).await;
    assert_eq!(end(&scene).await, whole.end, "another end after dying at {last:?}");
    check(&scene, points.len() as u64).await;
    let lost = lost_commits(&scene).await;
    let may_lose = last.iter().filter(|what| *what == "before keep").count();
    assert!(lost.len() <= may_lose, "lost by dying at {last:?}: {lost:?}");
    let left = left_by(&scene, &dead);
    assert!(left.is_empty(), "left behind by dying at {last:?}: {left:?}");
    worker.finish().await;
    last
}

/// One point for each effect, before and after it.
fn sample(whole: &Whole, rng: &mut SmallRng) -> BTreeMap<String, u64> {
    let mut by_name: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for point in &whole.points {
        by_name.entry(point.what.clone()).or_default().push(point.number);
    }
    by_name.into_iter().map(|(name, numbers)| (name, numbers[rng.random_range(0..numbers.len())])).collect()
}

/// Where workers die: everywhere, or at one point for each effect, before and after it, of as few stories as have it.
async fn points(rng: &mut SmallRng) -> Vec<(Whole, u64)> {
    if takes_all() {
        let whole = whole(LARGE).await;
        return whole.points.iter().map(|point| (whole.clone(), point.number)).collect();
    }
    let (small, middle) = (whole(SMALL).await, whole(MIDDLE).await);
    let mut points: BTreeMap<String, (Whole, u64)> = BTreeMap::new();
    for whole in [middle, small] {
        points.extend(sample(&whole, rng).into_iter().map(|(name, at)| (name, (whole.clone(), at))));
    }
    points.into_values().collect()
}

/// Works through a list, several at a time.
async fn each<T: Send + 'static, F>(todo: Vec<T>, work: impl Fn(T) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let todo = Arc::new(Mutex::new(VecDeque::from(todo)));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (todo, work) = (Arc::clone(&todo), work.clone());
        workers.spawn(async move {
            loop {
                let next = todo.lock().expect("nobody panics while holding it").pop_front();
                let Some(next) = next else { return };
                work(next).await;
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.expect("every one comes to its end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_at_any_effect_changes_nothing_about_the_end() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let points = points(&mut rng).await;
    println!("{} points", points.len());
    let reached = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&reached);
    each(points, move |(whole, at)| {
        let seen = Arc::clone(&seen);
        async move {
            let last = crashed(&whole, &[at]).await;
            seen.lock().expect("nobody panics while holding it").extend(last);
        }
    })
    .await;
    let reached = reached.lock().expect("all are done");
    let every =
        EFFECTS.iter().flat_map(|name| [format!("before {name}"), format!("after {name}")]).collect::<BTreeSet<_>>();
    assert_eq!(*reached, every, "a worker dies before and after every effect; name a new one in this test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deaths_in_a_row_change_nothing_either() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let whole = whole(MIDDLE).await;
    let last = whole.points.len() as u64;
    let count = if takes_all() { 40 } else { 2 };
    // The second dies early: later it may have nothing left to do before it gets there.
    let pairs: Vec<[u64; 2]> =
        (0..count).map(|_| [rng.random_range(last / 8..last * 5 / 8), rng.random_range(1..last / 8)]).collect();
    each(pairs, move |pair| {
        let whole = whole.clone();
        async move {
            let last = crashed(&whole, &pair).await;
            println!("died at {last:?}");
        }
    })
    .await;
}

/// A worker is frozen at a point until another has done all of its work; then it goes on, unaware.
async fn frozen(whole: &Whole, at: u64) {
    let scene = stories(whole.keys).await;
    let stale = Process::start(&scene, "stale", HOW, Some(Fault::Stop(at)));
    patiently("stopping", stale.stopped()).await;
    let worker = Process::start(&scene, "other", HOW, None);
    patiently("the other worker", all_ended(&scene)).await;
    let what = stale.reached().pop().map(|reached| reached.what).unwrap_or_default();
    assert_eq!(end(&scene).await, whole.end, "another end beside one frozen at {what}");
    let before = look(&scene).await;
    stale.go_on();
    // It ends when its runs have: a stale run is told to stop, and reports nothing that counts.
    patiently("ending in order", stale.finish()).await;
    assert_eq!(look(&scene).await, before, "the stale worker, frozen at {what}, changed something");
    assert_eq!(end(&scene).await, whole.end);
    check(&scene, 1).await;
    worker.finish().await;
}

/// All that a stale worker must leave alone.
async fn look(scene: &LoopScene) -> Vec<String> {
    let mut seen = Vec::new();
    for query in [
        // tidy-expect(sql-outside-store): the test looks at the tables themselves
        "SELECT row(w.id, w.phase, w.lease_epoch, w.attempts_used, w.infra_failures, w.transitions)::text FROM work_items w ORDER BY id",
        // tidy-expect(sql-outside-store): the test looks at the tables themselves
        "SELECT row(id, item_id, run_id, landed_commit)::text FROM landings ORDER BY id",
        // tidy-expect(sql-outside-store): the test looks at the tables themselves
        "SELECT row(number, head_branch, state, merged_as)::text FROM pull_requests ORDER BY number",
        // tidy-expect(sql-outside-store): the test looks at the tables themselves
        "SELECT row(pull_request_id, marker, body)::text FROM pull_request_comments ORDER BY id",
        // tidy-expect(sql-outside-store): the test looks at the tables themselves
        "SELECT row(id, item_id, verdict, ended)::text FROM runs ORDER BY id",
    ] {
        seen.extend(scene.db.texts(query).await);
    }
    let mirror = scene.look().await;
    seen.extend(mirror.remote_branches().await.expect("the repository answers"));
    seen.push(format!("{:?}", mirror.tip("main").await.expect("the mirror can be read")));
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_frozen_past_its_lease_changes_nothing_when_it_goes_on() {
    let whole = whole(if takes_all() { LARGE } else { MIDDLE }).await;
    let chosen = |what: &str| match what {
        "before land" | "after land" | "before push" => true,
        other => takes_all() && other.starts_with("before"),
    };
    let points = whole.points.iter().filter(|point| chosen(&point.what)).map(|point| point.number).collect();
    each(points, move |at| {
        let whole = whole.clone();
        async move { frozen(&whole, at).await }
    })
    .await;
}

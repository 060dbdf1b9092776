//! Lanes: never more runs than they allow, whoever claims; never fewer than they allow while something could run.

use std::sync::Arc;
use std::time::Duration;

use damascus_core::{ProjectId, WorkPhase};
use damascus_store::lane::Lane;
use damascus_store::{Channel, ClaimRequest, Lease};
use damascus_testkit::Scene;
use damascus_testkit::scene::{asked, names, passes, project, rate_limited, report_move, request};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

use crate::table;

/// What could run although nobody runs it: it can be claimed, and each of its lanes is open and has room.
const STARVED: &str = "
    WITH used AS (
        SELECT pl.lane_id, count(*) AS n FROM work_items w
        JOIN phase_lanes pl ON pl.project_id = w.project_id AND pl.phase = w.phase
        WHERE w.lease_owner IS NOT NULL GROUP BY pl.lane_id
    )
    SELECT count(*) FROM work_items w JOIN projects p ON p.id = w.project_id
    WHERE w.claim_class IS NOT NULL AND p.paused_at IS NULL AND NOT EXISTS (
        SELECT FROM phase_lanes pl JOIN lanes l ON l.id = pl.lane_id LEFT JOIN used u ON u.lane_id = l.id
        WHERE pl.project_id = w.project_id AND pl.phase = w.phase
          AND (l.opens_at > clock_timestamp() OR coalesce(u.n, 0) >= l.concurrency))";

async fn starved(scene: &Scene) -> i64 {
    table::number(&scene.db, STARVED).await
}

async fn lanes(scene: &Scene) -> Vec<Lane> {
    scene.store().lanes().await.unwrap()
}

/// Checks every lane at one moment.
async fn check(scene: &Scene) {
    for lane in lanes(scene).await {
        let most = lane.concurrency.unwrap_or(u32::MAX);
        assert!(lane.running <= most, "{} runs in {}, {most} allowed", lane.running, lane.name);
    }
}

/// Three projects that share their agent or their provider, and items of theirs in every phase.
async fn projects(rng: &mut SmallRng) -> (Scene, Vec<ProjectId>) {
    let of = |name: &str, agent: &str, provider: &str| {
        let mut new = project(name);
        (new.agent_lane, new.provider_lane) = (agent.to_owned(), provider.to_owned());
        new
    };
    let scene = Scene::with(of("demo", "agent:a", "provider:p")).await;
    let mut all = vec![scene.project];
    for new in [of("two", "agent:a", "provider:q"), of("three", "agent:b", "provider:p")] {
        all.push(scene.store().add_project(&new).await.unwrap());
    }
    for &project in &all {
        scene.items(project, 40).await;
    }
    for name in ["demo", "two", "three"] {
        scene.store().set_lane_concurrency(&format!("landing:{name}"), None).await.unwrap();
    }
    for _ in 0..3 {
        let (go_on, stay): (Vec<Lease>, Vec<Lease>) = scene
            .claim(512)
            .await
            .into_iter()
            .partition(|lease| lease.phase != WorkPhase::Merge && rng.random_ratio(1, 2));
        scene.write(&passes(&go_on)).await;
        scene.store().hand_back(scene.worker, &names(&stay)).await.unwrap();
    }
    (scene, all)
}

async fn limit(scene: &Scene, rng: &mut SmallRng) {
    for lane in lanes(scene).await {
        let most = rng.random_ratio(4, 5).then(|| rng.random_range(1..7));
        scene.store().set_lane_concurrency(&lane.name, most).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lane_holds_more_than_it_may_whoever_claims() {
    const SEED: u64 = 0xCA95;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (scene, _) = projects(&mut rng).await;
    limit(&scene, &mut rng).await;
    let scene = Arc::new(scene);
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (scene, worker) = (Arc::clone(&scene), scene.worker(&format!("w{n}")).await);
        let mut rng = SmallRng::seed_from_u64(SEED + n);
        claimers.spawn(async move {
            let mut finished: Vec<Lease> = Vec::new();
            for _ in 0..25 {
                let claim = request(worker, rng.random_range(1..8));
                let (_, leases) = scene.store().finish_and_claim(&passes(&finished), &claim).await.unwrap();
                check(&scene).await;
                let (back, next): (Vec<Lease>, Vec<Lease>) = leases.into_iter().partition(|_| rng.random_ratio(1, 10));
                scene.store().hand_back(worker, &names(&back)).await.unwrap();
                finished = next;
            }
            scene.store().hand_back(worker, &names(&finished)).await.unwrap();
        });
    }
    claimers.join_all().await;
    let merged = table::number(&scene.db, "SELECT count(*) FROM landings").await;
    assert!(merged > 20, "{merged} merged: too little happened to prove anything; seed {SEED}");
}

#[tokio::test]
async fn one_claim_takes_all_that_its_lanes_have_room_for() {
    const SEED: u64 = 0x57A2;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let (scene, _) = projects(&mut rng).await;
    for round in 0..60 {
        limit(&scene, &mut rng).await;
        let leases = scene.claim(512).await;
        check(&scene).await;
        assert_eq!(starved(&scene).await, 0, "could run and was not claimed; seed {SEED}, round {round}");
        scene.store().hand_back(scene.worker, &names(&leases)).await.unwrap();
    }
}

#[tokio::test]
async fn a_claim_of_few_takes_the_first_that_have_room() {
    let scene = Scene::new().await;
    let other = scene.project("other").await;
    let front = scene.items(scene.project, 5).await;
    scene.bring_to(WorkPhase::Review, &front).await;
    let behind = scene.items(other, 5).await;
    scene.store().set_project_concurrency(scene.project, Some(2)).await.unwrap();
    let leases = scene.claim(4).await;
    let items: Vec<_> = leases.iter().map(|lease| lease.item).collect();
    assert_eq!(items, [front[0], front[1], behind[0], behind[1]]);
    assert_eq!(scene.claim(1).await[0].item, behind[2], "the full lane in front holds up nobody");
}

#[tokio::test]
async fn a_paused_project_and_a_closed_lane_in_front_hold_up_nobody() {
    let scene = Scene::new().await;
    let front = scene.items(scene.project, 4).await;
    scene.bring_to(WorkPhase::Review, &front).await;
    let other = scene.project("other").await;
    let behind = scene.items(other, 4).await;
    scene.store().pause_project(scene.project, "ada").await.unwrap();
    let paused = scene.claim(2).await;
    assert_eq!(paused.iter().map(|lease| lease.item).collect::<Vec<_>>(), behind[..2]);

    // The provider refuses: specs of both projects wait, reviews do not.
    scene.report(&paused[0], rate_limited(Some(3_600_000))).await;
    assert_eq!(scene.claim(9).await, []);
    scene.store().resume_project(scene.project, "ada").await.unwrap();
    let reviews = scene.claim(9).await;
    assert_eq!(reviews.iter().map(|lease| lease.item).collect::<Vec<_>>(), front);
    scene.store().open_lane("provider:gateway", "ada").await.unwrap();
    assert_eq!(scene.claim(9).await.iter().map(|lease| lease.item).collect::<Vec<_>>(), behind[2..]);
}

#[tokio::test]
async fn landings_happen_one_at_a_time_on_a_branch() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    scene.bring_to(WorkPhase::Merge, &items).await;
    for item in items {
        let landing = scene.claim(9).await;
        assert_eq!(landing.iter().map(|lease| lease.item).collect::<Vec<_>>(), [item]);
        assert_eq!(scene.claim(9).await, []);
        scene.write(&passes(&landing)).await;
    }
}

#[tokio::test]
async fn a_limit_that_is_lowered_below_what_runs_lets_runs_end_and_none_begin() {
    let scene = Scene::new().await;
    scene.items(scene.project, 6).await;
    let leases = scene.claim(4).await;
    scene.store().set_global_concurrency(Some(2)).await.unwrap();
    assert_eq!(scene.claim(9).await, []);
    scene.store().hand_back(scene.worker, &names(&leases[..2])).await.unwrap();
    assert_eq!(scene.claim(9).await, []);
    scene.store().hand_back(scene.worker, &names(&leases[2..3])).await.unwrap();
    assert_eq!(scene.claim(9).await.len(), 1);
}

#[tokio::test]
async fn a_report_and_the_claim_in_its_commit_count_the_place_that_became_free() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    scene.store().set_global_concurrency(Some(1)).await.unwrap();
    let first = scene.claim(9).await;
    assert_eq!(first.len(), 1);
    let specs = ClaimRequest { phases: vec![WorkPhase::Spec], ..request(scene.worker, 9) };
    let (applied, next) = scene.store().finish_and_claim(&passes(&first), &specs).await.unwrap();
    assert_eq!((applied.written, applied.claimable), (vec![items[0]], 1));
    assert_eq!(next.iter().map(|lease| lease.item).collect::<Vec<_>>(), [items[1]]);
}

#[tokio::test]
async fn others_are_told_of_a_place_that_became_free_and_was_not_taken() {
    let scene = Scene::new().await;
    scene.store().set_global_concurrency(Some(1)).await.unwrap();
    let items = scene.items(scene.project, 3).await;
    let lease = scene.claim(1).await.remove(0);
    let mut listener = scene.store().listen(&[Channel::Work]).await.unwrap();
    let mut told =
        async |what: &str| tokio::time::timeout(table::PATIENCE, listener.wait()).await.expect(what).unwrap();

    // A worker that runs no specs asks a person; another one waits for its place.
    let merges = ClaimRequest { phases: vec![WorkPhase::Merge], ..request(scene.worker, 1) };
    let (applied, next) =
        scene.store().finish_and_claim(&[report_move(&lease, asked("Which?"))], &merges).await.unwrap();
    assert_eq!((applied.written, applied.claimable, next), (vec![items[0]], 0, vec![]));
    told("a report that left its place").await;

    let lost = ClaimRequest { lease: Duration::ZERO, ..request(scene.worker, 1) };
    assert_eq!(scene.store().claim(&lost).await.unwrap().len(), 1);
    assert_eq!(scene.store().sweep_leases(1.0).await.unwrap().lost, 1);
    told("a lease that was lost").await;
    assert_eq!(scene.claim(9).await.len(), 1);
    scene.store().cancel(items[2], "ada", "").await.unwrap();
    told("a run that a person ended").await;
    let held = scene.item("new").await;
    told("a new item").await;
    scene.store().hold(held, "ada", "").await.unwrap();
    told("a hold, which a claim may have come by").await;
}

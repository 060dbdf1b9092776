//! Claims: in the domain's order, each item to one worker, past what can't be claimed, and never at the price of history.

use std::collections::BTreeMap;
use std::sync::Arc;

use damascus_core::claim::ClaimKey;
use damascus_core::{GateCondition, ItemId, WorkPhase};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::NewItem;
use damascus_store::{ClaimRequest, bench};
use damascus_testkit::Scene;
use damascus_testkit::scene::{names, passes, request, story};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Connection as _;

use crate::table;

const SEED: u64 = 0xC1A1;

/// Items of two projects with random priorities and ranks, each advanced to a random phase; their keys in claim order.
async fn scattered(scene: &Scene, rng: &mut SmallRng) -> BTreeMap<ItemId, ClaimKey> {
    let mut what = BTreeMap::new();
    for project in [scene.project, scene.project("other").await] {
        let new: Vec<NewItem> = (0..60)
            .map(|n| NewItem {
                priority: Some(rng.random_range(0..4)),
                rank: rng.random_range(-2..3),
                ..story(&format!("s{n}"))
            })
            .collect();
        for (made, new) in scene.store().create_items(project, &new).await.unwrap().iter().zip(new) {
            what.insert(made.item, (WorkPhase::Spec, i16::try_from(new.priority.unwrap()).unwrap(), new.rank));
        }
    }
    for name in ["landing:demo", "landing:other"] {
        scene.store().set_lane_concurrency(name, None).await.unwrap();
    }
    for _ in 0..3 {
        let leases = scene.claim(512).await;
        assert_eq!(leases.len(), what.len());
        let (go_on, stay): (Vec<_>, Vec<_>) =
            leases.into_iter().partition(|lease| lease.phase != WorkPhase::Merge && rng.random_ratio(1, 2));
        scene.write(&passes(&go_on)).await;
        scene.store().hand_back(scene.worker, &names(&stay)).await.unwrap();
        for lease in go_on {
            let next = match lease.phase {
                WorkPhase::Spec => WorkPhase::Build,
                WorkPhase::Build => WorkPhase::Review,
                WorkPhase::Review | WorkPhase::Merge => WorkPhase::Merge,
            };
            what.get_mut(&lease.item).unwrap().0 = next;
        }
    }
    what.into_iter().map(|(item, (phase, priority, rank))| (item, ClaimKey::new(phase, priority, rank, item))).collect()
}

#[tokio::test]
async fn claims_come_in_the_order_of_the_domain() {
    let scene = Scene::new().await;
    let mut rng = SmallRng::seed_from_u64(SEED);
    let keys = scattered(&scene, &mut rng).await;
    let mut expected: Vec<ItemId> = keys.keys().copied().collect();
    expected.sort_by_key(|item| keys[item]);
    let mut claimed = Vec::new();
    loop {
        let asked = rng.random_range(1..9);
        let leases = scene.claim(asked).await;
        assert!(leases.len() == asked || claimed.len() + leases.len() == expected.len());
        if leases.is_empty() {
            break;
        }
        claimed.extend(leases.into_iter().map(|lease| lease.item));
    }
    assert_eq!(claimed, expected, "seed {SEED}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_claimers_never_share_an_item() {
    let scene = Arc::new(Scene::new().await);
    let items = scene.items(scene.project, 400).await;
    let mut claimers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (scene, worker) = (Arc::clone(&scene), scene.worker(&format!("w{n}")).await);
        claimers.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leases = scene.store().claim(&request(worker, n % 5 + 1)).await.unwrap();
                if leases.is_empty() {
                    return mine;
                }
                assert!(leases.iter().all(|lease| lease.worker == worker));
                mine.extend(leases);
            }
        });
    }
    let shares = claimers.join_all().await;
    let mut claimed: Vec<ItemId> = shares.iter().flatten().map(|lease| lease.item).collect();
    claimed.sort();
    assert_eq!(claimed, items, "each once");
    let mut runs: Vec<i64> = shares.iter().flatten().map(|lease| lease.run.0).collect();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), items.len(), "each run has an id of its own");
    let owners = "SELECT id, lease_owner, lease_epoch FROM work_items ORDER BY id";
    for (id, owner, epoch) in table::all::<(i64, i64, i64)>(&scene.db, owners).await {
        let lease = shares.iter().flatten().find(|lease| lease.item.0 == id).unwrap();
        assert_eq!((owner, epoch), (lease.worker.0, lease.epoch.0));
    }
    let told = "SELECT count(DISTINCT item_id) FROM events_outbox WHERE type = 'run.started' AND seq = 2";
    assert_eq!(table::number(&scene.db, told).await, 400);
}

#[tokio::test]
async fn what_waits_is_passed_over() {
    let scene = Scene::new().await;
    let gate = NewGate {
        phase: WorkPhase::Spec,
        waits_for: GateTarget::Condition(GateCondition::Human { question: "May it?".to_owned() }),
        deadline: None,
        origin: "a test".to_owned(),
    };
    let gated = NewItem { gates: vec![gate], ..story("gated") };
    let gated = scene.store().create_item(scene.project, &gated).await.unwrap();
    let held = scene.item("held").await;
    scene.store().hold(held, "ada", "").await.unwrap();
    let leased = scene.item("leased").await;
    let lease = scene.lease(leased).await;
    let sleeping = scene.item("sleeping").await;
    let ran = scene.lease(sleeping).await;
    scene.report(&ran, damascus_testkit::scene::failed(damascus_core::Failure::Timeout)).await;
    let parked = scene.item("parked").await;
    let ran = scene.lease(parked).await;
    scene.report(&ran, damascus_testkit::scene::asked("Which?")).await;
    assert_eq!(scene.claim(10).await, []);

    scene.store().release(held, "ada").await.unwrap();
    assert_eq!(names(&scene.claim(10).await)[0].0, held);
    scene.store().approve_gate(gated.gates[0].gate, "ada", "").await.unwrap();
    assert_eq!(names(&scene.claim(10).await)[0].0, gated.item);
    scene.store().hand_back(scene.worker, &names(&[lease])).await.unwrap();
    assert_eq!(names(&scene.claim(10).await)[0].0, leased);
}

#[tokio::test]
async fn a_worker_gets_the_phases_that_it_asked_for_and_no_more_than_it_asked_for() {
    let scene = Scene::new().await;
    let first = scene.items(scene.project, 6).await;
    scene.bring_to(WorkPhase::Build, &first).await;
    let other = scene.project("other").await;
    scene.items(other, 3).await;
    let of = |phases: &[WorkPhase], max| ClaimRequest { phases: phases.to_vec(), ..request(scene.worker, max) };
    let claim = async |phases: &[WorkPhase], max| scene.store().claim(&of(phases, max)).await.unwrap();
    assert_eq!(claim(&[WorkPhase::Review, WorkPhase::Merge], 9).await, []);
    assert_eq!(claim(&[], 9).await, []);
    assert_eq!(claim(&[WorkPhase::Spec, WorkPhase::Build], 0).await, []);
    let specs = claim(&[WorkPhase::Spec], 2).await;
    assert!(specs.len() == 2 && specs.iter().all(|lease| lease.phase == WorkPhase::Spec && lease.project == other));
    let rest = claim(&[WorkPhase::Spec, WorkPhase::Build], 9).await;
    let phases: Vec<WorkPhase> = rest.iter().map(|lease| lease.phase).collect();
    assert_eq!(phases, [[WorkPhase::Build; 6].as_slice(), &[WorkPhase::Spec]].concat());
}

#[tokio::test]
async fn a_claim_beside_a_persons_row_lock_waits_for_nobody() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    let mut person = scene.db.connect().await;
    table::lock(&mut person, items[0]).await;
    let leases = tokio::time::timeout(table::PATIENCE, scene.claim(3)).await.expect("nobody is waited for");
    assert_eq!(names(&leases).iter().map(|name| name.0).collect::<Vec<_>>(), items[1..]);
    sqlx::query("ROLLBACK").execute(&mut person).await.unwrap();
    assert_eq!(names(&scene.claim(3).await)[0].0, items[0]);
    person.close().await.unwrap();
}

#[tokio::test]
async fn a_claim_reads_the_queue_and_nothing_of_what_is_finished() {
    const FINISHED: i64 = 20_000;
    let scene = Scene::new().await;
    bench::seed_finished(scene.store(), scene.project, FINISHED, |_| ()).await.unwrap();
    scene.items(scene.project, 20).await;
    let mut connection = scene.db.connect().await;
    // The planner knows nothing of the columns at first. What left the queue since the last vacuum is passed over once more, then forgotten.
    for statistics in ["VACUUM work_items", "ANALYZE work_items"] {
        sqlx::query(statistics).execute(&mut connection).await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        sqlx::query("SET LOCAL plan_cache_mode = force_generic_plan").execute(&mut *tx).await.unwrap();
        let claimed = sqlx::query("SELECT * FROM claim_items($1, enum_range(NULL::phase), 4, 60000)")
            .bind(scene.worker.0)
            .fetch_all(&mut *tx)
            .await
            .unwrap();
        assert_eq!(claimed.len(), 4);
        let (scans, read, fetched): (i64, i64, i64) = sqlx::query_as(
            "SELECT seq_scan, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'work_items'",
        )
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        assert_eq!((scans, read), (0, 0), "the whole table was read, after {statistics}");
        assert!(fetched < 100, "{fetched} rows were fetched to claim 4, after {statistics}");
        let (queue, entries): (i64, i64) = sqlx::query_as(
            "SELECT pg_stat_get_xact_numscans('work_items_queue'::regclass), sum(pg_stat_get_xact_tuples_returned(indexrelid))::bigint
             FROM pg_index WHERE indrelid = 'work_items'::regclass",
        )
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        assert!(queue > 0 && entries < 100, "{entries} entries of indexes were read to claim 4, after {statistics}");
        tx.rollback().await.unwrap();
    }
}

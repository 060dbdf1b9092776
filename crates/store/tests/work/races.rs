//! Gates under concurrent transactions: nothing waits for ever, nothing deadlocks.

use std::sync::Arc;

use damascus_core::{GateId, ItemId, Outcome, RunReport, WorkPhase};
use damascus_store::gate::{GateFilter, GateSweep};
use damascus_store::item::{NewItem, Standing};
use damascus_store::{Lease, Move};
use damascus_testkit::handlers;

use crate::scene::{Scene, after, story};

/// Takes items to a lease in merge; the landing lane is made wide for it.
async fn leases_in_merge(scene: &Scene, items: &[ItemId]) -> Vec<Lease> {
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    for _ in 0..3 {
        let leases = scene.store().claim(&scene.request(512)).await.unwrap();
        let (ours, others): (Vec<Lease>, Vec<Lease>) =
            leases.into_iter().partition(|lease| items.contains(&lease.item));
        assert_eq!(ours.len(), items.len());
        let back: Vec<_> = others.iter().map(|lease| (lease.item, lease.epoch)).collect();
        scene.store().hand_back(scene.worker, &back).await.unwrap();
        scene.store().finish_and_claim(&passes(&ours), &scene.request(0)).await.unwrap();
    }
    let leases = scene.store().claim(&scene.request(items.len())).await.unwrap();
    assert!(leases.iter().all(|lease| lease.phase == WorkPhase::Merge && items.contains(&lease.item)), "{leases:?}");
    leases
}

fn passes(leases: &[Lease]) -> Vec<Move> {
    let pass = |lease: &Lease| RunReport::free(Outcome::Pass(handlers::proof(lease.phase)));
    leases.iter().map(|lease| Move::from_report(lease, pass(lease), 0.0).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_upstreams_that_merge_at_the_same_moment_always_let_the_third_go_on() {
    const ROUNDS: usize = 40;
    let scene = Arc::new(Scene::new().await);
    let mut upstreams = Vec::new();
    let mut downstream = Vec::new();
    for n in 0..ROUNDS {
        upstreams.push([scene.item(&format!("a{n}")).await, scene.item(&format!("b{n}")).await]);
        downstream.push(scene.item_after(&format!("c{n}"), &[&format!("a{n}"), &format!("b{n}")]).await);
    }
    let all: Vec<ItemId> = upstreams.iter().flatten().copied().collect();
    let leases = leases_in_merge(&scene, &all).await;
    for (n, pair) in upstreams.iter().enumerate() {
        let mut merging = tokio::task::JoinSet::new();
        for &item in pair {
            let lease = leases.iter().find(|lease| lease.item == item).unwrap().clone();
            let scene = Arc::clone(&scene);
            merging.spawn(async move {
                let request = scene.request(0);
                let (applied, _) = scene.store().finish_and_claim(&passes(&[lease]), &request).await.unwrap();
                scene.store().evaluate_upstream(&applied.stopped).await.unwrap()
            });
        }
        let done = merging.join_all().await;
        assert_eq!(done.iter().map(|swept| swept.satisfied).sum::<u64>(), 2, "round {n}");
        let gates =
            scene.store().gates(&GateFilter { item: Some(downstream[n]), ..GateFilter::default() }).await.unwrap();
        assert!(gates.iter().all(|gate| !gate.state.is_closed()));
        let standing = scene.pass(downstream[n]).await;
        assert!(matches!(standing, Standing::Ready { phase: WorkPhase::Build, .. }), "round {n}: {standing:?}");
        scene.events(downstream[n]).await;
    }
    assert!(scene.store().sweep_gates().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_gates_of_one_item_settled_from_all_sides_leave_its_mask_true() {
    const GATES: usize = 12;
    let scene = Arc::new(Scene::new().await);
    for round in 0..10 {
        let keys: Vec<String> = (0..GATES).map(|n| format!("up-{round}-{n}")).collect();
        let mut new: Vec<NewItem> = keys.iter().map(|key| story(key)).collect();
        new.push(NewItem { gates: keys.iter().map(|key| after(key)).collect(), ..story(&format!("down-{round}")) });
        let made = scene.store().create_items(scene.project, &new).await.unwrap();
        let down = made.last().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for (n, gate) in down.gates.iter().map(|gate| gate.gate).enumerate() {
            let scene = Arc::clone(&scene);
            let upstream = made[n].item;
            tasks.spawn(async move { settle_somehow(&scene, n, gate, upstream).await });
        }
        tasks.join_all().await;
        let gates = scene.store().gates(&GateFilter { item: Some(down.item), ..GateFilter::default() }).await.unwrap();
        assert!(gates.iter().all(|gate| !gate.state.is_closed()), "{gates:?}");
        assert!(!matches!(scene.pass(down.item).await, Standing::WaitingForGates { .. }));
        scene.events(down.item).await;
        scene.store().cancel(down.item, "ada", "").await.unwrap();
    }
}

/// One of several ways in which a gate comes to let its item through.
async fn settle_somehow(scene: &Scene, n: usize, gate: GateId, upstream: ItemId) {
    if n.is_multiple_of(2) {
        scene.store().waive_gate(gate, "ada", "").await.unwrap();
        return;
    }
    scene.store().cancel(upstream, "ada", "").await.unwrap();
    let down = scene.store().gate(gate).await.unwrap().item_id;
    let issue =
        scene.store().item(down).await.unwrap().open_issues.into_iter().find(|issue| issue.gate == Some(gate)).unwrap();
    scene.store().answer(issue.id, &damascus_store::decision::Answer::new("waive", "ada")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_gate_made_while_its_upstream_merges_is_never_left_waiting() {
    const ROUNDS: usize = 30;
    let scene = Arc::new(Scene::new().await);
    let mut pairs = Vec::new();
    for n in 0..ROUNDS {
        pairs.push((scene.item(&format!("a{n}")).await, scene.item(&format!("b{n}")).await));
    }
    let upstreams: Vec<ItemId> = pairs.iter().map(|pair| pair.0).collect();
    let leases = leases_in_merge(&scene, &upstreams).await;
    for lease in leases {
        let waits = pairs.iter().find(|pair| pair.0 == lease.item).unwrap().1;
        let condition = damascus_core::GateCondition::ItemMerged { item: lease.item };
        let gate = [(waits, crate::scene::gate(WorkPhase::Spec, condition))];
        let request = scene.request(0);
        let moves = passes(&[lease]);
        let merge = async {
            let (applied, _) = scene.store().finish_and_claim(&moves, &request).await.unwrap();
            scene.store().evaluate_upstream(&applied.stopped).await.unwrap();
        };
        let (made, ()) = tokio::join!(scene.store().create_gates(&gate), merge);
        made.unwrap();
        assert!(matches!(scene.standing(waits).await, Standing::Ready { .. }), "without any sweep");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sweeps_decisions_and_evaluations_at_once_do_not_deadlock() {
    let scene = Arc::new(Scene::new().await);
    let new: Vec<NewItem> = (0..120)
        .map(|n| NewItem {
            gates: (0..n).rev().step_by(7).take(3).map(|up| after(&format!("s{up}"))).collect(),
            ..story(&format!("s{n}"))
        })
        .collect();
    let made: Vec<ItemId> =
        scene.store().create_items(scene.project, &new).await.unwrap().iter().map(|one| one.item).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..3 {
        let (own, made) = (Arc::clone(&scene), made.clone());
        tasks.spawn(async move {
            for &item in made.iter().skip(part * 5).step_by(15) {
                own.store().cancel(item, "ada", "").await.unwrap();
            }
        });
        let own = Arc::clone(&scene);
        tasks.spawn(async move {
            for _ in 0..15 {
                own.store().sweep_gates().await.unwrap();
            }
        });
    }
    let (own, all) = (Arc::clone(&scene), made.clone());
    tasks.spawn(async move {
        for chunk in all.chunks(30) {
            own.store().evaluate_upstream(chunk).await.unwrap();
        }
    });
    tasks.join_all().await;
    assert_eq!(scene.store().sweep_gates().await.unwrap(), GateSweep::default(), "nothing was left to do");
    for &item in &made {
        scene.events(item).await;
    }
}

//! Leases after the claim: renewed, lost, handed back, and what comes due.

use std::time::Duration;

use damascus_core::{Epoch, Failure, GateCondition, ItemId, WorkPhase};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::Standing;
use damascus_store::lease::{SWEEP_BATCH, Swept};
use damascus_store::{Channel, ClaimRequest, Lease};
use damascus_testkit::Scene;
use damascus_testkit::scene::{LONG, failed, names, passed, project, rate_limited, request};
use sqlx::Connection as _;

use crate::table;

/// Leases that have run out already.
async fn expired(scene: &Scene, max: usize) -> Vec<Lease> {
    let claim = ClaimRequest { lease: Duration::ZERO, ..request(scene.worker, max) };
    scene.store().claim(&claim).await.unwrap()
}

async fn sweep(scene: &Scene) -> Swept {
    scene.store().sweep_leases(1.0).await.unwrap()
}

#[tokio::test]
async fn only_the_holder_of_this_very_lease_renews_it() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 4).await;
    let leases = expired(&scene, 4).await;
    let other = scene.worker("other").await;
    let mut asked = names(&leases);
    asked[1].1 = Epoch(asked[1].1.0 - 1);
    asked[2].1 = Epoch(asked[2].1.0 + 1);
    asked.push((ItemId(9_999), Epoch(1)));
    assert_eq!(scene.store().renew(other, &asked, LONG).await.unwrap(), []);
    scene.store().cancel(items[3], "ada", "").await.unwrap();
    assert_eq!(scene.store().renew(scene.worker, &asked, LONG).await.unwrap(), items[..1]);
    assert_eq!(sweep(&scene).await.lost, 2, "what was not renewed is lost, late renewals are kept");
    assert!(matches!(scene.standing(items[0]).await, Standing::Running { .. }));
    let beat = "SELECT count(*) FROM workers WHERE heartbeat_at > started_at";
    assert_eq!(table::number(&scene.db, beat).await, 2, "a heartbeat is one even without a lease");
}

#[tokio::test]
async fn a_lost_run_is_a_failure_of_the_surroundings_and_is_tried_again() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = expired(&scene, 1).await.remove(0);
    let swept = sweep(&scene).await;
    assert_eq!((swept.lost, swept.woken), (1, 0));
    let run = "SELECT id, ended::text, verdict::text, charge::text, detail, epoch, worker_id FROM runs";
    let run: (i64, String, String, String, String, i64, i64) = table::one(&scene.db, run).await;
    let named = ["lost", "infra_error", "infra_failure", "the worker stopped renewing its lease"].map(str::to_owned);
    let [ended, verdict, charge, detail] = named;
    assert_eq!(run, (lease.run.0, ended, verdict, charge, detail, lease.epoch.0, scene.worker.0));
    assert!(matches!(scene.standing(item).await, Standing::BackingOff { phase: WorkPhase::Spec, failures: 1, .. }));
    assert!(!scene.report(&lease, passed(WorkPhase::Spec)).await, "its report comes too late");

    // The wait is 40 ms: it is over when the database says so.
    table::until(&scene.db, "SELECT wake_at <= clock_timestamp() FROM work_items").await;
    let swept = sweep(&scene).await;
    assert_eq!((swept.lost, swept.woken, swept.next_due), (0, 1, None));
    let again = scene.claim(1).await.remove(0);
    assert_eq!((again.item, again.budget.infra_failures, again.budget.attempts_used), (item, 1, 0));
    assert_eq!(table::events(&scene.db, item).await, ["work.created", "run.started", "work.retrying", "run.started"]);
}

#[tokio::test]
async fn runs_that_are_lost_again_and_again_block_the_item_and_ask_downstream() {
    let mut narrow = project("demo");
    narrow.max_infra_failures = 2;
    let scene = Scene::with(narrow).await;
    let item = scene.item("s").await;
    let waits = scene.item("t").await;
    let gate = NewGate {
        phase: WorkPhase::Spec,
        waits_for: GateTarget::Condition(GateCondition::ItemMerged { item }),
        deadline: None,
        origin: "a test".to_owned(),
    };
    scene.store().create_gates(&[(waits, gate)]).await.unwrap();
    for _ in 0..2 {
        table::until(&scene.db, "SELECT bool_and(coalesce(wake_at <= clock_timestamp(), true)) FROM work_items").await;
        sweep(&scene).await;
        assert_eq!(expired(&scene, 1).await.len(), 1);
        assert_eq!(sweep(&scene).await.lost, 1);
    }
    assert!(matches!(scene.standing(item).await, Standing::Blocked { .. }));
    let kinds: Vec<(i64, String)> =
        table::all(&scene.db, "SELECT item_id, kind::text FROM human_issues ORDER BY id").await;
    assert_eq!(kinds, [(item.0, "blocked".to_owned()), (waits.0, "gate".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_between_the_sweepers_look_and_its_verdict_wins() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = expired(&scene, 1).await.remove(0);
    let mut renewing = scene.db.connect().await;
    table::lock(&mut renewing, item).await;
    sqlx::query("UPDATE work_items SET lease_until = clock_timestamp() + interval '1 hour'")
        .execute(&mut renewing)
        .await
        .unwrap();
    let store = scene.store().clone();
    let sweeper = tokio::spawn(async move { store.sweep_leases(1.0).await.unwrap() });
    table::until_somebody_waits_for_a_lock(&scene.db).await;
    sqlx::query("COMMIT").execute(&mut renewing).await.unwrap();
    assert_eq!(sweeper.await.unwrap().lost, 0);
    assert!(scene.report(&lease, passed(WorkPhase::Spec)).await);
    renewing.close().await.unwrap();
}

#[tokio::test]
async fn what_is_handed_back_costs_nothing_and_can_be_claimed_at_once() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 3).await;
    let leases = scene.claim(3).await;
    let other = scene.worker("other").await;
    assert_eq!(scene.store().hand_back(other, &names(&leases)).await.unwrap(), 0);
    let stale: Vec<_> = names(&leases).into_iter().map(|(item, epoch)| (item, Epoch(epoch.0 - 1))).collect();
    assert_eq!(scene.store().hand_back(scene.worker, &stale).await.unwrap(), 0);
    assert_eq!(scene.store().leases_of(scene.worker).await.unwrap(), names(&leases));
    assert_eq!(scene.store().leases_of(other).await.unwrap(), []);

    let mut listener = scene.store().listen(&[Channel::Work]).await.unwrap();
    assert_eq!(scene.store().hand_back(scene.worker, &names(&leases)).await.unwrap(), 3);
    tokio::time::timeout(table::PATIENCE, listener.wait()).await.expect("others are told").unwrap();
    assert_eq!(scene.store().hand_back(scene.worker, &names(&leases)).await.unwrap(), 0, "twice does nothing more");
    let runs: Vec<(String, Option<String>, String, i16)> =
        table::all(&scene.db, "SELECT ended::text, verdict::text, charge::text, attempt FROM runs").await;
    assert_eq!(runs, vec![("handed_back".to_owned(), None, "free".to_owned(), 1); 3]);
    let again = scene.claim(3).await;
    for (before, after) in leases.iter().zip(&again) {
        assert_eq!((after.item, after.budget, after.epoch.0), (before.item, before.budget, before.epoch.0 + 2));
        assert!(!scene.report(before, passed(WorkPhase::Spec)).await);
    }
    let told = table::events(&scene.db, items[0]).await;
    assert_eq!(told, ["work.created", "run.started", "run.handed_back", "run.started"]);
}

#[tokio::test]
async fn a_sweep_says_what_comes_due_next() {
    let scene = Scene::new().await;
    let due = async || sweep(&scene).await.next_due;
    assert_eq!(due().await, None);
    let items = scene.items(scene.project, 3).await;
    let near = |found: Option<Duration>, seconds: u64| {
        let found = found.expect("something comes due");
        assert!(found <= Duration::from_secs(seconds) && found > Duration::from_secs(seconds - 10), "{found:?}");
    };
    let gate = NewGate {
        phase: WorkPhase::Merge,
        waits_for: GateTarget::Condition(GateCondition::Human { question: "May it?".to_owned() }),
        deadline: Some(
            table::one::<(chrono::DateTime<chrono::Utc>,)>(&scene.db, "SELECT now() + interval '2 hours'").await.0,
        ),
        origin: "a test".to_owned(),
    };
    scene.store().create_gates(&[(items[0], gate)]).await.unwrap();
    near(due().await, 7200);
    let leases = scene.claim(2).await;
    near(due().await, LONG.as_secs());
    scene.report(&leases[0], rate_limited(Some(300_000))).await;
    table::until(&scene.db, "SELECT bool_and(coalesce(wake_at <= clock_timestamp(), true)) FROM work_items").await;
    near(due().await, 300);
    scene.report(&leases[1], failed(Failure::Timeout)).await;
    assert!(due().await.unwrap() <= Duration::from_millis(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sweepers_at_once_do_everything_once() {
    let scene = Scene::new().await;
    let count = usize::try_from(SWEEP_BATCH).unwrap() + 44;
    let items = scene.items(scene.project, count).await;
    assert_eq!(expired(&scene, 512).await.len(), count);
    let (mut lost, mut woken) = (0, 0);
    let together = async || {
        let (one, two) = tokio::join!(scene.store().sweep_leases(0.0), scene.store().sweep_leases(0.0));
        let (one, two) = (one.unwrap(), two.unwrap());
        (one.lost + two.lost, one.woken + two.woken)
    };
    while lost < count as u64 || woken < count as u64 {
        let did = together().await;
        (lost, woken) = (lost + did.0, woken + did.1);
    }
    assert_eq!((lost, woken, together().await), (count as u64, count as u64, (0, 0)));
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM runs WHERE ended = 'lost'").await, count as i64);
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM work_items WHERE infra_failures <> 1").await, 0);
    table::events(&scene.db, items[count - 1]).await;
}

#[tokio::test]
async fn a_sweeper_passes_over_a_sleeper_that_a_person_has_locked() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    for lease in scene.claim(2).await {
        scene.report(&lease, failed(Failure::Timeout)).await;
    }
    table::until(&scene.db, "SELECT bool_and(wake_at <= clock_timestamp()) FROM work_items").await;
    let mut person = scene.db.connect().await;
    table::lock(&mut person, items[0]).await;
    let swept = tokio::time::timeout(table::PATIENCE, sweep(&scene)).await.expect("nobody is waited for");
    assert_eq!((swept.woken, swept.next_due), (1, Some(Duration::ZERO)));
    person.close().await.unwrap();
}

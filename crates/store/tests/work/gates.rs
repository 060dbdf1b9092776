//! Making gates, and the ways through them.

use chrono::{DateTime, TimeDelta, Utc};
use damascus_core::{CommitId, GateCondition, GateId, GateKind, GateState, ItemId, Outcome, RunReport, WorkPhase};
use damascus_store::StoreError;
use damascus_store::gate::{GateFilter, GateSweep, GateTarget, NewGate};
use damascus_store::item::{NewItem, Standing};
use damascus_testkit::handlers;
use serde_json::json;

use crate::scene::{Scene, after, gate, story};

/// A time far from now in either direction, by the database's clock.
async fn years(scene: &Scene, n: i64) -> DateTime<Utc> {
    let mut connection = scene.db.connect().await;
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut connection).await.unwrap();
    now + TimeDelta::days(365 * n)
}

fn merged(item: ItemId) -> NewGate {
    gate(WorkPhase::Build, GateCondition::ItemMerged { item })
}

async fn make(scene: &Scene, item: ItemId, new: NewGate) -> GateId {
    scene.store().create_gates(&[(item, new)]).await.unwrap()[0].gate
}

#[tokio::test]
async fn an_item_waits_for_another_and_goes_on_when_that_has_merged() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    let standing = scene.pass(b).await;
    let Standing::WaitingForGates { phase: WorkPhase::Build, gates, more: 0 } = &standing else {
        panic!("{standing:?}")
    };
    assert_eq!(gates[0].upstream.as_ref().map(|up| up.name.as_str()), Some("demo/a"));
    assert_eq!(standing.explain(), format!("may not enter build before demo/a (#{a}, now spec) is merged"));
    scene.merge(a).await;
    assert!(matches!(scene.standing(b).await, Standing::Ready { phase: WorkPhase::Build, .. }));

    let settled = scene.store().gates(&GateFilter { item: Some(b), ..GateFilter::default() }).await.unwrap();
    let Standing::Merged { landing, commit, .. } = scene.standing(a).await else { panic!() };
    assert_eq!(settled[0].state, GateState::Satisfied);
    assert_eq!(settled[0].evidence, Some(json!({ "landing_id": landing, "commit": commit })));
    assert_eq!(
        scene.events(b).await,
        ["work.created", "gate.opened", "run.started", "work.advanced", "gate.satisfied"]
    );
    assert_eq!(scene.store().gates(&GateFilter::default()).await.unwrap(), []);
}

#[tokio::test]
async fn what_holds_already_is_satisfied_from_the_start_and_the_same_gate_is_made_once() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    scene.merge(a).await;
    let made = scene.store().create_gates(&[(b, merged(a)), (b, merged(a))]).await.unwrap();
    assert_eq!((made[0].state, made[0].created, made[1].created), (GateState::Satisfied, true, false));
    assert_eq!(made[0].gate, made[1].gate);
    let past = gate(WorkPhase::Spec, GateCondition::Timer { until: years(&scene, -1).await });
    assert_eq!(scene.store().create_gates(&[(b, past)]).await.unwrap()[0].state, GateState::Satisfied);
    let again = scene.store().create_gates(&[(b, merged(a))]).await.unwrap();
    assert_eq!((again[0].gate, again[0].created, again[0].state), (made[0].gate, false, GateState::Satisfied));
    assert!(matches!(scene.standing(b).await, Standing::Ready { .. }));
    assert_eq!(
        scene.events(b).await,
        ["work.created", "gate.opened", "gate.satisfied", "gate.opened", "gate.satisfied"]
    );
}

#[tokio::test]
async fn what_could_never_open_is_not_made() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    scene.store().cancel(b, "ada", "").await.unwrap();
    let refused = |item, new| {
        let store = scene.store();
        async move { store.create_gates(&[(item, new)]).await.unwrap_err().to_string() }
    };
    assert_eq!(refused(a, merged(a)).await, format!("demo/a (#{a}) would wait for itself"));
    assert_eq!(refused(b, merged(a)).await, format!("demo/b (#{b}) is cancelled and waits for nothing any more"));
    assert!(refused(a, merged(ItemId(4711))).await.starts_with("there is no item #4711"));
    assert!(refused(ItemId(4711), merged(a)).await.starts_with("there is no item #4711"));
    assert!(refused(a, after("gone")).await.starts_with("there is no item gone; a gate of item"));
    let human = |question: &str| gate(WorkPhase::Spec, GateCondition::Human { question: question.to_owned() });
    assert_eq!(refused(a, human(" \u{1b}\n")).await, "question: is empty");
    assert!(refused(a, human(&"x".repeat(2000))).await.starts_with("condition: takes "));
    let contract = GateCondition::ContractPublished { name: "a b".to_owned(), version: 1 };
    assert!(refused(a, gate(WorkPhase::Spec, contract)).await.starts_with("contract: "));
    assert_eq!(scene.events(a).await, ["work.created"]);
}

#[tokio::test]
async fn a_cycle_is_refused_with_its_members() {
    let scene = Scene::new().await;
    let a = scene.item("a").await;
    scene.item_after("b", &["a"]).await;
    let c = scene.item_after("c", &["b"]).await;
    let error = scene.store().create_gates(&[(a, merged(c))]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "these items would wait for each other for ever: demo/a → demo/c → demo/b → demo/a; leave one of these gates out"
    );
    let within = [NewItem { gates: vec![after("y")], ..story("x") }, NewItem { gates: vec![after("x")], ..story("y") }];
    let error = scene.store().create_items(scene.project, &within).await.unwrap_err();
    assert!(error.to_string().contains("demo/x → demo/y → demo/x"), "{error}");
    assert!(scene.store().resolve_item("x").await.is_err(), "nothing of it was created");

    let gate = scene.store().gates(&GateFilter { item: Some(c), ..GateFilter::default() }).await.unwrap()[0].id;
    scene.store().waive_gate(gate, "ada", "not needed").await.unwrap();
    scene.store().create_gates(&[(a, merged(c))]).await.unwrap();
}

#[tokio::test]
async fn two_gates_made_at_once_never_close_a_cycle() {
    let scene = Scene::new().await;
    for round in 0..20 {
        let (a, b) = (scene.item(&format!("a{round}")).await, scene.item(&format!("b{round}")).await);
        let (forth, back) = ([(a, merged(b))], [(b, merged(a))]);
        let (x, y) = tokio::join!(scene.store().create_gates(&forth), scene.store().create_gates(&back));
        assert!(x.is_ok() != y.is_ok(), "{x:?} {y:?}");
    }
}

#[tokio::test]
async fn a_gate_on_a_phase_that_is_past_is_made_with_a_warning() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    for _ in 0..2 {
        scene.pass(b).await;
    }
    let made = scene.store().create_gates(&[(b, merged(a))]).await.unwrap();
    let expected =
        format!("demo/b (#{b}) is in review already; a gate on build holds it only if it comes back to build");
    assert_eq!(made[0].warning.as_deref(), Some(expected.as_str()));
    assert!(matches!(scene.standing(b).await, Standing::Ready { phase: WorkPhase::Review, .. }));
    let ahead = gate(WorkPhase::Review, GateCondition::ItemMerged { item: a });
    assert_eq!(scene.store().create_gates(&[(b, ahead)]).await.unwrap()[0].warning, None);
}

#[tokio::test]
async fn gates_are_waived_and_approved_by_name() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    let question = GateCondition::Human { question: "Is the licence\u{1b}[2J cleared?".to_owned() };
    let human = make(&scene, b, gate(WorkPhase::Spec, question)).await;
    let on_a = make(&scene, b, gate(WorkPhase::Spec, GateCondition::ItemMerged { item: a })).await;
    let Standing::WaitingForGates { gates, .. } = scene.standing(b).await else { panic!() };
    assert_eq!(gates.len(), 2);

    let issue = &scene.store().item(b).await.unwrap().open_issues[0];
    assert_eq!(issue.question, format!("Gate {human} waits for your approval: Is the licence[2J cleared?"));
    let error = scene.store().approve_gate(on_a, "ada", "").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("gate {on_a} is of kind item_merged, which nobody can approve; waive it instead")
    );
    let approved = scene.store().approve_gate(human, "ada", "asked legal").await.unwrap();
    assert_eq!(approved.evidence, Some(json!({ "by": "ada", "note": "asked legal" })));
    assert_eq!(scene.store().item(b).await.unwrap().open_issues.len(), 0, "the question goes with its gate");
    let waived = scene.store().waive_gate(on_a, "ada", "").await.unwrap();
    assert_eq!((waived.state, waived.settled_at.is_some()), (GateState::Waived, true));
    assert!(matches!(scene.standing(b).await, Standing::Ready { .. }));
    let twice = scene.store().waive_gate(on_a, "bob", "").await.unwrap_err();
    assert_eq!(twice.to_string(), format!("gate {on_a} is waived already; demo/b is let through"));
    assert_eq!(
        scene.store().waive_gate(GateId(4711), "bob", "").await.unwrap_err().to_string(),
        "there is no gate 4711"
    );
    assert_eq!(
        scene.events(b).await,
        ["work.created", "gate.opened", "issue.opened", "gate.opened", "gate.satisfied", "issue.closed", "gate.waived"]
    );
}

#[tokio::test]
async fn what_is_seen_outside_satisfies_every_gate_that_waits_for_it() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    let contract = |version| GateCondition::ContractPublished { name: "billing".to_owned(), version };
    let pr = |number| GateCondition::PrMerged { repo: "team/demo".to_owned(), number };
    let contains = GateCondition::RefContains {
        repo: "team/lib".to_owned(),
        reference: "refs/heads/main".to_owned(),
        commit: CommitId::filled(b'a'),
    };
    let mut gates = Vec::new();
    for (item, condition) in
        [(a, contract(1)), (b, contract(2)), (b, contract(3)), (a, pr(7)), (a, pr(8)), (b, contains.clone())]
    {
        gates.push(make(&scene, item, gate(WorkPhase::Spec, condition)).await);
    }
    assert_eq!(scene.store().sweep_gates().await.unwrap(), GateSweep::default(), "no sweep guesses what is outside");
    let listed = scene.store().open_conditions(GateKind::PrMerged, gates[3]).await.unwrap();
    assert_eq!(
        listed.iter().map(|one| (one.gate, one.item, &one.condition)).collect::<Vec<_>>(),
        [(gates[4], a, &pr(8))]
    );

    let seen = json!({ "where": ["the\u{1b}[2J wiki"] });
    assert_eq!(scene.store().report_condition(&contract(2), &seen).await.unwrap(), 2, "version 2 is also at least 1");
    assert_eq!(scene.store().report_condition(&contract(2), &seen).await.unwrap(), 0);
    assert_eq!(scene.store().report_condition(&pr(7), &seen).await.unwrap(), 1);
    assert_eq!(scene.store().report_condition(&contains, &seen).await.unwrap(), 1);
    assert_eq!(scene.store().gate(gates[0]).await.unwrap().evidence, Some(json!({ "where": ["the[2J wiki"] })));
    let open = scene.store().gates(&GateFilter::default()).await.unwrap();
    assert_eq!(open.iter().map(|gate| gate.id).collect::<Vec<_>>(), [gates[2], gates[4]]);
    let error = scene.store().report_condition(&GateCondition::ItemMerged { item: a }, &seen).await.unwrap_err();
    assert_eq!(error.to_string(), "condition: item_merged is not seen from outside");
}

#[tokio::test]
async fn timers_come_due_and_deadlines_pass() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    let (soon, later) = (years(&scene, 1).await, years(&scene, 2).await);
    let timer = |until| GateCondition::Timer { until };
    let due = make(&scene, a, gate(WorkPhase::Spec, timer(soon))).await;
    let in_time = make(&scene, a, NewGate { deadline: Some(later), ..gate(WorkPhase::Merge, timer(soon)) }).await;
    let late = make(&scene, b, NewGate { deadline: Some(soon), ..gate(WorkPhase::Spec, timer(later)) }).await;
    let never = make(&scene, b, NewGate { deadline: Some(soon), ..merged(a) }).await;
    assert!(scene.store().sweep_gates().await.unwrap().is_empty());

    scene.gates_come_due().await;
    let swept = scene.store().sweep_gates().await.unwrap();
    assert_eq!(swept, GateSweep { satisfied: 2, expired: 2, asked: 2, ..GateSweep::default() });
    assert!(scene.store().sweep_gates().await.unwrap().is_empty(), "once");
    for (id, state) in [
        (due, GateState::Satisfied),
        (in_time, GateState::Satisfied),
        (late, GateState::Expired),
        (never, GateState::Expired),
    ] {
        assert_eq!(scene.store().gate(id).await.unwrap().state, state, "gate {id}");
    }
    assert!(matches!(scene.standing(a).await, Standing::Ready { .. }));
    assert!(matches!(scene.standing(b).await, Standing::WaitingForGates { .. }), "what expired stays closed");
    let asked = scene.store().item(b).await.unwrap().open_issues;
    let expected = format!(
        "This item waits until demo/a (#{a}, now spec) is merged, and the deadline of gate {never} has passed."
    );
    assert_eq!(
        asked.iter().map(|issue| issue.question.as_str()).find(|text| text.contains("demo/a")),
        Some(expected.as_str())
    );

    // The merge comes too late: a person has been asked, and decides.
    scene.merge(a).await;
    assert_eq!(scene.store().gate(never).await.unwrap().state, GateState::Expired);
    scene.store().waive_gate(never, "ada", "it is merged now").await.unwrap();
    scene.store().waive_gate(late, "ada", "").await.unwrap();
    assert!(matches!(scene.standing(b).await, Standing::Ready { .. }));
}

#[tokio::test]
async fn an_item_that_ends_leaves_no_closed_gate_behind() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.store().cancel(b, "ada", "").await.unwrap();
    assert_eq!(scene.store().gates(&GateFilter::default()).await.unwrap(), []);
    let left = scene.store().gates(&GateFilter { item: Some(b), ..GateFilter::default() }).await.unwrap();
    assert_eq!(
        (left[0].state, left[0].evidence.clone()),
        (GateState::Waived, Some(json!({ "by": "damascus", "why": "the item is cancelled" })))
    );
    scene.merge(a).await;
    assert!(scene.store().sweep_gates().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lost_evaluation_is_found_by_the_sweep() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    for _ in 0..3 {
        scene.pass(a).await;
    }
    // The process dies between the commit of the merge and the evaluation.
    let lease = scene.lease(a).await;
    let applied = scene.report(&lease, RunReport::free(Outcome::Pass(handlers::proof(WorkPhase::Merge)))).await;
    assert_eq!(applied.stopped, [a]);
    assert_eq!(scene.store().gates(&GateFilter::default()).await.unwrap().len(), 1);
    assert_eq!(scene.store().sweep_gates().await.unwrap(), GateSweep { satisfied: 1, ..GateSweep::default() });
    assert_eq!(scene.store().evaluate_upstream(&applied.stopped).await.unwrap(), GateSweep::default());
    scene.pass(b).await;
    assert!(matches!(scene.standing(b).await, Standing::Ready { phase: WorkPhase::Build, .. }));
}

#[tokio::test]
async fn gates_are_listed_by_project_state_and_page() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item("b").await);
    let timer = |until| gate(WorkPhase::Spec, GateCondition::Timer { until });
    let mut gates = Vec::new();
    for n in 1..=5 {
        gates.push(make(&scene, if n < 3 { a } else { b }, timer(years(&scene, n).await)).await);
    }
    let ids = |filter: GateFilter| async {
        let filter = filter;
        scene.store().gates(&filter).await.unwrap().into_iter().map(|gate| gate.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(GateFilter::default()).await, gates);
    assert_eq!(ids(GateFilter { limit: 2, after: Some(gates[1]), ..GateFilter::default() }).await, gates[2..4]);
    assert_eq!(ids(GateFilter { item: Some(a), ..GateFilter::default() }).await, gates[..2]);
    assert_eq!(ids(GateFilter { project: Some(scene.project), ..GateFilter::default() }).await, gates);
    assert_eq!(ids(GateFilter { project: Some(damascus_core::ProjectId(4711)), ..GateFilter::default() }).await, []);
    assert_eq!(ids(GateFilter { states: vec![GateState::Expired], ..GateFilter::default() }).await, []);
    let history = GateFilter { states: vec![GateState::Satisfied], ..GateFilter::default() };
    let error = scene.store().gates(&history).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    let target = GateTarget::ItemKey("a".to_owned());
    assert_eq!(after("a").waits_for, target);
}

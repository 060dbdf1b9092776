//! What happens downstream when what is waited for stops: never a silent wait.

use damascus_core::{GateState, ItemId, Outcome, RunReport, WorkPhase};
use damascus_store::decision::Answer;
use damascus_store::gate::{GateFilter, GateSweep};
use damascus_store::issue::{Issue, IssueState};
use damascus_store::item::Standing;
use damascus_testkit::handlers;

use crate::scene::{Scene, asked};

async fn issues(scene: &Scene, item: ItemId) -> Vec<Issue> {
    scene.store().item(item).await.unwrap().open_issues
}

#[tokio::test]
async fn a_blocked_upstream_asks_downstream_and_its_retry_takes_the_question_back() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.block(a).await;
    let open = issues(&scene, b).await;
    assert_eq!(open.len(), 1);
    let text = format!(
        "This item waits until demo/a (#{a}, now blocked) is merged, but that one is blocked (attempts_spent)."
    );
    assert_eq!((open[0].question.as_str(), open[0].options.join(" ")), (text.as_str(), "waive cancel wait".to_owned()));
    assert!(scene.store().sweep_gates().await.unwrap().is_empty(), "asked once");
    scene.store().evaluate_upstream(&[a]).await.unwrap();
    assert_eq!(issues(&scene, b).await.len(), 1);

    scene.store().retry(a, None, "ada").await.unwrap();
    assert_eq!(issues(&scene, b).await, []);
    assert_eq!(scene.store().issue(open[0].id).await.unwrap().state, IssueState::Closed);
    scene.block(a).await;
    let again = issues(&scene, b).await;
    assert!(again.len() == 1 && again[0].id != open[0].id, "a new stop asks anew: {again:?}");
    assert_eq!(scene.events(b).await, ["work.created", "gate.opened", "issue.opened", "issue.closed", "issue.opened"]);
}

#[tokio::test]
async fn a_cancelled_upstream_asks_whoever_waits_for_it() {
    let scene = Scene::new().await;
    let a = scene.item("a").await;
    let (b, c, d) =
        (scene.item_after("b", &["a"]).await, scene.item_after("c", &["a"]).await, scene.item_after("d", &["c"]).await);
    scene.store().cancel(a, "ada", "").await.unwrap();
    let (of_b, of_c) = (issues(&scene, b).await, issues(&scene, c).await);
    assert!(of_b[0].question.ends_with("but that one was given up."), "{}", of_b[0].question);
    assert_eq!(of_c[0].waiting_items, 1);

    let waived = scene.store().answer(of_b[0].id, &Answer::new("waive", "ada")).await.unwrap();
    assert!(matches!(waived.standing, Standing::Ready { .. }));
    let gates = scene.store().gates(&GateFilter { item: Some(b), ..GateFilter::default() }).await.unwrap();
    assert_eq!(gates[0].state, GateState::Waived);
    assert_eq!(gates[0].evidence, Some(serde_json::json!({ "by": "ada", "issue_id": of_b[0].id })));

    let cancelled = scene.store().answer(of_c[0].id, &Answer::new("2", "ada")).await.unwrap();
    assert!(matches!(cancelled.standing, Standing::Cancelled { .. }));
    assert_eq!(scene.store().issue(of_c[0].id).await.unwrap().state, IssueState::Answered);
    assert_eq!(issues(&scene, d).await.len(), 1, "and so on down the line");
    let nonsense = Answer { free_text: true, ..Answer::new("perhaps", "ada") };
    let error = scene.store().answer(issues(&scene, d).await[0].id, &nonsense).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "answer: \"perhaps\" decides nothing about a gate; choose from 1) waive, 2) cancel, 3) wait"
    );
}

#[tokio::test]
async fn who_says_to_wait_is_not_asked_again_until_it_happens_again() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.block(a).await;
    let issue = issues(&scene, b).await[0].id;
    scene.store().answer(issue, &Answer::new("wait", "ada")).await.unwrap();
    assert_eq!(issues(&scene, b).await, []);
    assert!(scene.store().sweep_gates().await.unwrap().is_empty());
    assert_eq!(scene.store().answers_of(b).await.unwrap(), [], "what is said about gates is not for the next run");

    scene.store().retry(a, Some(1), "ada").await.unwrap();
    scene.block(a).await;
    assert_eq!(issues(&scene, b).await.len(), 1);
}

#[tokio::test]
async fn waiting_on_after_a_deadline_opens_the_gate_again_with_another() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    let mut connection = scene.db.connect().await;
    let later: chrono::DateTime<chrono::Utc> = sqlx::query_scalar(
        "UPDATE coordination_gates SET deadline = now() - interval '1 second' RETURNING now() + interval '1 year'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(scene.store().sweep_gates().await.unwrap(), GateSweep { expired: 1, asked: 1, ..GateSweep::default() });
    let issue = issues(&scene, b).await[0].id;
    let wait = Answer { deadline: Some(later), ..Answer::new("wait", "ada") };
    scene.store().answer(issue, &wait).await.unwrap();
    let gate = &scene.store().gates(&GateFilter::default()).await.unwrap()[0];
    assert_eq!((gate.state, gate.deadline), (GateState::Open, Some(later)));
    scene.merge(a).await;
    assert_eq!(scene.store().gate(gate.id).await.unwrap().state, GateState::Satisfied);

    assert_eq!(
        scene.events(b).await,
        [
            "work.created",
            "gate.opened",
            "gate.expired",
            "issue.opened",
            "issue.answered",
            "gate.opened",
            "gate.satisfied"
        ]
    );
}

#[tokio::test]
async fn an_item_that_waits_for_its_own_answer_keeps_the_question_about_its_gate() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.run(b, asked(&[("Which?", &[])])).await;
    scene.store().cancel(a, "ada", "").await.unwrap();
    let open = issues(&scene, b).await;
    assert_eq!(open.len(), 2);
    let done = scene.store().answer(open[0].id, &Answer::new("this one", "ada")).await.unwrap();
    assert!(matches!(done.standing, Standing::Ready { phase: WorkPhase::Spec, .. }), "{:?}", done.standing);
    assert_eq!(issues(&scene, b).await.len(), 1, "the gate is still to be decided");
    scene.store().cancel(b, "ada", "").await.unwrap();
    assert_eq!(issues(&scene, b).await, []);
}

#[tokio::test]
async fn an_upstream_that_asks_a_question_asks_nobody_downstream() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.run(a, asked(&[("Which?", &[])])).await;
    assert!(scene.store().sweep_gates().await.unwrap().is_empty());
    assert_eq!(issues(&scene, b).await, []);
}

#[tokio::test]
async fn a_gate_on_an_item_that_has_stopped_already_asks_at_once() {
    let scene = Scene::new().await;
    let a = scene.item("a").await;
    scene.block(a).await;
    let b = scene.item_after("b", &["a"]).await;
    assert_eq!(issues(&scene, b).await.len(), 1);
}

#[tokio::test]
async fn a_lost_question_and_a_lost_retraction_are_found_by_the_sweep() {
    let scene = Scene::new().await;
    let (a, b) = (scene.item("a").await, scene.item_after("b", &["a"]).await);
    scene.pass(a).await;
    for _ in 0..3 {
        // Nobody evaluates after these reports.
        let lease = scene.lease(a).await;
        scene.report(&lease, crate::scene::failed(damascus_core::Failure::NoChange)).await;
    }
    assert_eq!(issues(&scene, b).await, []);
    assert_eq!(scene.store().sweep_gates().await.unwrap(), GateSweep { asked: 1, ..GateSweep::default() });
    assert_eq!(issues(&scene, b).await.len(), 1);
    scene.store().retry(a, None, "ada").await.unwrap();
    assert_eq!(issues(&scene, b).await, []);
    for _ in 0..3 {
        scene.pass(a).await;
    }
    assert!(matches!(scene.standing(a).await, Standing::Merged { .. }));
    let proof = handlers::proof(WorkPhase::Spec);
    let lease = scene.lease(b).await;
    scene.report(&lease, RunReport::free(Outcome::Pass(proof))).await;
    assert!(matches!(scene.standing(b).await, Standing::Ready { phase: WorkPhase::Build, .. }));
}

//! People's decisions and answers.

use damascus_core::{BlockReason, Event, Failure, IssueId, IssueKind, ItemId, Outcome, Phase, RunReport, WorkPhase};
use damascus_store::StoreError;
use damascus_store::decision::Answer;
use damascus_store::issue::{IssueFilter, IssueState};
use damascus_store::item::Standing;
use damascus_testkit::handlers;

use crate::scene::{Scene, asked, failed};

async fn open_issue(scene: &Scene, item: ItemId) -> IssueId {
    scene.store().item(item).await.unwrap().open_issues[0].id
}

fn free(text: &str) -> Answer {
    Answer { free_text: true, ..Answer::new(text, "ada") }
}

#[tokio::test]
async fn an_item_goes_on_when_its_last_question_is_answered() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    let standing = scene.run(item, asked(&[("Which colour?", &["Red", "Blue"]), ("Why?", &[])])).await;
    let Standing::AwaitingHuman { resume: WorkPhase::Spec, issues, .. } = standing else { panic!("{standing:?}") };

    let first = scene.store().answer(issues[0], &Answer::new("2", "ada")).await.unwrap();
    assert_eq!((first.answer.as_str(), first.questions_left), ("Blue", 1));
    assert!(matches!(first.standing, Standing::AwaitingHuman { .. }));
    let second = scene.store().answer(issues[1], &Answer::new("  because\u{1b}[2J\nso ", "bob")).await.unwrap();
    assert_eq!((second.answer.as_str(), second.questions_left), ("because[2J\nso", 0));
    assert!(matches!(second.standing, Standing::Ready { phase: WorkPhase::Spec, .. }), "{:?}", second.standing);

    let given = scene.store().answers_of(item).await.unwrap();
    let given: Vec<_> =
        given.iter().map(|one| (one.question.as_str(), one.answer.as_str(), one.answered_by.as_str())).collect();
    assert_eq!(given, [("Which colour?", "Blue", "ada"), ("Why?", "because[2J\nso", "bob")]);
    for issue in issues {
        assert_eq!(scene.store().issue(issue).await.unwrap().state, IssueState::Answered, "it stays answered");
    }
    assert_eq!(
        scene.events(item).await,
        [
            "work.created",
            "run.started",
            "work.awaiting_human",
            "issue.opened",
            "issue.opened",
            "issue.answered",
            "issue.answered",
            "work.resumed"
        ]
    );
}

#[tokio::test]
async fn an_answer_must_be_an_option_unless_it_says_that_it_is_none() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    scene.run(item, asked(&[("Which colour?", &["Red", "Blue"])])).await;
    let issue = open_issue(&scene, item).await;
    let said = |text: &'static str| {
        let store = scene.store();
        async move { store.answer(issue, &Answer::new(text, "ada")).await.unwrap_err().to_string() }
    };
    let options = "; choose from 1) Red, 2) Blue";
    assert_eq!(
        said("Green").await,
        format!("answer: \"Green\" is none of the options{options}, or say that it is free text")
    );
    assert!(said("3").await.starts_with("answer: \"3\" is none"));
    assert!(said("0").await.starts_with("answer: \"0\" is none"));
    assert_eq!(said(" \u{7} ").await, format!("answer: is empty{options}"));
    assert_eq!(
        scene.store().answer(issue, &Answer::new("Red", "")).await.unwrap_err().to_string(),
        "by: is empty; say who decides"
    );
    assert_eq!(scene.store().answer(issue, &free("Green")).await.unwrap().answer, "Green");
}

#[tokio::test]
async fn an_issue_is_answered_once() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    scene.run(item, asked(&[("One?", &["yes", "no"]), ("Two?", &[])])).await;
    let issue = open_issue(&scene, item).await;
    let (yes, no) = (Answer::new("yes", "ada"), Answer::new("no", "bob"));
    let (a, b) = tokio::join!(scene.store().answer(issue, &yes), scene.store().answer(issue, &no));
    let (won, lost) = match (a, b) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        other => panic!("{other:?}"),
    };
    let winner = scene.store().issue(issue).await.unwrap();
    assert_eq!(winner.answer.as_deref(), Some(won.answer.as_str()));
    let expected = format!("issue {issue} was answered by {} at ", winner.answered_by.unwrap());
    assert!(matches!(lost, StoreError::Conflict(_)) && lost.to_string().starts_with(&expected), "{lost}");

    scene.store().retry(item, Some(1), "ada").await.unwrap();
    let other = IssueId(issue.0 + 1);
    let overtaken = scene.store().answer(other, &Answer::new("late", "ada")).await.unwrap_err();
    assert!(overtaken.to_string().starts_with(&format!("issue {other} was closed at ")), "{overtaken}");
    let missing = scene.store().answer(IssueId(4711), &yes).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no issue 4711");
}

#[tokio::test]
async fn a_blocked_item_is_retried_guided_or_given_up() {
    let scene = Scene::new().await;
    for (text, expected) in [("retry", 6), ("1", 6), ("use the other library", 4)] {
        let item = scene.item(&format!("item-{}", text.len())).await;
        scene.block(item).await;
        let issue = open_issue(&scene, item).await;
        let done = scene.store().answer(issue, &free(text)).await.unwrap();
        assert!(matches!(done.standing, Standing::Ready { phase: WorkPhase::Build, .. }), "{:?}", done.standing);
        assert_eq!(scene.store().item(item).await.unwrap().item.attempts_granted, expected, "{text}");
        assert_eq!(scene.store().issue(issue).await.unwrap().state, IssueState::Answered);
        // That it is to go on is no guidance: it would change what the next run is told.
        let guidance = usize::from(text.contains("library"));
        assert_eq!(scene.store().answers_of(item).await.unwrap().len(), guidance, "{text}");
    }
    let item = scene.item("given-up").await;
    scene.block(item).await;
    let issue = open_issue(&scene, item).await;
    let slip = scene.store().answer(issue, &Answer::new("rety", "ada")).await.unwrap_err();
    assert!(slip.to_string().contains("1) retry, 2) cancel"), "{slip}");
    let done = scene.store().answer(issue, &Answer::new("cancel", "ada")).await.unwrap();
    assert!(matches!(done.standing, Standing::Cancelled { .. }));
    let guided = scene.store().answers_of(ItemId(item.0 - 1)).await.unwrap();
    assert_eq!((guided[0].kind, guided[0].answer.as_str()), (IssueKind::Blocked, "use the other library"));
}

#[tokio::test]
async fn what_is_not_parked_is_not_retried_and_the_refusal_says_what_it_does() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    let ready = scene.store().retry(item, None, "ada").await.unwrap_err();
    let name = format!("demo/a (#{item})");
    assert_eq!(ready.to_string(), format!("{name} can't be retried: it is ready for spec and waits for a worker"));
    let lease = scene.lease(item).await;
    let running = scene.store().retry(item, None, "ada").await.unwrap_err();
    let worker = scene.worker;
    assert_eq!(
        running.to_string(),
        format!("{name} can't be retried: it is being run in spec by worker {worker} (run {})", lease.run)
    );
    scene.store().cancel(item, "ada", "no need").await.unwrap();
    let ended = scene.store().cancel(item, "ada", "").await.unwrap_err();
    assert_eq!(ended.to_string(), format!("{name} can't be cancelled: it was given up"));
    assert!(scene.store().retry(item, Some(0), "ada").await.unwrap_err().to_string().starts_with("attempts: is 0"));
    assert!(matches!(scene.store().retry(ItemId(4711), None, "ada").await.unwrap_err(), StoreError::NotFound { .. }));
}

#[tokio::test]
async fn a_run_that_a_decision_overtook_changes_nothing() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    let lease = scene.lease(item).await;
    scene.store().cancel(item, "ada", "changed our mind").await.unwrap();
    let applied = scene.report(&lease, RunReport::free(Outcome::Pass(handlers::proof(WorkPhase::Spec)))).await;
    assert!(!applied.wrote(item));
    assert!(matches!(scene.standing(item).await, Standing::Cancelled { .. }));
    let shown = scene.store().item(item).await.unwrap();
    assert_eq!((shown.runs.len(), shown.runs[0].ended.as_str()), (1, "superseded"));
    let decided = shown.events.iter().find(|event| event.kind == "work.decided").unwrap();
    assert_eq!(
        decided.data,
        serde_json::json!({ "decision": "cancel", "by": "ada", "detail": { "why": "changed our mind" } })
    );
}

#[tokio::test]
async fn a_retry_closes_what_was_asked_and_grants_attempts() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    scene.run(item, asked(&[("One?", &[]), ("Two?", &[])])).await;
    assert!(matches!(scene.store().retry(item, Some(5), "ada").await.unwrap(), Standing::Ready { .. }));
    let shown = scene.store().item(item).await.unwrap();
    assert_eq!((shown.item.attempts_granted, shown.open_issues.len()), (8, 0));
    assert_eq!(scene.store().open_issues(&IssueFilter::default()).await.unwrap(), []);
    scene.block(item).await;
    let Standing::Blocked { reason, resume, .. } = scene.standing(item).await else { panic!() };
    assert_eq!((reason, resume), (BlockReason::AttemptsSpent, WorkPhase::Build));
    assert_eq!(
        damascus_core::EventKind::Retried.name(),
        Event::Retried { attempts: std::num::NonZeroU16::MIN }.kind().name()
    );
}

#[tokio::test]
async fn open_issues_are_listed_with_what_waits_for_them() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    scene.item_after("b", &["a"]).await;
    scene.item_after("c", &["b"]).await;
    scene.item_after("d", &["b", "a"]).await;
    let alone = scene.item("z").await;
    scene.run(item, asked(&[("Which?", &["x"])])).await;
    scene.run(alone, asked(&[("What?", &[])])).await;
    let issues = scene.store().open_issues(&IssueFilter::default()).await.unwrap();
    let shown: Vec<_> =
        issues.iter().map(|one| (one.item.as_str(), one.question.as_str(), one.waiting_items)).collect();
    assert_eq!(shown, [("demo/a", "Which?", 3), ("demo/z", "What?", 0)]);
    let next = IssueFilter { after: Some(issues[0].id), project: Some(scene.project), limit: 1 };
    assert_eq!(scene.store().open_issues(&next).await.unwrap(), issues[1..]);
    let other = IssueFilter { project: Some(damascus_core::ProjectId(4711)), ..IssueFilter::default() };
    assert_eq!(scene.store().open_issues(&other).await.unwrap(), []);
    assert_eq!(scene.store().item(item).await.unwrap().item.phase, Phase::AwaitingHuman);
    assert!(matches!(
        scene.run(scene.store().resolve_item("b").await.unwrap(), failed(Failure::SpecInvalid)).await,
        Standing::Ready { .. }
    ));
}

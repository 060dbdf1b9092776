//! Pull requests of local repositories.

use std::collections::BTreeSet;
use std::sync::Arc;

use damascus_core::ProjectId;
use damascus_store::StoreError;
use damascus_store::pull_request::{CommitStatus, PullProposal, PullState, StatusState};
use damascus_testkit::Scene;

use crate::subject::{commit, execute, is_invalid, number};

fn proposal(head: &str) -> PullProposal {
    PullProposal {
        head_branch: head.to_owned(),
        base_branch: "main".to_owned(),
        title: format!("Add {head}"),
        body: "What it does.".to_owned(),
    }
}

#[tokio::test]
async fn an_open_one_is_found_again_and_a_settled_one_never() {
    let scene = Scene::new().await;
    let (store, project) = (scene.store(), scene.project);
    let first = store.find_or_open_pull(project, &proposal("a")).await.unwrap();
    assert_eq!((first.number, first.state, &first.merged_as), (1, PullState::Open, &None));
    let changed = PullProposal { title: "Another".to_owned(), body: String::new(), ..proposal("a") };
    let again = store.find_or_open_pull(project, &changed).await.unwrap();
    assert_eq!((again.number, &again.proposal, again.opened_at), (1, &changed, first.opened_at));
    assert_eq!(store.pull(project, 1).await.unwrap(), Some(again));
    assert_eq!(store.pull(project, 2).await.unwrap(), None);
    assert_eq!(store.pull(project, u32::MAX).await.unwrap(), None);

    let closed = store.settle_pull(project, 1, None).await.unwrap().unwrap();
    assert!(closed.state == PullState::Closed && closed.settled_at.is_some());
    let second = store.find_or_open_pull(project, &proposal("a")).await.unwrap();
    assert_eq!((second.number, second.state), (2, PullState::Open));
    let merged = store.settle_pull(project, 2, Some(&commit(b'a'))).await.unwrap().unwrap();
    assert_eq!((merged.state, &merged.merged_as), (PullState::Merged, &Some(commit(b'a'))));
    // An end stays an end.
    assert_eq!(store.settle_pull(project, 2, None).await.unwrap(), Some(merged.clone()));
    assert_eq!(store.settle_pull(project, 2, Some(&commit(b'b'))).await.unwrap(), Some(merged));
    assert_eq!(store.settle_pull(project, 1, Some(&commit(b'b'))).await.unwrap(), Some(closed));
    assert_eq!(store.settle_pull(project, 9, None).await.unwrap(), None);
    assert_eq!(store.find_or_open_pull(project, &proposal("a")).await.unwrap().number, 3);
    let reopened = "UPDATE pull_requests SET state = 'open', merged_as = NULL, settled_at = NULL WHERE number = 2";
    for statement in [reopened, "UPDATE pull_requests SET number = 7 WHERE number = 3", "DELETE FROM pull_requests"] {
        assert_eq!(execute(&scene.db, statement).await.as_deref(), Some("immutable"), "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_come_at_once_open_one_and_numbers_have_no_gap() {
    let scene = Arc::new(Scene::new().await);
    let mut opening = tokio::task::JoinSet::new();
    for n in 0..24 {
        let scene = Arc::clone(&scene);
        opening.spawn(async move {
            let proposal = proposal(&format!("branch-{}", n % 6));
            scene.store().find_or_open_pull(scene.project, &proposal).await.unwrap().number
        });
    }
    let numbers: BTreeSet<u32> = opening.join_all().await.into_iter().collect();
    assert_eq!(numbers.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM pull_requests").await, 6);
    let other = scene.project("other").await;
    assert_eq!(scene.store().find_or_open_pull(other, &proposal("a")).await.unwrap().number, 1);
}

#[tokio::test]
async fn what_can_not_be_stored_is_named() {
    let scene = Scene::new().await;
    let (store, project) = (scene.store(), scene.project);
    let open = async |change: fn(&mut PullProposal)| {
        let mut one = proposal("a");
        change(&mut one);
        store.find_or_open_pull(project, &one).await
    };
    is_invalid(open(|one| one.head_branch = "a b".into()).await, "head_branch");
    is_invalid(open(|one| one.head_branch = "main".into()).await, "head_branch");
    is_invalid(open(|one| one.base_branch = String::new()).await, "base_branch");
    is_invalid(open(|one| one.title = "a\nb".into()).await, "title");
    is_invalid(open(|one| one.title = "x".repeat(501)).await, "title");
    is_invalid(open(|one| one.body = "x".repeat((1 << 20) + 1)).await, "body");
    is_invalid(open(|one| one.body = "\0".into()).await, "NUL");
    let error = store.find_or_open_pull(ProjectId(999), &proposal("a")).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "project", .. }), "{error}");
}

#[tokio::test]
async fn a_marker_has_one_comment_and_a_context_one_status() {
    let scene = Scene::new().await;
    let (store, project) = (scene.store(), scene.project);
    assert!(!store.comment_on_pull(project, 1, "review", "x").await.unwrap(), "there is no pull request yet");
    store.find_or_open_pull(project, &proposal("a")).await.unwrap();
    for (marker, body) in [("review", "one"), ("merge", "two"), ("review", "three")] {
        assert!(store.comment_on_pull(project, 1, marker, body).await.unwrap());
    }
    let comments = store.pull_comments(project, 1).await.unwrap();
    let shown: Vec<_> = comments.iter().map(|one| (one.marker.as_str(), one.body.as_str())).collect();
    assert_eq!(shown, [("review", "three"), ("merge", "two")]);
    is_invalid(store.comment_on_pull(project, 1, "a\nb", "x").await, "marker");

    let status = |context: &str, state| CommitStatus { context: context.to_owned(), state, description: String::new() };
    for (context, state) in [("b", StatusState::Pending), ("a", StatusState::Error), ("b", StatusState::Success)] {
        store.set_commit_status(project, &commit(b'a'), &status(context, state)).await.unwrap();
    }
    let set = store.commit_statuses(project, &commit(b'a')).await.unwrap();
    assert_eq!(set, [status("a", StatusState::Error), status("b", StatusState::Success)]);
    assert_eq!(store.commit_statuses(project, &commit(b'b')).await.unwrap(), []);
    for n in 0..98 {
        let one = status(&format!("more-{n}"), StatusState::Success);
        store.set_commit_status(project, &commit(b'a'), &one).await.unwrap();
    }
    let too_many = store.set_commit_status(project, &commit(b'a'), &status("c", StatusState::Success)).await;
    is_invalid(too_many, "at most 100");
    store.set_commit_status(project, &commit(b'a'), &status("b", StatusState::Failure)).await.unwrap();
    let long = CommitStatus { description: "x".repeat(141), ..status("b", StatusState::Success) };
    is_invalid(store.set_commit_status(project, &commit(b'a'), &long).await, "description");
}

//! Pull requests before they land: opening, finding, closing, statuses and comments.
//!
//! Invariant: whatever is done twice has one outcome.

use damascus_engine::ports::forge::{CommitStatus, Forge, PullState, StatusState};

use super::{BASE, ForgeFixture, Proposed, base, open, text};

pub(super) async fn opens_one_and_finds_it_again(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    assert_eq!((one.pull.state, one.pull.head.as_ref()), (PullState::Open, Some(&one.head)));
    assert_eq!((one.pull.head_branch.as_str(), one.pull.base_branch.as_str()), (Proposed::BRANCH, BASE));
    assert_eq!((one.pull.title.as_str(), one.pull.body.as_str()), ("a story", "What a story is for."));
    assert_eq!(one.pull.merged_as, None);
    let again = forge.find_or_open(&one.repository, Proposed::BRANCH, BASE, &text("another title")).await;
    let again = again.expect("it is found");
    assert_eq!((again.number, again.title.as_str()), (one.pull.number, "another title"));
    assert_eq!(one.now(forge).await, again);

    fixture.push(&one.repository, "damascus/2-other", &one.base).await;
    let other = open(forge, &one.repository, "damascus/2-other").await;
    assert_ne!(other.number, one.pull.number);
    assert_eq!(one.now(forge).await, again, "another one leaves it alone");
}

pub(super) async fn callers_at_once_open_one(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let repository = fixture.repository().await;
    let base = base(fixture, &repository).await;
    fixture.push(&repository, Proposed::BRANCH, &base).await;
    let one = || open(forge, &repository, Proposed::BRANCH);
    let (a, b, c, d, e, f, g, h) = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    for other in [&b, &c, &d, &e, &f, &g, &h] {
        assert_eq!(a.number, other.number);
    }
}

pub(super) async fn a_settled_one_is_not_adopted(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    forge.close(&one.repository, one.pull.number).await.expect("it closes");
    let second = open(forge, &one.repository, Proposed::BRANCH).await;
    assert!(second.number != one.pull.number && second.state == PullState::Open, "{second:?}");
    assert_eq!(one.now(forge).await.state, PullState::Closed);

    let landed = fixture.push(&one.repository, BASE, &one.base).await;
    forge.mark_merged(&one.repository, second.number, &landed).await.expect("it landed by a push");
    let third = open(forge, &one.repository, Proposed::BRANCH).await;
    assert!(third.number != second.number && third.state == PullState::Open, "{third:?}");
    let second = forge.pull_request(&one.repository, second.number).await.expect("it is there");
    assert_eq!((second.state, second.merged_as), (PullState::Merged, Some(landed)));
}

pub(super) async fn the_head_is_that_of_the_repository(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let further = fixture.push(&one.repository, Proposed::BRANCH, &one.head).await;
    assert_eq!(one.now(forge).await.head, Some(further));
    let rewritten = fixture.push(&one.repository, Proposed::BRANCH, &one.base).await;
    assert_eq!(one.now(forge).await.head, Some(rewritten));
    fixture.delete_branch(&one.repository, Proposed::BRANCH).await;
    assert_eq!(one.now(forge).await.head, None);
}

pub(super) async fn closing_twice_is_closing_once(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    for _ in 0..2 {
        forge.close(&one.repository, one.pull.number).await.expect("it closes");
        assert_eq!(one.now(forge).await.state, PullState::Closed);
    }
    let second = open(forge, &one.repository, Proposed::BRANCH).await;
    forge.mark_merged(&one.repository, second.number, &one.base).await.expect("the base has its own commit");
    forge.close(&one.repository, second.number).await.expect("one that is not open stays as it is");
    let second = forge.pull_request(&one.repository, second.number).await.expect("it is there");
    assert_eq!(second.state, PullState::Merged);
}

pub(super) async fn a_status_replaces_that_of_its_context(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    if !forge.capabilities(&one.repository).await.expect("it knows what it can do").statuses {
        return;
    }
    let status = |context: &str, state, description: &str| CommitStatus {
        context: context.to_owned(),
        state,
        description: description.to_owned(),
    };
    for status in [
        status("damascus/tests", StatusState::Pending, "running"),
        status("damascus/review", StatusState::Failure, "3 tests failed"),
        status("damascus/tests", StatusState::Success, "12 passed"),
    ] {
        forge.set_status(&one.repository, &one.head, &status).await.expect("it is set");
    }
    let set = forge.statuses(&one.repository, &one.head).await.expect("they are read");
    assert_eq!(
        set,
        [
            status("damascus/review", StatusState::Failure, "3 tests failed"),
            status("damascus/tests", StatusState::Success, "12 passed")
        ]
    );
    assert_eq!(forge.statuses(&one.repository, &one.base).await.expect("they are read"), []);
}

pub(super) async fn a_marker_has_one_comment(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    for (marker, body) in [("review", "the first words"), ("merge", "other words"), ("review", "the last words")] {
        forge.comment(&one.repository, one.pull.number, marker, body).await.expect("it is written");
    }
    let comments = fixture.comments(&one.repository, one.pull.number).await;
    assert_eq!(comments.len(), 2, "{comments:?}");
    assert!(comments[0].contains("the last words") && !comments[0].contains("the first words"), "{comments:?}");
    assert!(comments[1].contains("other words"), "{comments:?}");
}

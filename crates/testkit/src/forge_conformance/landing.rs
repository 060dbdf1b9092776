//! Landing, by the forge itself and by a push.
//!
//! Invariant: the base branch moves to exactly what was expected, or not at all.

use damascus_core::CommitId;
use damascus_engine::ports::forge::{Forge, MergeRequest, Merged, PullState};

use super::{BASE, ForgeFixture, Proposed, is_refused};

/// Asks for a landing; none when the forge lands nothing by itself.
async fn land(forge: &dyn Forge, one: &Proposed, expected_head: &CommitId) -> Option<Merged> {
    if !forge.capabilities(&one.repository).await.expect("it knows what it can do").fast_forward_merge {
        return None;
    }
    let (number, expected_head, base_branch) = (one.pull.number, expected_head.clone(), BASE.to_owned());
    let request = MergeRequest { number, expected_head, base_branch, expected_base: one.base.clone() };
    Some(forge.merge(&one.repository, &request).await.expect("the forge answers"))
}

pub(super) async fn a_landing_moves_the_base_to_exactly_the_head(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let Some(merged) = land(forge, &one, &one.head).await else { return };
    assert_eq!(merged, Merged::Done);
    assert_eq!(fixture.tip(&one.repository, BASE).await.as_ref(), Some(&one.head));
    let pull = one.now(forge).await;
    assert_eq!((pull.state, pull.merged_as.as_ref()), (PullState::Merged, Some(&one.head)));
    assert_eq!(land(forge, &one, &one.head).await, Some(Merged::Done), "again is no further landing");
    // Others land after it, and its branch goes.
    let later = fixture.push(&one.repository, BASE, &one.head).await;
    fixture.delete_branch(&one.repository, Proposed::BRANCH).await;
    assert_eq!(land(forge, &one, &one.head).await, Some(Merged::Done));
    assert_eq!(fixture.tip(&one.repository, BASE).await, Some(later));
    forge.mark_merged(&one.repository, one.pull.number, &one.head).await.expect("it is marked already");
}

pub(super) async fn another_head_than_expected_changes_nothing(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let moved = fixture.push(&one.repository, Proposed::BRANCH, &one.head).await;
    let nowhere = CommitId::filled(b'1');
    for expected in [&one.head, &one.base, &nowhere] {
        let Some(merged) = land(forge, &one, expected).await else { return };
        assert_eq!(merged, Merged::HeadMoved, "{expected}");
    }
    assert_eq!(fixture.tip(&one.repository, BASE).await.as_ref(), Some(&one.base));
    let pull = one.now(forge).await;
    assert_eq!((pull.state, pull.head), (PullState::Open, Some(moved)));
    fixture.delete_branch(&one.repository, Proposed::BRANCH).await;
    assert_eq!(land(forge, &one, &one.head).await, Some(Merged::HeadMoved), "nothing is proposed any more");
    assert_eq!(fixture.tip(&one.repository, BASE).await.as_ref(), Some(&one.base));
}

pub(super) async fn a_base_that_moved_changes_nothing(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let moved = fixture.push(&one.repository, BASE, &one.base).await;
    let Some(merged) = land(forge, &one, &one.head).await else { return };
    assert_eq!(merged, Merged::BaseMoved);
    assert_eq!(fixture.tip(&one.repository, BASE).await, Some(moved));
    assert_eq!(one.now(forge).await.state, PullState::Open);
}

pub(super) async fn what_landed_by_a_push_is_found(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let candidate = fixture.push(&one.repository, BASE, &one.head).await;
    forge.mark_merged(&one.repository, one.pull.number, &candidate).await.expect("it is on the base");
    let pull = one.now(forge).await;
    assert_eq!((pull.state, pull.merged_as.as_ref()), (PullState::Merged, Some(&candidate)));
    forge.mark_merged(&one.repository, one.pull.number, &candidate).await.expect("again changes nothing");
    assert_eq!(one.now(forge).await, pull);

    // A landing whose end nobody recorded: the base has the head already.
    let two = Proposed::new(forge, fixture).await;
    let on_top = fixture.push(&two.repository, BASE, &two.head).await;
    if let Some(merged) = land(forge, &two, &two.head).await {
        assert_eq!(merged, Merged::Done);
        assert_eq!(two.now(forge).await.merged_as.as_ref(), Some(&two.head));
    }
    assert_eq!(fixture.tip(&two.repository, BASE).await, Some(on_top));
}

pub(super) async fn only_what_is_on_the_base_is_marked_merged(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    for commit in [&one.head, &CommitId::filled(b'1')] {
        let marked = forge.mark_merged(&one.repository, one.pull.number, commit).await;
        assert!(is_refused(marked), "{commit} is not on the base");
    }
    let pull = one.now(forge).await;
    assert_eq!((pull.state, pull.merged_as), (PullState::Open, None));
}

pub(super) async fn what_is_closed_does_not_land(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    forge.close(&one.repository, one.pull.number).await.expect("it closes");
    let Some(merged) = land(forge, &one, &one.head).await else { return };
    assert!(matches!(merged, Merged::Refused(_)), "{merged:?}");
    assert_eq!(fixture.tip(&one.repository, BASE).await.as_ref(), Some(&one.base));
}

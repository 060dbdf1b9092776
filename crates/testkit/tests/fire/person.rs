//! A person who decides about whatever is asked: answers, retries a few times, gives up some.

use damascus_core::IssueKind;
use damascus_store::Store;
use damascus_store::decision::Answer;
use damascus_store::issue::IssueFilter;
use rand::Rng as _;
use rand::rngs::SmallRng;

/// Decides about the open issues; gives how many decisions were taken. What the server does not live to hear is decided another time.
pub(crate) async fn decide(store: &Store, rng: &mut SmallRng) -> u32 {
    let Ok(open) = store.open_issues(&IssueFilter::default()).await else { return 0 };
    let mut decisions = 0;
    for issue in open {
        let text = match issue.kind {
            IssueKind::Question => ["1", "2"][rng.random_range(0..2)],
            IssueKind::Blocked => ["retry", "cancel"][usize::from(rng.random_ratio(1, 2))],
            IssueKind::Gate => "waive",
        };
        decisions += u32::from(store.answer(issue.id, &Answer::new(text, "a person")).await.is_ok());
    }
    decisions
}

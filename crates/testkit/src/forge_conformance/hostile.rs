//! What is not there, and what should not be.
//!
//! Invariant: an error says where; nothing that can't be shown gets to a forge.

use damascus_core::display;
use damascus_engine::ports::forge::{Forge, ForgeError, PullText};

use super::{BASE, ForgeFixture, Proposed, base, is_refused, text};

/// The longest text that a forge must take, and may cut, in bytes.
const MIB: usize = 1 << 20;

pub(super) async fn what_is_not_there_is_named(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let (repository, unknown) = (&one.repository, fixture.unknown_repository().await);
    for number in [one.pull.number + 1, 0, u64::MAX] {
        let missing = |error| matches!(error, ForgeError::NoPullRequest(named) if named == number);
        assert!(forge.pull_request(repository, number).await.is_err_and(missing));
        assert!(forge.close(repository, number).await.is_err_and(missing));
        assert!(forge.comment(repository, number, "marker", "x").await.is_err_and(missing));
        assert!(forge.mark_merged(repository, number, &one.base).await.is_err_and(missing));
    }
    let opened = forge.find_or_open(&unknown, Proposed::BRANCH, BASE, &text("x")).await;
    assert!(matches!(opened, Err(ForgeError::NoRepository(_))), "{opened:?}");
    let missing = forge.find_or_open(repository, "damascus/not-pushed", BASE, &text("x")).await;
    assert!(is_refused(missing), "a branch that was not pushed");
    let missing = forge.find_or_open(repository, Proposed::BRANCH, "no-such-base", &text("x")).await;
    assert!(is_refused(missing), "a base that is not there");
}

pub(super) async fn a_repository_that_goes_away_is_named(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    fixture.remove(&one.repository).await;
    let named = |error: ForgeError| error.to_string().contains(&one.repository.path);
    assert!(forge.pull_request(&one.repository, one.pull.number).await.is_err_and(named));
    let opened = forge.find_or_open(&one.repository, Proposed::BRANCH, BASE, &text("x")).await;
    assert!(opened.is_err_and(named));
    assert!(forge.mark_merged(&one.repository, one.pull.number, &one.base).await.is_err_and(named));
}

pub(super) async fn texts_are_made_safe_and_bounded(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let one = Proposed::new(forge, fixture).await;
    let hostile = "a\0b\u{1b}[31m\u{202e}c\r";
    let long = format!("{hostile}\n{}", "ä\u{7}".repeat(MIB));
    for (title, body) in [(hostile, hostile), (long.as_str(), long.as_str()), ("\n", "")] {
        let text = PullText { title: title.to_owned(), body: body.to_owned() };
        let pull = forge.find_or_open(&one.repository, Proposed::BRANCH, BASE, &text).await.expect("it is taken");
        assert_eq!(pull.number, one.pull.number);
        assert!(!pull.title.trim().is_empty() && !pull.title.chars().any(display::is_unsafe), "{:?}", pull.title);
        let unsafe_in_text = |c: char| display::is_unsafe(c) && !matches!(c, '\n' | '\t');
        assert!(!pull.body.chars().any(unsafe_in_text) && pull.body.len() <= MIB);
        assert!(body.is_empty() || pull.body.contains("ab"), "what is harmless stays");
        forge.comment(&one.repository, one.pull.number, "marker", body).await.expect("it is taken");
        let comments = fixture.comments(&one.repository, one.pull.number).await;
        assert!(comments.len() == 1 && !comments[0].chars().any(unsafe_in_text));
    }
}

pub(super) async fn branches_that_are_none_are_refused(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    let repository = fixture.repository().await;
    let base = base(fixture, &repository).await;
    for branch in ["", "-f", "--upload-pack=x", "a..b", "a b", "a\nb", "a\0b", "refs/../x", "@{1}", "a\u{202e}b", BASE]
    {
        let opened = forge.find_or_open(&repository, branch, BASE, &text("x")).await;
        assert!(is_refused(opened), "{branch:?}");
    }
    assert!(is_refused(forge.find_or_open(&repository, BASE, "--force", &text("x")).await));
    assert_eq!(fixture.tip(&repository, BASE).await, Some(base));
}

//! What every forge must do, one function for each behaviour; a fixture stands for the people and programs that use the forge beside us.
//!
//! Invariant: a behaviour begins with a fresh repository and looks at the forge and the repository only through the port and the fixture, so
//! that it holds for any forge.

mod hostile;
mod landing;
mod proposing;

use async_trait::async_trait;
use damascus_core::CommitId;
use damascus_engine::ports::forge::{Forge, ForgeError, PullRequest, PullText, Repository};

/// The branch that fresh repositories have.
pub const BASE: &str = "main";

/// What others do with the repositories of a forge.
#[async_trait]
pub trait ForgeFixture: Send + Sync {
    /// A repository that the forge knows, with one commit on [`BASE`].
    async fn repository(&self) -> Repository;

    /// A repository that the forge does not know.
    async fn unknown_repository(&self) -> Repository;

    /// Makes a commit on top of `parent` that differs from all others, and moves a branch to it, wherever that was; the branch is made if it is
    /// not there.
    async fn push(&self, repository: &Repository, branch: &str, parent: &CommitId) -> CommitId;

    /// The tip of a branch.
    async fn tip(&self, repository: &Repository, branch: &str) -> Option<CommitId>;

    /// Deletes a branch.
    async fn delete_branch(&self, repository: &Repository, branch: &str);

    /// Takes the whole repository away.
    async fn remove(&self, repository: &Repository);

    /// The texts of the comments on a pull request, oldest first.
    async fn comments(&self, repository: &Repository, number: u64) -> Vec<String>;
}

/// Runs every behaviour, each on a repository of its own.
pub async fn run_all(forge: &dyn Forge, fixture: &dyn ForgeFixture) {
    proposing::opens_one_and_finds_it_again(forge, fixture).await;
    proposing::callers_at_once_open_one(forge, fixture).await;
    proposing::a_settled_one_is_not_adopted(forge, fixture).await;
    proposing::the_head_is_that_of_the_repository(forge, fixture).await;
    proposing::closing_twice_is_closing_once(forge, fixture).await;
    proposing::a_status_replaces_that_of_its_context(forge, fixture).await;
    proposing::a_marker_has_one_comment(forge, fixture).await;
    landing::a_landing_moves_the_base_to_exactly_the_head(forge, fixture).await;
    landing::another_head_than_expected_changes_nothing(forge, fixture).await;
    landing::a_base_that_moved_changes_nothing(forge, fixture).await;
    landing::what_landed_by_a_push_is_found(forge, fixture).await;
    landing::only_what_is_on_the_base_is_marked_merged(forge, fixture).await;
    landing::what_is_closed_does_not_land(forge, fixture).await;
    hostile::what_is_not_there_is_named(forge, fixture).await;
    hostile::a_repository_that_goes_away_is_named(forge, fixture).await;
    hostile::texts_are_made_safe_and_bounded(forge, fixture).await;
    hostile::branches_that_are_none_are_refused(forge, fixture).await;
}

/// A repository with a branch that has one commit more than the base, and the pull request for it.
struct Proposed {
    repository: Repository,
    base: CommitId,
    head: CommitId,
    pull: PullRequest,
}

impl Proposed {
    const BRANCH: &'static str = "damascus/1-story";

    async fn new(forge: &dyn Forge, fixture: &dyn ForgeFixture) -> Self {
        let repository = fixture.repository().await;
        let base = base(fixture, &repository).await;
        let head = fixture.push(&repository, Self::BRANCH, &base).await;
        let pull = open(forge, &repository, Self::BRANCH).await;
        Self { repository, base, head, pull }
    }

    /// The pull request as the forge has it now.
    async fn now(&self, forge: &dyn Forge) -> PullRequest {
        forge.pull_request(&self.repository, self.pull.number).await.expect("the pull request is there")
    }
}

/// The tip of the base branch.
async fn base(fixture: &dyn ForgeFixture, repository: &Repository) -> CommitId {
    fixture.tip(repository, BASE).await.expect("a fresh repository has a base branch")
}

fn text(title: &str) -> PullText {
    PullText { title: title.to_owned(), body: format!("What {title} is for.") }
}

/// The pull request for a branch.
async fn open(forge: &dyn Forge, repository: &Repository, branch: &str) -> PullRequest {
    forge.find_or_open(repository, branch, BASE, &text("a story")).await.expect("a pull request opens")
}

/// Whether a call is refused for good: an error, and none that may be tried again.
fn is_refused<T>(result: Result<T, ForgeError>) -> bool {
    matches!(result, Err(error) if !error.retryable())
}

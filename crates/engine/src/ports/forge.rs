//! The forge: where the repository lives and changes are proposed.
//!
//! Invariants: every call can be made again after a crash with the same end: what is there already is found and adopted; nothing is forced;
//! a merge names the head that it expects; a forge that can't be reached is an error that may be tried again, never an answer.

use std::path::PathBuf;

use async_trait::async_trait;
use damascus_core::{CommitId, ProjectId, named_enum};
use serde::Serialize;

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The project that it belongs to.
    pub project: ProjectId,
    /// `owner/name` on the forge, or the path of a local repository.
    pub path: String,
    /// The forge's numeric id, which survives a rename; none where the forge has none or was not asked yet.
    pub forge_id: Option<i64>,
}

/// How git reaches a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloneFrom {
    /// A repository on this machine.
    Path(PathBuf),
}

/// What a forge can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// It can land exactly the head of a pull request by itself; else the tested commit is pushed.
    pub fast_forward_merge: bool,
    /// It tells of changes by webhooks.
    pub webhooks: bool,
    /// It shows a status per commit.
    pub statuses: bool,
}

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullState {
    /// It waits.
    Open,
    /// Somebody closed it without merging.
    Closed,
    /// Its change is on the base branch.
    Merged,
}

named_enum!(PullState, "state of a pull request", { Open => "open", Closed => "closed", Merged => "merged" });

/// A pull request as the forge has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullRequest {
    /// Its number on the forge.
    pub number: u64,
    /// Where it stands.
    pub state: PullState,
    /// The branch that it proposes.
    pub head_branch: String,
    /// The tip of that branch as the forge has it; none when the branch is gone.
    pub head: Option<CommitId>,
    /// The branch that it is to land on.
    pub base_branch: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// The commit that landed, once it is merged.
    pub merged_as: Option<CommitId>,
    /// Where people look at it; none where there is no such place.
    pub url: Option<String>,
}

/// What a pull request should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullText {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
}

/// How a check on a commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusState {
    /// Not known yet.
    Pending,
    /// Passed.
    Success,
    /// Did not pass.
    Failure,
    /// Could not be told.
    Error,
}

named_enum!(StatusState, "state of a check", {
    Pending => "pending", Success => "success", Failure => "failure", Error => "error",
});

/// A check on a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitStatus {
    /// Its name, such as `damascus/tests`; a later status of the same name replaces it.
    pub context: String,
    /// How it stands.
    pub state: StatusState,
    /// A short sentence, at most 140 characters.
    pub description: String,
}

/// What came of landing a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The base branch was moved to exactly this commit, now or earlier.
    Done,
    /// The base branch is not where it was expected.
    BaseMoved,
    /// The pull request's head is not the one expected.
    HeadMoved,
    /// The forge refuses; what it says, safe to show.
    Refused(String),
}

/// A landing that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// The pull request.
    pub number: u64,
    /// The head that was tested; the forge refuses when it moved.
    pub expected_head: CommitId,
    /// The branch to land on.
    pub base_branch: String,
    /// Where that branch is expected: the tip that the head was tested on. Anything else is [`Merged::BaseMoved`].
    pub expected_base: CommitId,
}

/// Why a forge could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It can't be reached, is overloaded, or failed; trying again may help.
    #[error("the forge does not answer: {0}")]
    Unavailable(String),
    /// It says no, for good.
    #[error("the forge refuses: {0}")]
    Refused(String),
    /// There is no such repository.
    #[error("there is no repository {0}")]
    NoRepository(String),
    /// There is no such pull request.
    #[error("there is no pull request {0}")]
    NoPullRequest(u64),
}

impl ForgeError {
    /// Whether trying again may help.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A forge. One conformance suite holds for all of them.
#[async_trait]
pub trait Forge: Send + Sync {
    /// What it can do for this repository.
    async fn capabilities(&self, repository: &Repository) -> Result<Capabilities, ForgeError>;

    /// How git reaches the repository.
    fn clone_source(&self, repository: &Repository) -> CloneFrom;

    /// The open pull request for a branch, or a new one. A closed or merged one of the same branch is never taken for it.
    /// The text of one that is found is brought up to date.
    async fn find_or_open(
        &self,
        repository: &Repository,
        head_branch: &str,
        base_branch: &str,
        text: &PullText,
    ) -> Result<PullRequest, ForgeError>;

    /// A pull request as the forge has it now, with the head read from the repository itself.
    async fn pull_request(&self, repository: &Repository, number: u64) -> Result<PullRequest, ForgeError>;

    /// Sets the status of a check on a commit.
    async fn set_status(
        &self,
        repository: &Repository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<(), ForgeError>;

    /// The statuses of a commit, by context.
    async fn statuses(&self, repository: &Repository, commit: &CommitId) -> Result<Vec<CommitStatus>, ForgeError>;

    /// Writes the one comment of ours that carries `marker`, or brings it up to date.
    async fn comment(&self, repository: &Repository, number: u64, marker: &str, body: &str) -> Result<(), ForgeError>;

    /// Lands the pull request's head by fast-forward and marks it merged; only where [`Capabilities::fast_forward_merge`] says so.
    async fn merge(&self, repository: &Repository, merge: &MergeRequest) -> Result<Merged, ForgeError>;

    /// Tells the forge that a commit landed by a push, where it does not see that by itself: the pull request is marked merged.
    async fn mark_merged(&self, repository: &Repository, number: u64, landed: &CommitId) -> Result<(), ForgeError>;

    /// Closes a pull request without merging it; one that is not open stays as it is.
    async fn close(&self, repository: &Repository, number: u64) -> Result<(), ForgeError>;
}

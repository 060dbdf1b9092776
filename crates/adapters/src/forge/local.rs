//! A forge that is no forge: a bare repository in a folder, and pull requests as rows of the store.
//!
//! Invariants: heads and bases are read from the repository at every call, never remembered; a base branch is moved by one push that goes
//! forward and names where the branch has to be; a pull request is marked merged only when its commit is on the base branch.

mod landing;
mod text;

use std::path::PathBuf;

use async_trait::async_trait;
use damascus_core::{CommitId, display};
use damascus_engine::ports::forge::{
    Capabilities, CloneFrom, CommitStatus, Forge, ForgeError, MergeRequest, Merged, PullRequest, PullState, PullText,
    Repository, StatusState,
};
use damascus_git::{Git, GitError, Mirror, Remote};
use damascus_store::pull_request::{self as rows, PullProposal, PullRow};
use damascus_store::{Store, StoreError};

/// How much of a failure's text is shown, in characters.
const SAID_MAX_CHARS: usize = 2_000;

/// Local repositories as a forge.
#[derive(Debug, Clone)]
pub struct LocalForge {
    store: Store,
    git: Git,
    /// Where the mirrors of projects are, each in `<project>.git`.
    mirrors: PathBuf,
}

impl LocalForge {
    /// A forge that keeps its pull requests in the store, and looks at repositories through mirrors in this folder: an absolute path, which
    /// may be the one that others use for mirrors of the same projects.
    #[must_use]
    pub const fn new(store: Store, git: Git, mirrors: PathBuf) -> Self {
        Self { store, git, mirrors }
    }

    /// The mirror through which the repository is looked at. Opened anew each time: another process may have removed it.
    async fn mirror(&self, repository: &Repository) -> Result<Mirror, ForgeError> {
        let dir = self.mirrors.join(format!("{}.git", repository.project));
        let remote = Remote::Local(PathBuf::from(&repository.path));
        Mirror::open(self.git.clone(), dir, remote).await.map_err(|error| git_failed(repository, &error))
    }

    /// The tip of a branch as the repository has it now.
    async fn tip(&self, repository: &Repository, branch: &str) -> Result<Option<CommitId>, ForgeError> {
        let mirror = self.mirror(repository).await?;
        mirror.remote_tip(branch).await.map_err(|error| git_failed(repository, &error))
    }

    /// The row of a pull request.
    async fn row(&self, repository: &Repository, number: u64) -> Result<PullRow, ForgeError> {
        let found = self.store.pull(repository.project, small(number)?).await;
        found.map_err(|error| store_failed(repository, &error))?.ok_or(ForgeError::NoPullRequest(number))
    }

    /// A pull request with its head as the repository has it now.
    async fn shown(&self, repository: &Repository, row: PullRow) -> Result<PullRequest, ForgeError> {
        let PullProposal { head_branch, base_branch, title, body } = row.proposal;
        let head = self.tip(repository, &head_branch).await?;
        let state = match row.state {
            rows::PullState::Open => PullState::Open,
            rows::PullState::Closed => PullState::Closed,
            rows::PullState::Merged => PullState::Merged,
        };
        let number = u64::from(row.number);
        let merged_as = row.merged_as;
        Ok(PullRequest { number, state, head_branch, head, base_branch, title, body, merged_as, url: None })
    }

    /// Refuses a branch that the repository has not.
    async fn must_be_there(&self, repository: &Repository, branch: &str) -> Result<(), ForgeError> {
        if self.tip(repository, branch).await?.is_some() {
            return Ok(());
        }
        let branch = text::shown(branch);
        Err(ForgeError::Refused(format!("{} has no branch {branch}; push it first", text::shown(&repository.path))))
    }
}

#[async_trait]
impl Forge for LocalForge {
    async fn capabilities(&self, _: &Repository) -> Result<Capabilities, ForgeError> {
        Ok(Capabilities { fast_forward_merge: true, webhooks: false, statuses: true })
    }

    fn clone_source(&self, repository: &Repository) -> CloneFrom {
        CloneFrom::Path(PathBuf::from(&repository.path))
    }

    async fn find_or_open(
        &self,
        repository: &Repository,
        head_branch: &str,
        base_branch: &str,
        text: &PullText,
    ) -> Result<PullRequest, ForgeError> {
        self.must_be_there(repository, head_branch).await?;
        self.must_be_there(repository, base_branch).await?;
        let proposal = PullProposal {
            head_branch: head_branch.to_owned(),
            base_branch: base_branch.to_owned(),
            title: text::title(&text.title),
            body: text::body(&text.body),
        };
        let row = self.store.find_or_open_pull(repository.project, &proposal).await;
        self.shown(repository, row.map_err(|error| store_failed(repository, &error))?).await
    }

    async fn pull_request(&self, repository: &Repository, number: u64) -> Result<PullRequest, ForgeError> {
        let row = self.row(repository, number).await?;
        self.shown(repository, row).await
    }

    async fn set_status(
        &self,
        repository: &Repository,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<(), ForgeError> {
        let status = rows::CommitStatus {
            context: status.context.clone(),
            state: match status.state {
                StatusState::Pending => rows::StatusState::Pending,
                StatusState::Success => rows::StatusState::Success,
                StatusState::Failure => rows::StatusState::Failure,
                StatusState::Error => rows::StatusState::Error,
            },
            description: text::description(&status.description),
        };
        let set = self.store.set_commit_status(repository.project, commit, &status).await;
        set.map_err(|error| store_failed(repository, &error))
    }

    async fn statuses(&self, repository: &Repository, commit: &CommitId) -> Result<Vec<CommitStatus>, ForgeError> {
        let set = self.store.commit_statuses(repository.project, commit).await;
        let set = set.map_err(|error| store_failed(repository, &error))?;
        Ok(set
            .into_iter()
            .map(|status| CommitStatus {
                context: status.context,
                state: match status.state {
                    rows::StatusState::Pending => StatusState::Pending,
                    rows::StatusState::Success => StatusState::Success,
                    rows::StatusState::Failure => StatusState::Failure,
                    rows::StatusState::Error => StatusState::Error,
                },
                description: status.description,
            })
            .collect())
    }

    async fn comment(&self, repository: &Repository, number: u64, marker: &str, body: &str) -> Result<(), ForgeError> {
        let body = text::body(body);
        let written = self.store.comment_on_pull(repository.project, small(number)?, marker, &body).await;
        let found = written.map_err(|error| store_failed(repository, &error))?;
        found.then_some(()).ok_or(ForgeError::NoPullRequest(number))
    }

    async fn merge(&self, repository: &Repository, merge: &MergeRequest) -> Result<Merged, ForgeError> {
        self.land(repository, merge).await
    }

    async fn mark_merged(&self, repository: &Repository, number: u64, landed: &CommitId) -> Result<(), ForgeError> {
        self.record_landing(repository, number, landed).await
    }

    async fn close(&self, repository: &Repository, number: u64) -> Result<(), ForgeError> {
        let settled = self.store.settle_pull(repository.project, small(number)?, None).await;
        let found = settled.map_err(|error| store_failed(repository, &error))?;
        found.map(|_| ()).ok_or(ForgeError::NoPullRequest(number))
    }
}

/// A number as the store counts; one that is larger names nothing.
fn small(number: u64) -> Result<u32, ForgeError> {
    u32::try_from(number).map_err(|_| ForgeError::NoPullRequest(number))
}

/// What a failure of git means for a caller of the forge.
fn git_failed(repository: &Repository, error: &GitError) -> ForgeError {
    let path = text::shown(&repository.path);
    match error {
        GitError::RepositoryMissing { path: at } | GitError::NotARepository { path: at, .. }
            if at.as_os_str() == repository.path.as_str() =>
        {
            let why = display::one_line(&error.to_string(), SAID_MAX_CHARS);
            ForgeError::NoRepository(format!("at {path} ({why})"))
        }
        error if error.retryable() => ForgeError::Unavailable(said(error)),
        error => ForgeError::Refused(said(error)),
    }
}

/// What a failure of the store means for a caller of the forge.
fn store_failed(repository: &Repository, error: &StoreError) -> ForgeError {
    match error {
        StoreError::NotFound { what: "project", .. } => {
            ForgeError::NoRepository(format!("of project #{} ({})", repository.project, text::shown(&repository.path)))
        }
        error if error.retryable() => ForgeError::Unavailable(said(error)),
        error => ForgeError::Refused(said(error)),
    }
}

/// An error with its causes, safe to show.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    // A chain of causes is short; the bound guards against one that leads back to itself.
    for cause in std::iter::successors(error.source(), |cause| cause.source()).take(8) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    display::many_lines(&text, SAID_MAX_CHARS)
}

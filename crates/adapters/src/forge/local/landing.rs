//! Landing in a local repository.
//!
//! Invariant: look, then act: a landing that was made before a crash is found on the base branch and recorded, not made again.

use damascus_core::CommitId;
use damascus_engine::ports::forge::{ForgeError, MergeRequest, Merged, Repository};
use damascus_git::{Expect, GitError, Mirror, Pushed};
use damascus_store::pull_request::{PullRow, PullState};

use super::{LocalForge, git_failed, store_failed, text};

impl LocalForge {
    /// Moves the base branch to the pull request's head, if that is the expected one and the branch goes forward by it.
    pub(super) async fn land(&self, repository: &Repository, merge: &MergeRequest) -> Result<Merged, ForgeError> {
        let row = self.row(repository, merge.number).await?;
        if row.proposal.base_branch != merge.base_branch {
            let base = text::shown(&row.proposal.base_branch);
            return Ok(Merged::Refused(format!("pull request {} is to land on {base}", merge.number)));
        }
        match row.state {
            PullState::Open => {}
            PullState::Merged if row.merged_as.as_ref() == Some(&merge.expected_head) => return Ok(Merged::Done),
            PullState::Merged => return Ok(Merged::HeadMoved),
            PullState::Closed => {
                return Ok(Merged::Refused(format!("pull request {} is closed", merge.number)));
            }
        }
        let failed = |error| git_failed(repository, &error);
        let mirror = self.fetched(repository).await?;
        // Both as of one fetch, which also brought what they name.
        let head = mirror.tip(&row.proposal.head_branch).await.map_err(failed)?;
        if head.as_ref().is_some_and(|head| *head != merge.expected_head) {
            return Ok(Merged::HeadMoved);
        }
        let Some(base) = mirror.tip(&merge.base_branch).await.map_err(failed)? else {
            let branch = text::shown(&merge.base_branch);
            return Err(ForgeError::Refused(format!("{} has no branch {branch}", text::shown(&repository.path))));
        };
        if !holds(&mirror, &base, &merge.expected_head).await.map_err(failed)? {
            // Without its branch nothing is proposed any more, and what is not on the base has not landed.
            if head.is_none() {
                return Ok(Merged::HeadMoved);
            }
            if base != merge.expected_base || !mirror.contains(&merge.expected_head, &base).await.map_err(failed)? {
                return Ok(Merged::BaseMoved);
            }
            let expect = Expect::FastForwardOf(base);
            match mirror.push(&merge.expected_head, &merge.base_branch, expect).await.map_err(failed)? {
                Pushed::Done => {}
                Pushed::Moved { .. } => return Ok(Merged::BaseMoved),
                Pushed::Rejected(said) => return Ok(Merged::Refused(said)),
            }
        }
        self.settle(repository, merge.number, &merge.expected_head).await?;
        Ok(Merged::Done)
    }

    /// Marks a pull request merged by a commit that is on its base branch.
    pub(super) async fn record_landing(
        &self,
        repository: &Repository,
        number: u64,
        landed: &CommitId,
    ) -> Result<(), ForgeError> {
        let row = self.row(repository, number).await?;
        if row.state == PullState::Open {
            let mirror = self.fetched(repository).await?;
            let branch = &row.proposal.base_branch;
            let failed = |error| git_failed(repository, &error);
            let base = mirror.tip(branch).await.map_err(failed)?;
            let on_base = match &base {
                Some(base) => holds(&mirror, base, landed).await.map_err(failed)?,
                None => false,
            };
            if !on_base {
                return Err(ForgeError::Refused(format!("{landed} is not on {}", text::shown(branch))));
            }
        }
        self.settle(repository, number, landed).await
    }

    async fn fetched(&self, repository: &Repository) -> Result<Mirror, ForgeError> {
        let mirror = self.mirror(repository).await?;
        mirror.fetch().await.map_err(|error| git_failed(repository, &error))?;
        Ok(mirror)
    }

    /// Writes that a pull request is merged; one that is settled otherwise is an error.
    async fn settle(&self, repository: &Repository, number: u64, landed: &CommitId) -> Result<(), ForgeError> {
        let settled = self.store.settle_pull(repository.project, super::small(number)?, Some(landed)).await;
        let settled = settled.map_err(|error| store_failed(repository, &error))?;
        match settled.ok_or(ForgeError::NoPullRequest(number))? {
            PullRow { state: PullState::Merged, merged_as: Some(commit), .. } if commit == *landed => Ok(()),
            PullRow { state: PullState::Merged, merged_as: Some(commit), .. } => {
                Err(ForgeError::Refused(format!("pull request {number} is merged as {commit}, not as {landed}")))
            }
            PullRow { state, .. } => Err(ForgeError::Refused(format!("pull request {number} is {state}"))),
        }
    }
}

/// Whether a branch's tip is, or descends from, a commit. One that the repository does not have is on no branch.
async fn holds(mirror: &Mirror, tip: &CommitId, commit: &CommitId) -> Result<bool, GitError> {
    match mirror.contains(tip, commit).await {
        Err(GitError::NoObject { .. }) => Ok(false),
        found => found,
    }
}

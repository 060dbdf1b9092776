//! What every phase begins with: the item as the database has it, and the repository as the forge has it.
//!
//! Invariant: nothing here is remembered from an earlier run.

use std::sync::Arc;

use damascus_core::{CommitId, Spec};
use damascus_git::Mirror;
use damascus_store::work::WorkContext;

use super::Trouble;
use super::branch::branch_of;
use super::workshop::{ProjectRef, Workshop};
use crate::RunContext;
use crate::ports::forge::{Forge, Repository};

/// The item and its repository.
pub(crate) struct Scene {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) run: RunContext,
    pub(crate) work: WorkContext,
    pub(crate) project: ProjectRef,
    pub(crate) repository: Repository,
    pub(crate) branch: String,
}

impl Scene {
    /// Reads what the database knows.
    pub(crate) async fn read(workshop: &Arc<Workshop>, run: RunContext) -> Result<Self, Trouble> {
        let work = workshop.parts.store.work_context(run.lease.item).await?;
        let project = ProjectRef {
            id: work.project,
            forge: work.forge,
            repo: work.repo.clone(),
            forge_repo_id: work.forge_repo_id,
            base_branch: work.base_branch.clone(),
        };
        Ok(Self {
            workshop: Arc::clone(workshop),
            repository: project.repository(),
            branch: branch_of(work.item, &work.key),
            project,
            run,
            work,
        })
    }

    pub(crate) fn forge(&self) -> Result<&Arc<dyn Forge>, Trouble> {
        self.workshop.forge(self.project.forge)
    }

    /// The mirror, brought up to date.
    pub(crate) async fn mirror(&self) -> Result<Mirror, Trouble> {
        self.workshop.mirror(&self.project).await
    }

    /// The accepted spec.
    pub(crate) fn spec(&self) -> Result<Spec, Trouble> {
        let stored = self.work.spec.as_ref().ok_or_else(|| {
            Trouble::surroundings("the item has no accepted spec, although it is past its spec phase")
        })?;
        serde_json::from_value(stored.body.clone()).map_err(|error| {
            Trouble::surroundings(format_args!("spec version {} can't be read: {error}", stored.version))
        })
    }

    /// Fails when the lease is gone: asked before every effect on the outside.
    pub(crate) fn still_ours(&self) -> Result<(), Trouble> {
        if self.run.guard.holds() && !self.run.cancelled.is_cancelled() {
            return Ok(());
        }
        Err(Trouble::surroundings("the lease is lost; nothing more is done under it"))
    }

    /// Makes an effect for as long as the lease holds. Each looks before it acts, so one that is cut off is found done or made again.
    pub(crate) async fn while_ours<T>(&self, effect: impl Future<Output = T>) -> Result<T, Trouble> {
        tokio::select! {
            biased;
            () = self.run.cancelled.cancelled() => {
                Err(Trouble::surroundings("the lease was lost while the forge was spoken to"))
            }
            done = effect => Ok(done),
        }
    }

    /// The tip of the base branch as last fetched.
    pub(crate) async fn base_tip(&self, mirror: &Mirror) -> Result<CommitId, Trouble> {
        if let Some(tip) = mirror.tip(&self.project.base_branch).await? {
            return Ok(tip);
        }
        let branches = mirror.remote_branches().await.unwrap_or_default();
        let branch = &self.project.base_branch;
        let repo = &self.project.repo;
        Err(Trouble::person(if branches.is_empty() {
            format!(
                "The repository {repo} is empty: it has no branch yet. Push a first commit to {branch}, then answer."
            )
        } else {
            let shown = branches.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!(
                "The repository {repo} has no branch {branch}; it has: {shown}. Push that branch, or add the project again with \
                 the right --base, then answer."
            )
        }))
    }

    /// Makes a note for people of something that is not worth failing for.
    pub(crate) fn note(&self, what: &str, error: &dyn std::fmt::Display) {
        tracing::warn!(item.id = self.work.item.0, run.id = self.run.lease.run.0, %error, "{what}");
    }
}

//! Statuses of commits of local repositories.
//!
//! Invariant: a commit has one status of a context; a later one replaces it.

use damascus_core::{CommitId, ProjectId, named_enum};

use crate::decode::RowRef;
use crate::{Store, StoreError, input};

/// How long a context may be, in characters.
pub const CONTEXT_MAX_CHARS: usize = 255;
/// How long a description may be, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 140;
/// How many contexts a commit may have.
const MAX_CONTEXTS: i64 = 100;

/// How a check stands.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// Its name.
    pub context: String,
    /// How it stands.
    pub state: StatusState,
    /// A short sentence, safe to show; at most [`DESCRIPTION_MAX_CHARS`].
    pub description: String,
}

impl Store {
    /// Sets the status of a check on a commit.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming the field, or for one context too many; [`StoreError::NotFound`] when there is no such project;
    /// [`StoreError::Database`].
    pub async fn set_commit_status(
        &self,
        project: ProjectId,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<(), StoreError> {
        input::line("context", &status.context, CONTEXT_MAX_CHARS)?;
        if !status.description.is_empty() {
            input::line("description", &status.description, DESCRIPTION_MAX_CHARS)?;
        }
        let mut tx = self.pool.begin().await?;
        super::lock_project(&mut tx, project).await?;
        let written = sqlx::query!(
            r#"
            INSERT INTO commit_statuses (project_id, commit_id, context, state, description)
            SELECT $1, $2, $3, $4, $5
            WHERE (SELECT count(*) FROM commit_statuses WHERE project_id = $1 AND commit_id = $2 AND context <> $3) < $6
            ON CONFLICT (project_id, commit_id, context)
            DO UPDATE SET state = EXCLUDED.state, description = EXCLUDED.description, at = EXCLUDED.at
            "#,
            project.0,
            commit.as_str(),
            status.context,
            damascus_core::Named::name(status.state),
            status.description,
            MAX_CONTEXTS,
        )
        .execute(&mut *tx)
        .await?;
        if written.rows_affected() == 0 {
            return Err(input::wrong("context", format_args!("a commit has at most {MAX_CONTEXTS}")));
        }
        tx.commit().await?;
        Ok(())
    }

    /// The statuses of a commit, by context.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn commit_statuses(
        &self,
        project: ProjectId,
        commit: &CommitId,
    ) -> Result<Vec<CommitStatus>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT context, state, description FROM commit_statuses
            WHERE project_id = $1 AND commit_id = $2 ORDER BY context COLLATE "C" LIMIT $3
            "#,
            project.0,
            commit.as_str(),
            MAX_CONTEXTS,
        )
        .fetch_all(&self.pool)
        .await?;
        let at = RowRef { table: "commit_statuses", id: project.0 };
        rows.into_iter()
            .map(|row| {
                Ok(CommitStatus { context: row.context, state: at.named(&row.state)?, description: row.description })
            })
            .collect()
    }
}

//! Pull requests of local repositories.
//!
//! Invariants: one that is closed or merged stays so; at most one is open for a pair of branches; numbers count from 1 within the project,
//! without a gap, since whoever opens one holds the project's row. Heads are not kept: the repository has them.

mod comment;
mod status;

use chrono::{DateTime, Utc};
use damascus_core::{CommitId, ProjectId, named_enum};
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::{Store, StoreError, input, project};

pub use comment::{Comment, MARKER_MAX_CHARS};
pub use status::{CONTEXT_MAX_CHARS, CommitStatus, DESCRIPTION_MAX_CHARS, StatusState};

/// How long a branch's name may be, in characters.
pub const BRANCH_MAX_CHARS: usize = 255;
/// How long a title may be, in characters.
pub const TITLE_MAX_CHARS: usize = 500;
/// How long the text of a pull request or a comment may be, in bytes of UTF-8.
pub const BODY_MAX_BYTES: usize = 1 << 20;

/// Where a pull request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PullState {
    /// It waits.
    Open,
    /// It was given up.
    Closed,
    /// It is on the base branch.
    Merged,
}

named_enum!(PullState, "state of a pull request", { Open => "open", Closed => "closed", Merged => "merged" });

/// What a pull request proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullProposal {
    /// The branch that it proposes.
    pub head_branch: String,
    /// The branch that it is to land on; another one.
    pub base_branch: String,
    /// One line, safe to show; at most [`TITLE_MAX_CHARS`].
    pub title: String,
    /// Markdown, safe to show; at most [`BODY_MAX_BYTES`].
    pub body: String,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRow {
    /// Counts from 1 within the project.
    pub number: u32,
    /// Where it stands.
    pub state: PullState,
    /// What it proposes.
    pub proposal: PullProposal,
    /// The commit that landed; there exactly when it is merged.
    pub merged_as: Option<CommitId>,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it was closed or merged.
    pub settled_at: Option<DateTime<Utc>>,
}

/// The columns of a pull request.
struct Columns {
    id: i64,
    number: i32,
    state: String,
    head_branch: String,
    base_branch: String,
    title: String,
    body: String,
    merged_as: Option<String>,
    opened_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl TryFrom<Columns> for PullRow {
    type Error = StoreError;

    fn try_from(row: Columns) -> Result<Self, StoreError> {
        let at = RowRef { table: "pull_requests", id: row.id };
        Ok(Self {
            number: u32::try_from(row.number).map_err(|error| at.wrong(error))?,
            state: at.named(&row.state)?,
            proposal: PullProposal {
                head_branch: row.head_branch,
                base_branch: row.base_branch,
                title: row.title,
                body: row.body,
            },
            merged_as: row.merged_as.map(CommitId::try_from).transpose().map_err(|error| at.wrong(error))?,
            opened_at: row.opened_at,
            settled_at: row.settled_at,
        })
    }
}

impl PullProposal {
    fn check(&self) -> Result<(), StoreError> {
        input::word("head_branch", &self.head_branch, BRANCH_MAX_CHARS)?;
        input::word("base_branch", &self.base_branch, BRANCH_MAX_CHARS)?;
        input::line("title", &self.title, TITLE_MAX_CHARS)?;
        input::body("body", &self.body, BODY_MAX_BYTES)?;
        if self.head_branch == self.base_branch {
            return Err(input::wrong("head_branch", "is the base branch; name another one"));
        }
        Ok(())
    }
}

impl Store {
    /// The open pull request for these two branches, with its text brought up to date; or a new one.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming the field; [`StoreError::NotFound`] when there is no such project; [`StoreError::Database`].
    pub async fn find_or_open_pull(&self, project: ProjectId, proposal: &PullProposal) -> Result<PullRow, StoreError> {
        proposal.check()?;
        let mut tx = self.pool.begin().await?;
        lock_project(&mut tx, project).await?;
        let row = match bring_up_to_date(&mut tx, project, proposal).await? {
            Some(found) => found,
            None => open(&mut tx, project, proposal).await?,
        };
        tx.commit().await?;
        row.try_into()
    }

    /// A pull request; nothing when there is none of this number.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn pull(&self, project: ProjectId, number: u32) -> Result<Option<PullRow>, StoreError> {
        let row = sqlx::query_as!(
            Columns,
            r#"
            SELECT id, number, state, head_branch, base_branch, title, body, merged_as, opened_at, settled_at
            FROM pull_requests WHERE project_id = $1 AND number = $2
            "#,
            project.0,
            i32::try_from(number).unwrap_or(0),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(PullRow::try_from).transpose()
    }

    /// Closes a pull request, or with `merged_as` marks it merged; one that is closed or merged stays as it is. Gives it as it then is, or
    /// nothing when there is none of this number.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn settle_pull(
        &self,
        project: ProjectId,
        number: u32,
        merged_as: Option<&CommitId>,
    ) -> Result<Option<PullRow>, StoreError> {
        sqlx::query!(
            r#"
            UPDATE pull_requests SET state = CASE WHEN $3::text IS NULL THEN 'closed' ELSE 'merged' END, merged_as = $3,
                                     settled_at = clock_timestamp()
            WHERE project_id = $1 AND number = $2 AND state = 'open'
            "#,
            project.0,
            i32::try_from(number).unwrap_or(0),
            merged_as.map(CommitId::as_str),
        )
        .execute(&self.pool)
        .await?;
        self.pull(project, number).await
    }
}

/// Takes the project's row, so that one at a time opens a pull request.
async fn lock_project(connection: &mut PgConnection, project: ProjectId) -> Result<(), StoreError> {
    sqlx::query_scalar!("SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE", project.0)
        .fetch_optional(connection)
        .await?
        .map(|_| ())
        .ok_or_else(|| project::gone(project))
}

async fn bring_up_to_date(
    connection: &mut PgConnection,
    project: ProjectId,
    proposal: &PullProposal,
) -> Result<Option<Columns>, StoreError> {
    let found = sqlx::query_as!(
        Columns,
        r#"
        UPDATE pull_requests SET title = $4, body = $5
        WHERE project_id = $1 AND head_branch = $2 AND base_branch = $3 AND state = 'open'
        RETURNING id, number, state, head_branch, base_branch, title, body, merged_as, opened_at, settled_at
        "#,
        project.0,
        proposal.head_branch,
        proposal.base_branch,
        proposal.title,
        proposal.body,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

async fn open(
    connection: &mut PgConnection,
    project: ProjectId,
    proposal: &PullProposal,
) -> Result<Columns, StoreError> {
    let opened = sqlx::query_as!(
        Columns,
        r#"
        INSERT INTO pull_requests (project_id, number, head_branch, base_branch, title, body)
        SELECT $1, coalesce((SELECT number FROM pull_requests WHERE project_id = $1 ORDER BY project_id DESC, number DESC LIMIT 1), 0) + 1,
               $2, $3, $4, $5
        RETURNING id, number, state, head_branch, base_branch, title, body, merged_as, opened_at, settled_at
        "#,
        project.0,
        proposal.head_branch,
        proposal.base_branch,
        proposal.title,
        proposal.body,
    )
    .fetch_one(connection)
    .await?;
    Ok(opened)
}

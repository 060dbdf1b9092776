//! Comments on pull requests of local repositories: one for each marker.
//!
//! Invariant: writing a comment again changes it and never adds another.

use chrono::{DateTime, Utc};
use damascus_core::ProjectId;

use super::BODY_MAX_BYTES;
use crate::{Store, StoreError, input};

/// How long a marker may be, in characters.
pub const MARKER_MAX_CHARS: usize = 200;
/// The most comments that a list gives.
const MAX_COMMENTS: i64 = 500;

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// What it is found by.
    pub marker: String,
    /// Markdown.
    pub body: String,
    /// When it was last written.
    pub updated_at: DateTime<Utc>,
}

impl Store {
    /// Writes the comment that carries `marker`, or brings it up to date. Says whether there is a pull request of this number.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming the field; [`StoreError::Database`].
    pub async fn comment_on_pull(
        &self,
        project: ProjectId,
        number: u32,
        marker: &str,
        body: &str,
    ) -> Result<bool, StoreError> {
        input::line("marker", marker, MARKER_MAX_CHARS)?;
        input::body("comment", body, BODY_MAX_BYTES)?;
        let written = sqlx::query!(
            r#"
            INSERT INTO pull_request_comments (pull_request_id, marker, body)
            SELECT id, $3, $4 FROM pull_requests WHERE project_id = $1 AND number = $2
            ON CONFLICT (pull_request_id, marker) DO UPDATE SET body = EXCLUDED.body, updated_at = EXCLUDED.updated_at
            "#,
            project.0,
            i32::try_from(number).unwrap_or(0),
            marker,
            body,
        )
        .execute(&self.pool)
        .await?;
        Ok(written.rows_affected() > 0)
    }

    /// The comments on a pull request, in the order in which they were first written; at most 500.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn pull_comments(&self, project: ProjectId, number: u32) -> Result<Vec<Comment>, StoreError> {
        let comments = sqlx::query_as!(
            Comment,
            r#"
            SELECT c.marker, c.body, c.updated_at FROM pull_request_comments c JOIN pull_requests p ON p.id = c.pull_request_id
            WHERE p.project_id = $1 AND p.number = $2 ORDER BY c.id LIMIT $3
            "#,
            project.0,
            i32::try_from(number).unwrap_or(0),
            MAX_COMMENTS,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(comments)
    }
}

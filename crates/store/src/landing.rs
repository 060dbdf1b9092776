//! Landings, to be checked against the repository.
//!
//! Invariant: they are read in the order of their numbers, page by page, so that a reader which goes on behind the last one misses none that
//! was recorded before it began.

use chrono::{DateTime, Utc};
use damascus_core::{CommitId, ItemId, ProjectId, RunId, TestEvidence};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decode::RowRef;
use crate::{Store, StoreError};

/// The most landings of a page.
pub const MAX_LANDINGS: u32 = 1_000;

/// The proof of one merge, with the item's name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LandingRow {
    /// Its number.
    pub id: i64,
    /// The item.
    pub item: ItemId,
    /// Its name within the project.
    pub key: String,
    /// One line.
    pub title: String,
    /// The merge run.
    pub run: RunId,
    /// The branch that it landed on.
    pub base_branch: String,
    /// The tip that the candidate was built and tested on.
    pub base_commit: CommitId,
    /// The commit that was tested and landed.
    pub landed_commit: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// The landing proof: the review of exactly this commit.
    pub evidence: Value,
    /// When it was recorded.
    pub landed_at: DateTime<Utc>,
}

/// What is read of the landing proof.
#[derive(Deserialize)]
struct RecordedProof {
    review: RecordedReview,
}

#[derive(Deserialize)]
struct RecordedReview {
    evidence: TestEvidence,
}

impl LandingRow {
    /// The execution of the tests that the landing rests on.
    ///
    /// # Errors
    /// [`StoreError::Inconsistent`] when the evidence does not hold one.
    pub fn test_evidence(&self) -> Result<TestEvidence, StoreError> {
        let proof = RecordedProof::deserialize(&self.evidence);
        let at = RowRef { table: "landings", id: self.id };
        proof.map(|proof| proof.review.evidence).map_err(|error| at.wrong(format_args!("evidence: {error}")))
    }
}

impl Store {
    /// Landings of a project behind `after`, in the order of their numbers; at most `limit` and [`MAX_LANDINGS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn landings(
        &self,
        project: ProjectId,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<LandingRow>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT l.id, l.item_id, s.key, s.title, l.run_id, l.base_branch, l.base_commit, l.landed_commit, l.tree, l.evidence, l.landed_at
            FROM landings l JOIN stories s ON s.item_id = l.item_id
            WHERE l.project_id = $1 AND l.id > $2 ORDER BY l.project_id, l.id LIMIT $3
            "#,
            project.0,
            after.unwrap_or(0),
            i64::from(limit.min(MAX_LANDINGS)),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let at = RowRef { table: "landings", id: row.id };
                let commit = |text: String| CommitId::try_from(text).map_err(|error| at.wrong(error));
                Ok(LandingRow {
                    id: row.id,
                    item: ItemId(row.item_id),
                    key: row.key,
                    title: row.title,
                    run: RunId(row.run_id),
                    base_branch: row.base_branch,
                    base_commit: commit(row.base_commit)?,
                    landed_commit: commit(row.landed_commit)?,
                    tree: commit(row.tree)?,
                    evidence: row.evidence,
                    landed_at: row.landed_at,
                })
            })
            .collect()
    }
}

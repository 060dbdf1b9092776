//! Runs of an item, those under way included.
//!
//! Invariant: a run under way is the lease on its item, an ended one its row; there is never both.

use chrono::{DateTime, Utc};
use damascus_core::{ItemId, RunId, Verdict, WorkPhase, WorkerId};
use serde::Serialize;

use crate::decode::RowRef;
use crate::{Store, StoreError};

/// A run, under way or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStanding {
    /// Its number.
    pub run: RunId,
    /// The phase that is run.
    pub phase: WorkPhase,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// `reported`, `lost`, `handed_back` or `superseded`; null while it goes on.
    pub ended: Option<String>,
    /// Its verdict; null while it goes on, and for a run that was handed back or overtaken.
    pub verdict: Option<Verdict>,
}

impl Store {
    /// A run of an item, or its latest; nothing when it has no such run.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn run_of(&self, item: ItemId, run: Option<RunId>) -> Result<Option<RunStanding>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT id AS "id!", phase::text AS "phase!", worker AS "worker!", started_at AS "started_at!", ended, verdict
            FROM ((SELECT run_id AS id, phase, lease_owner AS worker, run_started_at AS started_at, NULL AS ended, NULL AS verdict
                   FROM work_items WHERE id = $1 AND lease_owner IS NOT NULL AND ($2::bigint IS NULL OR run_id = $2))
                  UNION ALL
                  (SELECT id, phase, worker_id, started_at, ended::text, verdict::text
                   FROM runs WHERE item_id = $1 AND ($2::bigint IS NULL OR id = $2) ORDER BY item_id DESC, id DESC LIMIT 1)) known
            ORDER BY id DESC LIMIT 1
            "#,
            item.0,
            run.map(|run| run.0),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let at = RowRef { table: "runs", id: row.id };
        Ok(Some(RunStanding {
            run: RunId(row.id),
            phase: at.work_phase(&row.phase)?,
            worker: WorkerId(row.worker),
            started_at: row.started_at,
            ended: row.ended,
            verdict: row.verdict.map(|text| at.named(&text)).transpose()?,
        }))
    }
}

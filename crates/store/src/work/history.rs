//! What the ended runs of an item say.
//!
//! Invariant: only runs of the item are read, through the index that holds them in their order.

use damascus_core::{ItemId, RunId};
use sqlx::PgConnection;

use super::{BuildRecord, Feedback, MAX_FEEDBACK, ReviewRecord};
use crate::StoreError;
use crate::decode::RowRef;
use crate::proof::{Recorded, recorded};

/// How many runs reported on the work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported {
    pub(super) builds: u32,
    pub(super) specs: u32,
}

/// The latest build that passed.
pub(super) async fn latest_build(
    connection: &mut PgConnection,
    item: ItemId,
) -> Result<Option<BuildRecord>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, evidence FROM runs WHERE item_id = $1 AND phase = 'build' AND verdict = 'pass' ORDER BY item_id DESC, id DESC LIMIT 1",
        item.0,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    match recorded(row.id, row.evidence)? {
        Recorded::Build { head, base, pull_request } => {
            Ok(Some(BuildRecord { run: RunId(row.id), head, base, pull_request }))
        }
        Recorded::Review { .. } => {
            Err(RowRef { table: "runs", id: row.id }.wrong("a build has the evidence of a review"))
        }
    }
}

/// The latest review that passed, if it is newer than the build.
pub(super) async fn latest_review(
    connection: &mut PgConnection,
    item: ItemId,
    build: Option<&BuildRecord>,
) -> Result<Option<ReviewRecord>, StoreError> {
    let Some(build) = build else { return Ok(None) };
    let row = sqlx::query!(
        r#"
        SELECT id, evidence FROM runs
        WHERE item_id = $1 AND id > $2 AND phase = 'review' AND verdict = 'pass' ORDER BY item_id DESC, id DESC LIMIT 1
        "#,
        item.0,
        build.run.0,
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    match recorded(row.id, row.evidence)? {
        Recorded::Review { evidence, baseline } => Ok(Some(ReviewRecord { run: RunId(row.id), evidence, baseline })),
        Recorded::Build { .. } => {
            Err(RowRef { table: "runs", id: row.id }.wrong("a review has the evidence of a build"))
        }
    }
}

/// Counts the runs that reported on the work.
pub(super) async fn reported(connection: &mut PgConnection, item: ItemId) -> Result<Reported, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT count(*) FILTER (WHERE phase = 'build') AS "builds!", count(*) FILTER (WHERE phase = 'spec') AS "specs!"
        FROM runs WHERE item_id = $1 AND ended = 'reported' AND verdict NOT IN ('infra_error', 'timeout', 'rate_limited')
        "#,
        item.0,
    )
    .fetch_one(connection)
    .await?;
    let at = RowRef { table: "runs", id: item.0 };
    let count = |n: i64| u32::try_from(n).map_err(|error| at.wrong(error));
    Ok(Reported { builds: count(row.builds)?, specs: count(row.specs)? })
}

/// The latest failures of the work by runs behind `since`, oldest first.
pub(super) async fn feedback(
    connection: &mut PgConnection,
    item: ItemId,
    since: RunId,
) -> Result<Vec<Feedback>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT id, phase::text AS "phase!", verdict::text AS "verdict!", attempt, detail FROM runs
        WHERE item_id = $1 AND id > $2 AND ended = 'reported'
          AND verdict NOT IN ('pass', 'infra_error', 'timeout', 'rate_limited', 'head_moved', 'base_moved', 'spec_ambiguous')
        ORDER BY item_id DESC, id DESC LIMIT $3
        "#,
        item.0,
        since.0,
        MAX_FEEDBACK,
    )
    .fetch_all(connection)
    .await?;
    let told = rows.into_iter().rev().map(|row| {
        let at = RowRef { table: "runs", id: row.id };
        Ok(Feedback {
            run: RunId(row.id),
            phase: at.work_phase(&row.phase)?,
            verdict: at.named(&row.verdict)?,
            attempt: at.count("attempt", row.attempt)?,
            detail: row.detail.unwrap_or_default(),
        })
    });
    told.collect()
}

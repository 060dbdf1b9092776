//! Trimming what grows with every run.
//!
//! Invariant: one call removes a bounded number of rows, oldest first, and passes over what somebody is writing; the schedule calls again.

use sqlx::PgConnection;

use crate::StoreError;
use crate::schedule::KEEP_TESTED_DAYS;

/// How many transcripts one call removes, and at how many pieces of them it stops.
const TRANSCRIPT_BATCH: i64 = 500;
const CHUNK_BATCH: i64 = 100_000;
/// How many artifacts, and how many results of tests, one call removes.
const ROW_BATCH: i64 = 1_000;

/// Removes old transcripts, artifacts and results of tests.
pub(crate) async fn trim_history(connection: &mut PgConnection, retention_days: u16) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        DELETE FROM run_transcripts WHERE (run_id, worker_id) IN (
            SELECT run_id, worker_id
            FROM (SELECT run_id, worker_id, sum(chunks) OVER (ORDER BY begun_at, run_id, worker_id) - chunks AS before
                  FROM (SELECT run_id, worker_id, begun_at, chunks FROM run_transcripts
                        WHERE begun_at < now() - make_interval(days => $1)
                        ORDER BY begun_at LIMIT $2 FOR UPDATE SKIP LOCKED) old) counted
            WHERE before < $3)
        "#,
        i32::from(retention_days),
        TRANSCRIPT_BATCH,
        CHUNK_BATCH,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM run_artifacts WHERE (run_id, worker_id, name) IN (
            SELECT run_id, worker_id, name FROM run_artifacts WHERE at < now() - make_interval(days => $1)
            ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
        "#,
        i32::from(retention_days),
        ROW_BATCH,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        DELETE FROM tested_trees WHERE (project_id, tree, rules_sha256) IN (
            SELECT project_id, tree, rules_sha256 FROM tested_trees WHERE at < now() - make_interval(days => $1)
            ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
        "#,
        KEEP_TESTED_DAYS,
        ROW_BATCH,
    )
    .execute(connection)
    .await?;
    Ok(())
}

//! Texts of a run that people look at: its diff, what the checks said, what was asked of a model.
//!
//! Invariants: a text is written under its run's lease, and anew only under the same one; it is bounded, and says whether it was cut. It is
//! what the run had, so whoever shows it makes it safe.

use chrono::{DateTime, Utc};
use damascus_core::{ItemId, RunId, WorkPhase};
use serde::Serialize;

use crate::decode::RowRef;
use crate::hold::hold;
use crate::{Lease, Store, StoreError, input};

/// How long a text may be, in bytes of UTF-8.
pub const ARTIFACT_MAX_BYTES: usize = 1 << 20;
/// How many texts a run may leave.
pub const MAX_RUN_ARTIFACTS: i64 = 32;
/// The most texts that a list gives.
pub const MAX_ARTIFACTS: u32 = 500;
/// How long a text's name may be, in characters.
const NAME_MAX_CHARS: usize = 64;

/// A text of a run, without the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactHead {
    /// The run.
    pub run: RunId,
    /// The phase that it ran.
    pub phase: WorkPhase,
    /// What the text is, such as `diff`.
    pub name: String,
    /// How long it is, in bytes of UTF-8.
    pub bytes: u64,
    /// Whether the run had more.
    pub cut: bool,
    /// When it was last written.
    pub at: DateTime<Utc>,
}

/// A text of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// What it is.
    #[serde(flatten)]
    pub head: ArtifactHead,
    /// The text, as the run had it.
    pub body: String,
}

/// The columns of a text's head.
struct Columns {
    run_id: i64,
    phase: String,
    name: String,
    bytes: i32,
    cut: bool,
    at: DateTime<Utc>,
}

impl TryFrom<Columns> for ArtifactHead {
    type Error = StoreError;

    fn try_from(row: Columns) -> Result<Self, StoreError> {
        let place = RowRef { table: "run_artifacts", id: row.run_id };
        Ok(Self {
            run: RunId(row.run_id),
            phase: place.work_phase(&row.phase)?,
            name: row.name,
            bytes: u64::try_from(row.bytes).map_err(|error| place.wrong(error))?,
            cut: row.cut,
            at: row.at,
        })
    }
}

impl Store {
    /// Stores a text of the run that the lease is for, in the place of what it stored under this name before.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the lease is gone; [`StoreError::Invalid`] for a name of other than lower-case letters, digits and `_`,
    /// a text that is too large or holds a NUL, or one too many; [`StoreError::Database`].
    pub async fn put_artifact(&self, lease: &Lease, name: &str, body: &str, cut: bool) -> Result<(), StoreError> {
        check_name(name)?;
        input::body("artifact", body, ARTIFACT_MAX_BYTES)?;
        let mut tx = self.pool.begin().await?;
        hold(&mut tx, lease).await?;
        // Under the item's lock nobody else adds a text of this run.
        let written = sqlx::query!(
            r#"
            INSERT INTO run_artifacts (run_id, worker_id, name, item_id, phase, body, cut)
            SELECT $1, $2, $3, $4, $5::text::phase, $6, $7
            WHERE (SELECT count(*) FROM run_artifacts WHERE run_id = $1 AND worker_id = $2 AND name <> $3) < $8
            ON CONFLICT (run_id, worker_id, name) DO UPDATE SET body = EXCLUDED.body, cut = EXCLUDED.cut, at = EXCLUDED.at
            "#,
            lease.run.0,
            lease.worker.0,
            name,
            lease.item.0,
            damascus_core::Named::name(lease.phase),
            body,
            cut,
            MAX_RUN_ARTIFACTS,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if written == 0 {
            return Err(input::wrong("artifact", format_args!("a run leaves at most {MAX_RUN_ARTIFACTS}")));
        }
        tx.commit().await?;
        Ok(())
    }

    /// A text of a run; nothing when it left none of this name, or it was trimmed.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn artifact(&self, run: RunId, name: &str) -> Result<Option<Artifact>, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT a.run_id, a.phase::text AS "phase!", a.name, octet_length(a.body) AS "bytes!", a.cut, a.at, a.body
            FROM run_artifacts a
            LEFT JOIN runs r ON r.id = a.run_id AND r.worker_id = a.worker_id
            WHERE a.run_id = $1 AND a.name = $2
            -- A run's id may have been given out twice; the one that ended under it is meant, else the later one.
            ORDER BY (r.id IS NOT NULL) DESC, a.at DESC LIMIT 1
            "#,
            run.0,
            name,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns {
            run_id: row.run_id,
            phase: row.phase,
            name: row.name,
            bytes: row.bytes,
            cut: row.cut,
            at: row.at,
        };
        Ok(Some(Artifact { head: columns.try_into()?, body: row.body }))
    }

    /// The texts of an item's runs, newest run first and by name within it; at most `limit` and [`MAX_ARTIFACTS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn artifacts_of(&self, item: ItemId, limit: u32) -> Result<Vec<ArtifactHead>, StoreError> {
        let rows = sqlx::query_as!(
            Columns,
            r#"
            SELECT run_id, phase::text AS "phase!", name, octet_length(body) AS "bytes!", cut, at FROM run_artifacts
            WHERE item_id = $1 ORDER BY item_id DESC, run_id DESC, name LIMIT $2
            "#,
            item.0,
            i64::from(limit.min(MAX_ARTIFACTS)),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(ArtifactHead::try_from).collect()
    }

    /// The newest run of an item, in one of these phases, that left a text of this name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_with_artifact(
        &self,
        item: ItemId,
        phases: &[WorkPhase],
        name: &str,
    ) -> Result<Option<RunId>, StoreError> {
        let phases: Vec<&str> = phases.iter().map(|&phase| damascus_core::Named::name(phase)).collect();
        let run = sqlx::query_scalar!(
            r#"
            SELECT run_id FROM run_artifacts WHERE item_id = $1 AND name = $2 AND phase = ANY($3::text[]::phase[])
            ORDER BY item_id DESC, run_id DESC LIMIT 1
            "#,
            item.0,
            name,
            &phases as _,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(run.map(RunId))
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= NAME_MAX_CHARS {
        return Ok(());
    }
    let shown = input::shown(name);
    Err(input::wrong("artifact", format_args!("\"{shown}\" is no name; use lower-case letters, digits and underscore")))
}

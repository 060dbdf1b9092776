//! Lanes: how much runs at once, and what is closed for now.
//!
//! Invariant: what runs in a lane is counted from the leases, never stored.

use chrono::{DateTime, Utc};
use damascus_core::{LaneId, named_enum};
use serde::Serialize;
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::{Store, StoreError, claim, input, nearest, outbox};

/// The lane that every run occupies.
pub const GLOBAL_LANE: &str = "global";
/// The most lanes that a list gives.
pub const MAX_LANES: i64 = 1_000;
/// The largest limit of a lane.
pub const MAX_CONCURRENCY: u32 = 100_000;
/// How long the name of a lane may be, in characters.
pub(crate) const NAME_MAX_CHARS: usize = 128;

/// What sort of resource a lane is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// Everything.
    Global,
    /// A project.
    Project,
    /// A coding agent.
    Agent,
    /// A provider of models.
    Provider,
    /// The one landing at a time on a base branch.
    Landing,
}

named_enum!(LaneKind, "lane kind", {
    Global => "global", Project => "project", Agent => "agent", Provider => "provider", Landing => "landing",
});

/// A lane as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Its number.
    pub id: LaneId,
    /// Its name, such as `global`, `project:demo`, `agent:claude-code`.
    pub name: String,
    /// What sort of resource it is.
    pub kind: LaneKind,
    /// How many runs may hold it at once; null means no limit.
    pub concurrency: Option<u32>,
    /// How many runs hold it now.
    pub running: u32,
    /// Whether runs may enter it now.
    pub open: bool,
    /// When it opens; null while it is open.
    pub opens_at: Option<DateTime<Utc>>,
    /// Why it is closed; null while it is open.
    pub closed_reason: Option<String>,
}

impl Store {
    /// All lanes by kind and name, at most [`MAX_LANES`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn lanes(&self) -> Result<Vec<Lane>, StoreError> {
        let rows = sqlx::query!(
            r#"
            WITH running AS (
                SELECT project_id, phase, count(*) AS n FROM work_items WHERE lease_owner IS NOT NULL GROUP BY project_id, phase
            ), used AS (
                SELECT pl.lane_id, sum(r.n)::bigint AS n FROM running r JOIN phase_lanes pl USING (project_id, phase) GROUP BY pl.lane_id
            )
            SELECT l.id, l.name, l.kind::text AS "kind!", l.concurrency, coalesce(u.n, 0) AS "running!",
                   (coalesce(l.opens_at, '-infinity') <= clock_timestamp()) AS "open!", l.opens_at, l.closed_reason
            FROM lanes l LEFT JOIN used u ON u.lane_id = l.id
            ORDER BY l.kind, l.name LIMIT $1
            "#,
            MAX_LANES,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let at = RowRef { table: "lanes", id: row.id };
                Ok(Lane {
                    id: LaneId(row.id),
                    name: row.name,
                    kind: at.named(&row.kind)?,
                    concurrency: row.concurrency.map(|n| u32::try_from(n).map_err(|e| at.wrong(e))).transpose()?,
                    running: u32::try_from(row.running).map_err(|e| at.wrong(e))?,
                    open: row.open,
                    opens_at: row.opens_at.filter(|_| !row.open),
                    closed_reason: row.closed_reason.filter(|_| !row.open),
                })
            })
            .collect()
    }

    /// How many runs may go on at once over everything; nothing means no limit.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the database has no global lane; [`StoreError::Database`].
    pub async fn global_concurrency(&self) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query!("SELECT id, concurrency FROM lanes WHERE name = $1", GLOBAL_LANE)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NotFound { what: "lane", name: GLOBAL_LANE.to_owned(), hint: String::new() })?;
        let at = RowRef { table: "lanes", id: row.id };
        row.concurrency.map(|n| u32::try_from(n).map_err(|e| at.wrong(e))).transpose()
    }

    /// Sets how many runs may go on at once over everything; nothing means no limit.
    ///
    /// # Errors
    /// As [`Store::set_lane_concurrency`].
    pub async fn set_global_concurrency(&self, concurrency: Option<u32>) -> Result<(), StoreError> {
        self.set_lane_concurrency(GLOBAL_LANE, concurrency).await
    }

    /// Sets how many runs may hold a lane at once; nothing means no limit. Runs under way go on.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn set_lane_concurrency(&self, lane: &str, concurrency: Option<u32>) -> Result<(), StoreError> {
        let limit = checked_concurrency(concurrency)?;
        let mut tx = self.pool.begin().await?;
        let set = sqlx::query_scalar!(
            "UPDATE lanes SET concurrency = $2, updated_at = clock_timestamp() WHERE name = $1 RETURNING id",
            lane,
            limit,
        )
        .fetch_optional(&mut *tx)
        .await?;
        if set.is_none() {
            return Err(no_such_lane(&mut tx, lane).await?);
        }
        let data = serde_json::json!({ "lane": lane, "concurrency": concurrency });
        outbox::tell_at_large(&mut tx, None, "lane.limited", data).await?;
        claim::announce_work(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// Opens a lane by hand, before the time that its provider named. Says whether it was closed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn open_lane(&self, lane: &str, by: &str) -> Result<bool, StoreError> {
        let by = input::who(by)?;
        let mut tx = self.pool.begin().await?;
        let row = sqlx::query!(
            r#"
            WITH before AS (SELECT id, opens_at > clock_timestamp() AS closed FROM lanes WHERE name = $1 FOR NO KEY UPDATE)
            UPDATE lanes l SET opens_at = NULL, closed_reason = NULL, updated_at = clock_timestamp()
            FROM before b WHERE l.id = b.id RETURNING coalesce(b.closed, false) AS "closed!"
            "#,
            lane,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Err(no_such_lane(&mut tx, lane).await?) };
        if row.closed {
            let data = serde_json::json!({ "lane": lane, "by": by });
            outbox::tell_at_large(&mut tx, None, "lane.opened", data).await?;
            claim::announce_work(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(row.closed)
    }
}

/// A limit as the column takes it.
pub(crate) fn checked_concurrency(concurrency: Option<u32>) -> Result<Option<i32>, StoreError> {
    let Some(n) = concurrency else { return Ok(None) };
    let n = input::within("concurrency", n, 1, i64::from(MAX_CONCURRENCY))?;
    i32::try_from(n).map(Some).map_err(|error| input::wrong("concurrency", error))
}

async fn no_such_lane(connection: &mut PgConnection, lane: &str) -> Result<StoreError, StoreError> {
    let there = sqlx::query_scalar!("SELECT name FROM lanes ORDER BY kind, name LIMIT $1", MAX_LANES)
        .fetch_all(connection)
        .await?;
    let hint = nearest::hint(lane, &there, "adding a project makes its lanes");
    Ok(StoreError::NotFound { what: "lane", name: input::shown(lane), hint })
}

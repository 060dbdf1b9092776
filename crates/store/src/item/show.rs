//! One item with everything that hangs on it.
//!
//! Invariant: every part is bounded; what is told is read in one snapshot, so that it fits together.

use chrono::{DateTime, Utc};
use damascus_core::{Charge, Digest, ItemId, MicroUsd, Verdict, WorkPhase, WorkerId};
use damascus_core::{GateState, RunId};
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use super::list::{Item, summaries};
use super::story::Story;
use crate::decode::RowRef;
use crate::gate::{self, Gate};
use crate::issue::{self, Issue};
use crate::{Store, StoreError};

/// How many runs, events and gates are shown.
const MAX_RUNS: i64 = 20;
const MAX_EVENTS: i64 = 20;
const MAX_GATES: i64 = 100;

/// An item with everything that hangs on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemDetail {
    /// What lists show of it, with its standing.
    #[serde(flatten)]
    pub item: Item,
    /// What it is about.
    pub story: Story,
    /// The open issues, oldest first.
    pub open_issues: Vec<Issue>,
    /// The gates that are still closed, whatever their phase; oldest first, at most 100.
    pub closed_gates: Vec<Gate>,
    /// The last runs that ended, newest first; at most 20.
    pub runs: Vec<RunView>,
    /// The last events, newest first; at most 20. Events are trimmed after some time.
    pub events: Vec<EventView>,
    /// What it has cost.
    pub cost: Cost,
    /// The proof of its merge; null while it has not merged.
    pub landing: Option<Landing>,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// Its number.
    pub id: RunId,
    /// The phase that was run.
    pub phase: WorkPhase,
    /// Which attempt of the item it was part of; 1 is the first.
    pub attempt: u16,
    /// The worker that ran it.
    pub worker: WorkerId,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When its end was recorded.
    pub ended_at: DateTime<Utc>,
    /// `reported`, `lost` (its lease ran out), `handed_back` (its worker shut down) or `superseded` (a person decided).
    pub ended: String,
    /// Its verdict; null for a run that was handed back or overtaken.
    pub verdict: Option<Verdict>,
    /// What it used up.
    pub charge: Charge,
    /// What happened; null when there is nothing to say.
    pub detail: Option<String>,
    /// What a pass rests on; null else.
    pub evidence: Option<Value>,
}

/// An event of an item.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its number within the item.
    pub seq: u32,
    /// Such as `work.merged`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When its transaction began.
    pub at: DateTime<Utc>,
    /// What happened.
    pub data: Value,
}

/// What an item has cost. Money is in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Spent so far.
    pub spent_microusd: MicroUsd,
    /// Reserved for runs under way, beside what is spent.
    pub reserved_microusd: MicroUsd,
    /// Of what is spent, how much was estimated from a table instead of reported by the provider.
    pub estimated_microusd: MicroUsd,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// Tokens read from a provider's cache; part of `tokens_in`.
    pub tokens_cached: u64,
}

/// The proof of a merge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Landing {
    /// Its number.
    pub id: i64,
    /// The merge run.
    pub run: RunId,
    /// The branch that it landed on.
    pub base_branch: String,
    /// The tip that the candidate was built and tested on.
    pub base_commit: String,
    /// The commit that was tested and landed.
    pub landed_commit: String,
    /// Its tree.
    pub tree: String,
    /// The review of exactly this commit.
    pub evidence: Value,
    /// When it was recorded.
    pub landed_at: DateTime<Utc>,
}

impl Store {
    /// An item with everything that hangs on it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn item(&self, id: ItemId) -> Result<ItemDetail, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let item = summaries(&mut tx, &[id.0]).await?.pop().ok_or_else(|| super::row::gone(id))?;
        let detail = ItemDetail {
            item,
            story: story(&mut tx, id).await?,
            open_issues: issue::of_item(&mut tx, id).await?,
            closed_gates: gate::of_item(&mut tx, id, &[GateState::Open, GateState::Expired], MAX_GATES).await?,
            runs: runs(&mut tx, id).await?,
            events: events(&mut tx, id).await?,
            cost: cost(&mut tx, id).await?,
            landing: landing(&mut tx, id).await?,
        };
        tx.commit().await?;
        Ok(detail)
    }
}

async fn story(connection: &mut PgConnection, id: ItemId) -> Result<Story, StoreError> {
    let row = sqlx::query!(
        r#"SELECT body, acceptance, source::text AS "source!", source_path, content_sha256, created_at, updated_at
           FROM stories WHERE item_id = $1"#,
        id.0,
    )
    .fetch_one(connection)
    .await?;
    let at = RowRef { table: "stories", id: id.0 };
    Ok(Story {
        body: row.body,
        acceptance: serde_json::from_value(row.acceptance).map_err(|error| at.wrong(error))?,
        source: at.named(&row.source)?,
        source_path: row.source_path,
        content_sha256: Digest::try_from(row.content_sha256).map_err(|error| at.wrong(error))?,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

async fn runs(connection: &mut PgConnection, id: ItemId) -> Result<Vec<RunView>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT id, phase::text AS "phase!", attempt, worker_id, started_at, ended_at, ended::text AS "ended!", verdict::text,
               charge::text AS "charge!", detail, evidence
        FROM runs WHERE item_id = $1 ORDER BY id DESC LIMIT $2
        "#,
        id.0,
        MAX_RUNS,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let at = RowRef { table: "runs", id: row.id };
            Ok(RunView {
                id: RunId(row.id),
                phase: at.work_phase(&row.phase)?,
                attempt: at.count("attempt", row.attempt)?,
                worker: WorkerId(row.worker_id),
                started_at: row.started_at,
                ended_at: row.ended_at,
                ended: row.ended,
                verdict: row.verdict.map(|text| at.named(&text)).transpose()?,
                charge: at.named(&row.charge)?,
                detail: row.detail,
                evidence: row.evidence,
            })
        })
        .collect()
}

async fn events(connection: &mut PgConnection, id: ItemId) -> Result<Vec<EventView>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT seq AS "seq!", type AS kind, at, data FROM events_outbox WHERE item_id = $1 ORDER BY seq DESC LIMIT $2"#,
        id.0,
        MAX_EVENTS,
    )
    .fetch_all(connection)
    .await?;
    let at = RowRef { table: "events_outbox", id: id.0 };
    rows.into_iter()
        .map(|row| {
            let seq = u32::try_from(row.seq).map_err(|error| at.wrong(error))?;
            Ok(EventView { seq, kind: row.kind, at: row.at, data: row.data })
        })
        .collect()
}

async fn cost(connection: &mut PgConnection, id: ItemId) -> Result<Cost, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT coalesce(sum(amount_microusd) FILTER (WHERE entry = 'spend'), 0)::bigint AS "spent!",
               coalesce(sum(amount_microusd) FILTER (WHERE entry IN ('reserve', 'release')), 0)::bigint AS "reserved!",
               coalesce(sum(amount_microusd) FILTER (WHERE entry = 'spend' AND estimated), 0)::bigint AS "estimated!",
               coalesce(sum(tokens_in), 0)::bigint AS "tokens_in!", coalesce(sum(tokens_out), 0)::bigint AS "tokens_out!",
               coalesce(sum(tokens_cached), 0)::bigint AS "tokens_cached!"
        FROM cost_ledger WHERE item_id = $1
        "#,
        id.0,
    )
    .fetch_one(connection)
    .await?;
    let at = RowRef { table: "cost_ledger", id: id.0 };
    let tokens = |n: i64| u64::try_from(n).map_err(|error| at.wrong(error));
    Ok(Cost {
        spent_microusd: MicroUsd(row.spent),
        reserved_microusd: MicroUsd(row.reserved),
        estimated_microusd: MicroUsd(row.estimated),
        tokens_in: tokens(row.tokens_in)?,
        tokens_out: tokens(row.tokens_out)?,
        tokens_cached: tokens(row.tokens_cached)?,
    })
}

async fn landing(connection: &mut PgConnection, id: ItemId) -> Result<Option<Landing>, StoreError> {
    let row = sqlx::query!(
        "SELECT id, run_id, base_branch, base_commit, landed_commit, tree, evidence, landed_at FROM landings WHERE item_id = $1",
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Landing {
        id: row.id,
        run: RunId(row.run_id),
        base_branch: row.base_branch,
        base_commit: row.base_commit,
        landed_commit: row.landed_commit,
        tree: row.tree,
        evidence: row.evidence,
        landed_at: row.landed_at,
    }))
}

//! Reading what was spent.
//!
//! Invariants: sums are exact, in millionths of a dollar; what rests on an estimate is summed apart, so that it can be marked.

use chrono::{DateTime, Utc};
use damascus_core::{ItemId, MicroUsd, Named as _, ProjectId, named_enum};
use serde::Serialize;

use crate::{Store, StoreError};

/// The most groups that one report takes.
pub const MAX_GROUPS: u32 = 1_000;

/// What the money is summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostBy {
    /// Each item.
    Item,
    /// Each phase.
    Phase,
    /// Each model of a provider.
    Model,
    /// Each project.
    Project,
    /// Each day, UTC.
    Day,
}

named_enum!(CostBy, "grouping", { Item => "item", Phase => "phase", Model => "model", Project => "project", Day => "day" });

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct CostQuery {
    /// What to sum by.
    pub by: CostBy,
    /// Only this project.
    pub project: Option<ProjectId>,
    /// Only what was entered from here on.
    pub since: Option<DateTime<Utc>>,
    /// How many groups, at most [`MAX_GROUPS`].
    pub limit: u32,
}

/// Sums of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// What was spent, in millionths of a US dollar.
    pub spent_microusd: MicroUsd,
    /// The part of it that is estimated from a price table.
    pub estimated_microusd: MicroUsd,
    /// What is reserved for runs under way.
    pub reserved_microusd: MicroUsd,
    /// Tokens read.
    pub tokens_in: i64,
    /// Tokens written.
    pub tokens_out: i64,
    /// The part of the tokens read that came from the provider's cache.
    pub tokens_cached: i64,
    /// Runs with an entry.
    pub runs: i64,
}

/// The sums of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostRow {
    /// The phase, `provider/model`, project's name, day, or the item's `project/key`.
    pub group: String,
    /// The item, when the sums are by item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<ItemId>,
    /// The item's title, when the sums are by item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What was spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// What the rows are by.
    pub by: CostBy,
    /// The rows: the dearest first, days the latest first.
    pub rows: Vec<CostRow>,
    /// Whether there are more groups than the limit let through.
    pub more: bool,
    /// The sums over everything asked for, rows that were left out included.
    pub total: Sums,
}

impl Store {
    /// Sums the ledger.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn cost(&self, query: &CostQuery) -> Result<Cost, StoreError> {
        let limit = i64::from(query.limit.clamp(1, MAX_GROUPS));
        let rows = sqlx::query!(
            r#"
            WITH entries AS (
                SELECT CASE $1::text WHEN 'item' THEN item_id::text WHEN 'phase' THEN phase::text WHEN 'model' THEN provider || '/' || model
                                     WHEN 'project' THEN project_id::text ELSE to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS grp,
                       project_id, item_id, run_id, entry, amount_microusd, estimated, tokens_in, tokens_out, tokens_cached
                FROM cost_ledger
                WHERE at >= coalesce($3, '-infinity'::timestamptz) AND project_id = coalesce($2, project_id)
            ), sums AS (
                SELECT grp, min(project_id) AS project_id, min(item_id) AS item_id,
                       coalesce(sum(amount_microusd) FILTER (WHERE entry = 'spend'), 0)::bigint AS spent,
                       coalesce(sum(amount_microusd) FILTER (WHERE entry = 'spend' AND estimated), 0)::bigint AS estimated,
                       coalesce(sum(amount_microusd) FILTER (WHERE entry <> 'spend'), 0)::bigint AS reserved,
                       coalesce(sum(tokens_in) FILTER (WHERE entry = 'spend'), 0)::bigint AS tokens_in,
                       coalesce(sum(tokens_out) FILTER (WHERE entry = 'spend'), 0)::bigint AS tokens_out,
                       coalesce(sum(tokens_cached) FILTER (WHERE entry = 'spend'), 0)::bigint AS tokens_cached,
                       count(DISTINCT run_id) AS runs
                FROM entries GROUP BY GROUPING SETS ((grp), ())
            )
            SELECT s.grp, s.spent AS "spent!", s.estimated AS "estimated!", s.reserved AS "reserved!", s.tokens_in AS "tokens_in!",
                   s.tokens_out AS "tokens_out!", s.tokens_cached AS "tokens_cached!", s.runs AS "runs!", s.item_id,
                   p.name AS "project?", t.key AS "key?", t.title AS "title?"
            FROM sums s
            LEFT JOIN projects p ON p.id = s.project_id
            LEFT JOIN stories t ON t.item_id = s.item_id AND $1 = 'item'
            ORDER BY s.grp IS NOT NULL, CASE WHEN $1 = 'day' THEN s.grp END DESC, s.spent DESC, s.grp LIMIT $4::bigint + 2
            "#,
            query.by.name(),
            query.project.map(|id| id.0),
            query.since,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut cost = Cost { by: query.by, rows: Vec::new(), more: false, total: Sums::default() };
        for row in rows {
            let sums = Sums {
                spent_microusd: MicroUsd(row.spent),
                estimated_microusd: MicroUsd(row.estimated),
                reserved_microusd: MicroUsd(row.reserved),
                tokens_in: row.tokens_in,
                tokens_out: row.tokens_out,
                tokens_cached: row.tokens_cached,
                runs: row.runs,
            };
            let Some(group) = row.grp else {
                cost.total = sums;
                continue;
            };
            let project = row.project.unwrap_or_default();
            let (group, item, title) = match query.by {
                CostBy::Item => {
                    let name = row.key.map_or_else(|| format!("{project}/{group}"), |key| format!("{project}/{key}"));
                    (name, row.item_id.map(ItemId), row.title)
                }
                CostBy::Project => (project, None, None),
                CostBy::Phase | CostBy::Model | CostBy::Day => (group, None, None),
            };
            cost.rows.push(CostRow { group, item, title, sums });
        }
        let fits = usize::try_from(limit).unwrap_or(usize::MAX);
        cost.more = cost.rows.len() > fits;
        cost.rows.truncate(fits);
        Ok(cost)
    }
}

//! Listing gates.
//!
//! Invariant: gates that let through are listed for one item only; lists over items hold what is closed, which does not grow with history.

use chrono::{DateTime, Utc};
use damascus_core::{GateId, GateState, ItemId, Named as _, ProjectId};
use serde_json::Value;
use sqlx::PgConnection;

use super::Gate;
use crate::decode::RowRef;
use crate::item::Upstream;
use crate::{Store, StoreError};

/// The most gates of a page.
const MAX_PAGE: i64 = 500;

/// Which gates to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateFilter {
    /// Only those of this item. Without it, only closed gates are listed.
    pub item: Option<ItemId>,
    /// Only those of items of this project; with `item` it says nothing more.
    pub project: Option<ProjectId>,
    /// Only those in one of these states; empty means all that can be listed.
    pub states: Vec<GateState>,
    /// Continue behind this gate.
    pub after: Option<GateId>,
    /// How many, at most 500; 0 means as many as that.
    pub limit: usize,
}

/// The columns of a gate, as the database has them.
struct Columns {
    id: i64,
    item_id: i64,
    item: String,
    phase: String,
    kind: String,
    state: String,
    condition: Value,
    upstream_id: Option<i64>,
    upstream: Option<String>,
    upstream_phase: Option<String>,
    deadline: Option<DateTime<Utc>>,
    evidence: Option<Value>,
    origin: String,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl Columns {
    fn gate(self) -> Result<Gate, StoreError> {
        let at = RowRef { table: "coordination_gates", id: self.id };
        let upstream = match (self.upstream_id, self.upstream, self.upstream_phase) {
            (Some(id), Some(name), Some(phase)) => Some(Upstream { id: ItemId(id), name, phase: at.named(&phase)? }),
            _ => None,
        };
        Ok(Gate {
            id: GateId(self.id),
            item_id: ItemId(self.item_id),
            item: self.item,
            phase: at.work_phase(&self.phase)?,
            kind: at.named(&self.kind)?,
            state: at.named(&self.state)?,
            condition: serde_json::from_value(self.condition).map_err(|error| at.wrong(error))?,
            upstream,
            deadline: self.deadline,
            evidence: self.evidence,
            origin: self.origin,
            created_at: self.created_at,
            settled_at: self.settled_at,
        })
    }
}

impl Store {
    /// Gates, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for satisfied or waived ones without an item; [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn gates(&self, filter: &GateFilter) -> Result<Vec<Gate>, StoreError> {
        let all = || GateState::ALL.to_vec();
        let limit = i64::try_from(filter.limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let limit = if limit == 0 { MAX_PAGE } else { limit };
        let after = filter.after.map_or(0, |gate| gate.0);
        let mut connection = self.pool.acquire().await?;
        let ids = if let Some(item) = filter.item {
            let states = if filter.states.is_empty() { all() } else { filter.states.clone() };
            ids_of_item(&mut connection, item, &states, after, limit).await?
        } else {
            if filter.states.iter().any(|state| !state.is_closed()) {
                let text = "state: satisfied and waived gates are listed for one item; name the item";
                return Err(StoreError::Invalid(text.to_owned()));
            }
            let states = if filter.states.is_empty() { all() } else { filter.states.clone() };
            closed_ids(&mut connection, filter.project, &states, after, limit).await?
        };
        by_ids(&mut connection, &ids).await
    }

    /// One gate.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn gate(&self, gate: GateId) -> Result<Gate, StoreError> {
        let mut connection = self.pool.acquire().await?;
        by_ids(&mut connection, &[gate.0]).await?.pop().ok_or_else(|| super::gone(gate))
    }
}

/// Gates of an item, oldest first.
pub(crate) async fn of_item(
    connection: &mut PgConnection,
    item: ItemId,
    states: &[GateState],
    limit: i64,
) -> Result<Vec<Gate>, StoreError> {
    let ids = ids_of_item(connection, item, states, 0, limit).await?;
    by_ids(connection, &ids).await
}

async fn ids_of_item(
    connection: &mut PgConnection,
    item: ItemId,
    states: &[GateState],
    after: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
    let ids = sqlx::query_scalar!(
        "SELECT id FROM coordination_gates WHERE item_id = $1 AND state = ANY($2::text[]::gate_state[]) AND id > $3 ORDER BY id LIMIT $4",
        item.0,
        &states as _,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

async fn closed_ids(
    connection: &mut PgConnection,
    project: Option<ProjectId>,
    states: &[GateState],
    after: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let states: Vec<&str> = states.iter().map(|state| state.name()).collect();
    // All that is closed is read and then sorted: the order of the ids would tempt the planner to walk the primary key past what is settled.
    let ids = sqlx::query_scalar!(
        r#"
        WITH closed AS MATERIALIZED (
            SELECT g.id FROM coordination_gates g
            WHERE g.state IN ('open', 'expired') AND g.state = ANY($1::text[]::gate_state[]) AND g.id > $2
              AND ($3::bigint IS NULL OR (SELECT w.project_id FROM work_items w WHERE w.id = g.item_id) = $3)
        )
        SELECT id FROM closed ORDER BY id LIMIT $4
        "#,
        &states as _,
        after,
        project.map(|id| id.0),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}

async fn by_ids(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Gate>, StoreError> {
    let rows = sqlx::query_as!(
        Columns,
        r#"
        SELECT g.id, g.item_id, p.name || '/' || s.key AS "item!", g.phase::text AS "phase!", g.kind::text AS "kind!",
               g.state::text AS "state!", g.condition, g.upstream_id, up.name || '/' || us.key AS upstream, u.phase::text AS upstream_phase,
               g.deadline, g.evidence, g.origin, g.created_at, g.settled_at
        FROM coordination_gates g
        JOIN stories s ON s.item_id = g.item_id JOIN projects p ON p.id = s.project_id
        LEFT JOIN work_items u ON u.id = g.upstream_id
        LEFT JOIN stories us ON us.item_id = u.id LEFT JOIN projects up ON up.id = us.project_id
        WHERE g.id = ANY($1) ORDER BY g.id
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Columns::gate).collect()
}

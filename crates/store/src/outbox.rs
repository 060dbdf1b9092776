//! Writing facts to the outbox, in the transaction of what they tell.
//!
//! Invariant: the events of an item are numbered without a gap. The number is taken from the item's row, which the writer has locked; a
//! caller that tells of several items has locked them in the order of their ids before.

use damascus_core::{ItemId, ProjectId};
use serde_json::Value;
use sqlx::PgConnection;

use crate::StoreError;

/// Something that happened to an item.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) item: ItemId,
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
}

/// Writes facts about items, in the order given.
pub(crate) async fn tell(connection: &mut PgConnection, facts: &[Fact]) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let items: Vec<i64> = facts.iter().map(|fact| fact.item.0).collect();
    let kinds: Vec<&str> = facts.iter().map(|fact| fact.kind).collect();
    let data: Vec<Value> = facts.iter().map(|fact| fact.data.clone()).collect();
    sqlx::query!(
        r#"
        WITH input AS (
            SELECT *, row_number() OVER (PARTITION BY item_id ORDER BY n)::int AS place
            FROM unnest($1::bigint[], $2::text[], $3::jsonb[]) WITH ORDINALITY AS t(item_id, type, data, n)
        ), counted AS (
            SELECT item_id, count(*)::int AS facts FROM input GROUP BY item_id
        ), numbered AS (
            UPDATE work_items w SET events = w.events + c.facts, event_tx = greatest(w.event_tx, pg_current_xact_id())
            FROM counted c WHERE w.id = c.item_id
            RETURNING w.id, w.project_id, w.events - c.facts AS before, w.event_tx
        ), told AS (
            INSERT INTO events_outbox (tx, project_id, item_id, seq, type, data)
            SELECT b.event_tx, b.project_id, b.id, b.before + i.place, i.type, i.data FROM input i JOIN numbered b ON b.id = i.item_id ORDER BY i.n
        )
        SELECT pg_notify('damascus_events', '') AS "notified: ()"
        "#,
        &items,
        &kinds as _,
        &data,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Writes a fact that is about no item.
pub(crate) async fn tell_at_large(
    connection: &mut PgConnection,
    project: Option<ProjectId>,
    kind: &str,
    data: Value,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        WITH told AS (INSERT INTO events_outbox (project_id, type, data) VALUES ($1, $2, $3))
        SELECT pg_notify('damascus_events', '') AS "notified: ()"
        "#,
        project.map(|id| id.0),
        kind,
        data,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

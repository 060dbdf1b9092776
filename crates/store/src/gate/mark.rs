//! Writing what became of gates.
//!
//! Invariant: the items of the gates are locked; a gate that lets an item through takes its open issue with it, and both are told.

use std::collections::BTreeMap;

use damascus_core::{GateId, GateState, IssueId, ItemId, Named as _};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::Gate;
use crate::decode::RowRef;
use crate::item::row;
use crate::outbox::Fact;
use crate::{Store, StoreError, claim, input, outbox};

/// What becomes of a closed gate.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) gate: GateId,
    pub(crate) to: GateState,
    pub(crate) evidence: Value,
}

/// Writes marks of gates that are still closed. Gives those that were written.
pub(crate) async fn mark(connection: &mut PgConnection, marks: &[Mark]) -> Result<Vec<GateId>, StoreError> {
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = marks.iter().map(|one| one.gate.0).collect();
    let states: Vec<&str> = marks.iter().map(|one| one.to.name()).collect();
    let evidence: Vec<Value> = marks.iter().map(|one| one.evidence.clone()).collect();
    let rows = sqlx::query!(
        r#"
        WITH marked AS (
            UPDATE coordination_gates g SET state = i.state, evidence = i.evidence, settled_at = clock_timestamp()
            FROM unnest($1::bigint[], $2::text[]::gate_state[], $3::jsonb[]) AS i(id, state, evidence)
            -- What expired is opened by a person only: by a waiver, or by approving what a person was to approve.
            WHERE g.id = i.id AND g.state IN ('open', 'expired') AND g.state <> i.state
              AND (g.state = 'open' OR i.state = 'waived' OR g.kind = 'human')
            RETURNING g.id, g.item_id, g.phase, g.state, g.evidence
        ), closed AS (
            UPDATE human_issues h SET state = 'closed', settled_at = clock_timestamp()
            FROM marked m WHERE h.item_id = m.item_id AND h.gate_id = m.id AND h.state = 'open' AND m.state IN ('satisfied', 'waived')
            RETURNING h.id, h.gate_id
        )
        SELECT m.id, m.item_id, m.phase::text AS "phase!", m.state::text AS "state!", m.evidence AS "evidence!", c.id AS "issue_id?"
        FROM marked m LEFT JOIN closed c ON c.gate_id = m.id ORDER BY m.id
        "#,
        &ids,
        &states as _,
        &evidence,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut facts = Vec::with_capacity(rows.len());
    for row in &rows {
        let state = RowRef { table: "coordination_gates", id: row.id }.named(&row.state)?;
        let kind = match state {
            GateState::Satisfied => "gate.satisfied",
            GateState::Waived => "gate.waived",
            GateState::Expired => "gate.expired",
            GateState::Open => "gate.opened",
        };
        let data = json!({ "gate_id": row.id, "phase": row.phase, "evidence": row.evidence });
        facts.push(Fact { item: ItemId(row.item_id), kind, data });
        if let Some(issue) = row.issue_id {
            facts.push(issue_closed(ItemId(row.item_id), IssueId(issue)));
        }
    }
    outbox::tell(connection, &facts).await?;
    Ok(rows.into_iter().map(|row| GateId(row.id)).collect())
}

/// The fact that an issue was overtaken.
pub(super) fn issue_closed(item: ItemId, issue: IssueId) -> Fact {
    Fact { item, kind: "issue.closed", data: json!({ "issue_id": issue, "kind": "gate" }) }
}

impl Store {
    /// Lets an item through a gate whose condition does not hold.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when the gate lets the item through already; [`StoreError::Invalid`],
    /// [`StoreError::Database`].
    pub async fn waive_gate(&self, gate: GateId, by: &str, why: &str) -> Result<Gate, StoreError> {
        let evidence = json!({ "by": input::who(by)?, "why": input::reason(why) });
        self.let_through(gate, GateState::Waived, evidence).await
    }

    /// Says that the condition of a gate of kind `human` holds.
    ///
    /// # Errors
    /// As [`Store::waive_gate`]; also [`StoreError::Conflict`] for a gate of another kind.
    pub async fn approve_gate(&self, gate: GateId, by: &str, note: &str) -> Result<Gate, StoreError> {
        let evidence = json!({ "by": input::who(by)?, "note": input::reason(note) });
        let found = self.gate(gate).await?;
        if found.kind != damascus_core::GateKind::Human {
            let text = format!("gate {gate} is of kind {}, which nobody can approve; waive it instead", found.kind);
            return Err(StoreError::Conflict(text));
        }
        self.let_through(gate, GateState::Satisfied, evidence).await
    }

    async fn let_through(&self, gate: GateId, to: GateState, evidence: Value) -> Result<Gate, StoreError> {
        let item = self.gate(gate).await?.item_id;
        let mut tx = self.pool.begin().await?;
        row::lock_one(&mut tx, item).await?;
        let marked = mark(&mut tx, &[Mark { gate, to, evidence }]).await?;
        if marked.is_empty() {
            tx.rollback().await?;
            let found = self.gate(gate).await?;
            return Err(StoreError::Conflict(format!(
                "gate {gate} is {} already; {} is let through",
                found.state, found.item
            )));
        }
        claim::announce_work(&mut tx).await?;
        tx.commit().await?;
        self.gate(gate).await
    }
}

/// Opens an expired gate again, with another deadline or none.
pub(crate) async fn reopen(
    connection: &mut PgConnection,
    gate: GateId,
    deadline: Option<chrono::DateTime<chrono::Utc>>,
) -> Result<(), StoreError> {
    let reopened = sqlx::query!(
        r#"
        UPDATE coordination_gates SET state = 'open', evidence = NULL, settled_at = NULL, deadline = $2
        WHERE id = $1 AND (state = 'expired' OR (state = 'open' AND $2::timestamptz IS NOT NULL))
        RETURNING item_id, phase::text AS "phase!"
        "#,
        gate.0,
        deadline,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = reopened {
        let data =
            BTreeMap::from([("gate_id", json!(gate)), ("phase", json!(row.phase)), ("deadline", json!(deadline))]);
        outbox::tell(connection, &[Fact { item: ItemId(row.item_id), kind: "gate.opened", data: json!(data) }]).await?;
    }
    Ok(())
}

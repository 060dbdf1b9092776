//! Conditions that are seen from outside: a contract, a pull request, a ref.
//!
//! Invariant: such a gate stays open until somebody reports what was seen; nothing here asks a forge.

use damascus_core::{GateCondition, GateId, GateKind, GateState, ItemId, Named as _, display};
use serde::Serialize;
use serde_json::Value;

use super::make::{clean, written};
use super::mark::{Mark, mark};
use crate::decode::RowRef;
use crate::item::row;
use crate::{Store, StoreError, claim};

/// How many gates are satisfied in one transaction, and listed on one page.
const BATCH: i64 = 256;
/// How many batches one report satisfies.
const MAX_BATCHES: usize = 1_000;

/// How long a text within evidence may be, in characters; more is cut.
const EVIDENCE_MAX_CHARS: usize = 4_000;

/// A condition that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenCondition {
    /// One of the gates that wait for it; continue behind it.
    pub gate: GateId,
    /// The item of that gate, whose project says which forge to ask.
    pub item: ItemId,
    /// The condition.
    pub condition: GateCondition,
}

impl Store {
    /// Open gates of a kind that is seen from outside, oldest first, at most 256 of them behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn open_conditions(&self, kind: GateKind, after: GateId) -> Result<Vec<OpenCondition>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT id, item_id, condition FROM coordination_gates
            WHERE state = 'open' AND kind IN ('contract_published', 'pr_merged', 'ref_contains') AND kind = $1::text::gate_kind AND id > $2
            ORDER BY id LIMIT $3
            "#,
            kind.name(),
            after.0,
            BATCH,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let at = RowRef { table: "coordination_gates", id: row.id };
                let condition = serde_json::from_value(row.condition).map_err(|error| at.wrong(error))?;
                Ok(OpenCondition { gate: GateId(row.id), item: ItemId(row.item_id), condition })
            })
            .collect()
    }

    /// Says that a condition was seen to hold: satisfies every open gate that waits for it, or for a lower version of the same contract.
    /// Gives how many.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a kind that is not seen from outside; [`StoreError::Database`].
    pub async fn report_condition(&self, seen: &GateCondition, evidence: &Value) -> Result<u64, StoreError> {
        let contract = match seen {
            GateCondition::ContractPublished { name, version } => Some((name.as_str(), i64::from(*version))),
            GateCondition::PrMerged { .. } | GateCondition::RefContains { .. } => None,
            GateCondition::ItemMerged { .. } | GateCondition::Timer { .. } | GateCondition::Human { .. } => {
                let text = format!("condition: {} is not seen from outside", seen.kind());
                return Err(StoreError::Invalid(text));
            }
        };
        let condition = written(&clean(seen.clone())?)?;
        let evidence = safe(evidence);
        let mut satisfied = 0;
        for _ in 0..MAX_BATCHES {
            let found = sqlx::query!(
                r#"
                SELECT id, item_id FROM coordination_gates
                WHERE state = 'open' AND kind IN ('contract_published', 'pr_merged', 'ref_contains') AND kind = $1::text::gate_kind
                  AND (condition = $2 OR (condition ->> 'name' = $3 AND (condition ->> 'version')::bigint <= $4))
                ORDER BY id LIMIT $5
                "#,
                seen.kind().name(),
                condition,
                contract.map(|(name, _)| name),
                contract.map(|(_, version)| version),
                BATCH,
            )
            .fetch_all(&self.pool)
            .await?;
            let items: Vec<ItemId> = found.iter().map(|row| ItemId(row.item_id)).collect();
            let marks: Vec<Mark> = found
                .iter()
                .map(|row| Mark { gate: GateId(row.id), to: GateState::Satisfied, evidence: evidence.clone() })
                .collect();
            let mut tx = self.pool.begin().await?;
            row::lock(&mut tx, &items).await?;
            let marked = mark(&mut tx, &marks).await?.len();
            if marked > 0 {
                claim::announce_work(&mut tx).await?;
            }
            tx.commit().await?;
            satisfied += marked as u64;
            if marked == 0 || (found.len() as i64) < BATCH {
                break;
            }
        }
        Ok(satisfied)
    }
}

/// Evidence as it is stored: without control characters in its texts.
fn safe(evidence: &Value) -> Value {
    match evidence {
        Value::String(text) => Value::String(display::many_lines(text, EVIDENCE_MAX_CHARS)),
        Value::Array(values) => Value::Array(values.iter().map(safe).collect()),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| (display::one_line(name, EVIDENCE_MAX_CHARS), safe(value));
            Value::Object(fields.iter().map(field).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => evidence.clone(),
    }
}

//! Settling gates: what each closed gate calls for, done.
//!
//! Invariant: what is to be done is worked out again under lock, by the view `gates_to_settle`; so it does not matter who looked first, how
//! often, or what happened since.

use chrono::{DateTime, Utc};
use damascus_core::{BlockReason, GateCondition, GateId, GateState, ItemId, Phase};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::mark::{Mark, mark};
use crate::decode::RowRef;
use crate::issue::{self, GateQuestion};
use crate::item::row;
use crate::{StoreError, claim};

/// What became of gates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GateSweep {
    /// Gates whose condition was seen to hold.
    pub satisfied: u64,
    /// Gates whose deadline passed first.
    pub expired: u64,
    /// Human issues that were opened, since what is waited for can't come by itself.
    pub asked: u64,
    /// Human issues that were closed, since what is waited for goes on again.
    pub overtaken: u64,
    /// Gates of items that have ended, closed for good.
    pub dropped: u64,
}

impl GateSweep {
    /// Adds what another settling did.
    pub(super) fn add(&mut self, other: Self) {
        self.satisfied += other.satisfied;
        self.expired += other.expired;
        self.asked += other.asked;
        self.overtaken += other.overtaken;
        self.dropped += other.dropped;
    }

    /// Whether anything was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A gate with what it calls for.
struct Due {
    id: i64,
    item_id: i64,
    action: String,
    item_phase: String,
    condition: Value,
    deadline: Option<DateTime<Utc>>,
    upstream_name: Option<String>,
    upstream_phase: Option<String>,
    upstream_reason: Option<String>,
    landing_id: Option<i64>,
    landed_commit: Option<String>,
}

/// Does what these gates call for. Locks their items and those they wait for.
pub(super) async fn settle(connection: &mut PgConnection, gates: &[GateId]) -> Result<GateSweep, StoreError> {
    if gates.is_empty() {
        return Ok(GateSweep::default());
    }
    let ids: Vec<i64> = gates.iter().map(|gate| gate.0).collect();
    let involved = sqlx::query_scalar!(
        r#"SELECT item_id AS "id!" FROM coordination_gates WHERE id = ANY($1)
           UNION SELECT upstream_id FROM coordination_gates WHERE id = ANY($1) AND upstream_id IS NOT NULL"#,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    row::lock(connection, &involved.into_iter().map(ItemId).collect::<Vec<_>>()).await?;
    let due = due(connection, &ids).await?;
    let (mut marks, mut questions, mut overtaken, mut swept) =
        (Vec::new(), Vec::new(), Vec::new(), GateSweep::default());
    for gate in &due {
        match gate.action.as_str() {
            "drop" => {
                swept.dropped += 1;
                marks.push(gate.mark(
                    GateState::Waived,
                    json!({ "by": "damascus", "why": format!("the item is {}", gate.item_phase) }),
                ));
            }
            "satisfy" => {
                swept.satisfied += 1;
                marks.push(gate.mark(GateState::Satisfied, gate.seen()));
            }
            "expire" => {
                swept.expired += 1;
                swept.asked += 1;
                marks.push(gate.mark(GateState::Expired, json!({ "deadline": gate.deadline })));
                questions.push(gate.question(true)?);
            }
            "ask" => {
                swept.asked += 1;
                questions.push(gate.question(false)?);
            }
            "overtaken" => {
                swept.overtaken += 1;
                overtaken.push(GateId(gate.id));
            }
            other => return Err(gate.at().wrong(format_args!("unknown action {other}"))),
        }
    }
    mark(connection, &marks).await?;
    issue::ask_about_gates(connection, &questions).await?;
    issue::close_overtaken(connection, &overtaken).await?;
    if swept.satisfied > 0 {
        claim::announce_work(connection).await?;
    }
    Ok(swept)
}

async fn due(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Due>, StoreError> {
    let due = sqlx::query_as!(
        Due,
        r#"
        SELECT v.id AS "id!", v.item_id AS "item_id!", v.action AS "action!", d.phase::text AS "item_phase!", g.condition, g.deadline,
               p.name || '/' || s.key AS upstream_name, u.phase::text AS upstream_phase, u.block_reason::text AS upstream_reason,
               l.id AS "landing_id?", l.landed_commit AS "landed_commit?"
        FROM gates_to_settle v
        JOIN coordination_gates g ON g.id = v.id
        JOIN work_items d ON d.id = v.item_id
        LEFT JOIN work_items u ON u.id = v.upstream_id
        LEFT JOIN stories s ON s.item_id = u.id LEFT JOIN projects p ON p.id = s.project_id
        LEFT JOIN landings l ON l.item_id = v.upstream_id
        WHERE v.id = ANY($1) AND v.action IS NOT NULL ORDER BY v.id
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(due)
}

impl Due {
    const fn at(&self) -> RowRef {
        RowRef { table: "coordination_gates", id: self.id }
    }

    const fn mark(&self, to: GateState, evidence: Value) -> Mark {
        Mark { gate: GateId(self.id), to, evidence }
    }

    /// What was seen of the condition.
    fn seen(&self) -> Value {
        match (self.landing_id, &self.landed_commit) {
            (Some(landing), Some(commit)) => json!({ "landing_id": landing, "commit": commit }),
            _ => json!({ "by": "damascus", "why": "the time has come" }),
        }
    }

    fn question(&self, expires: bool) -> Result<GateQuestion, StoreError> {
        let at = self.at();
        let condition: GateCondition =
            serde_json::from_value(self.condition.clone()).map_err(|error| at.wrong(error))?;
        let phase: Option<Phase> = self.upstream_phase.as_deref().map(|text| at.named(text)).transpose()?;
        let reason: Option<BlockReason> = self.upstream_reason.as_deref().map(|text| at.named(text)).transpose()?;
        let what = super::describe(&condition, self.upstream_name.as_deref().zip(phase));
        let gate = GateId(self.id);
        let text = match (&condition, phase, reason) {
            _ if expires => format!("This item waits until {what}, and the deadline of gate {gate} has passed."),
            (GateCondition::Human { question }, _, _) => format!("Gate {gate} waits for your approval: {question}"),
            (_, Some(Phase::Blocked), Some(reason)) => {
                format!("This item waits until {what}, but that one is blocked ({reason}).")
            }
            (_, Some(Phase::Cancelled), _) => format!("This item waits until {what}, but that one was given up."),
            _ => format!("This item waits until {what}, and that can't come by itself any more."),
        };
        let options: &[&str] = if matches!(condition, GateCondition::Human { .. }) {
            &["approve", "waive", "cancel", "wait"]
        } else {
            &["waive", "cancel", "wait"]
        };
        Ok(GateQuestion {
            gate,
            item: ItemId(self.item_id),
            text,
            options: options.iter().map(|&o| o.to_owned()).collect(),
        })
    }
}

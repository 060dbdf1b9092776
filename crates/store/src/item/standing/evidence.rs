//! Looking up what standings rest on, for many items at once.
//!
//! Invariant: at most five statements, however many items; each goes by key or by an index on what is unfinished.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use damascus_core::{GateId, IssueId, ItemId, Named, RunId, Stage, WorkPhase, WorkerId};
use sqlx::PgConnection;

use super::{ClosedGate, Standing, Upstream};
use crate::StoreError;
use crate::decode::RowRef;

/// The most gates that a standing lists.
const MAX_GATES: i64 = 10;

/// What the item's own row says.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) stage: Stage,
    pub(crate) phase_since: DateTime<Utc>,
    /// Owner, run, start, end: all or none.
    pub(crate) lease: Option<(i64, i64, DateTime<Utc>, DateTime<Utc>)>,
    pub(crate) wake_at: Option<DateTime<Utc>>,
    pub(crate) held: bool,
    pub(crate) gate_mask: i16,
    pub(crate) infra_failures: u16,
    pub(crate) paused_at: Option<DateTime<Utc>>,
}

impl Row {
    fn gated(&self, phase: WorkPhase) -> bool {
        self.gate_mask & phase.gate_bit() != 0
    }
}

type Gates = (Vec<ClosedGate>, u64);
type HeldBy = (DateTime<Utc>, Option<String>, Option<String>);
type ClosedLane = (String, DateTime<Utc>, Option<String>);

#[derive(Debug, Default)]
struct Evidence {
    gates: BTreeMap<i64, Gates>,
    issues: BTreeMap<i64, Vec<IssueId>>,
    landings: BTreeMap<i64, (i64, String, String, DateTime<Utc>)>,
    held: BTreeMap<i64, HeldBy>,
    lanes: BTreeMap<(i64, &'static str), ClosedLane>,
}

/// The standing of each row, in the same order.
pub(crate) async fn derive(connection: &mut PgConnection, rows: &[Row]) -> Result<Vec<Standing>, StoreError> {
    let working = |row: &Row| match row.stage {
        Stage::Working(phase) if row.lease.is_none() => Some(phase),
        _ => None,
    };
    let ids = |wanted: &dyn Fn(&Row) -> bool| -> Vec<i64> {
        rows.iter().filter(|row| wanted(row)).map(|row| row.id).collect()
    };
    let mut evidence = Evidence::default();
    evidence.load_gates(connection, &ids(&|row| working(row).is_some_and(|phase| row.gated(phase)))).await?;
    evidence.load_issues(connection, &ids(&|row| row.stage.resume().is_some())).await?;
    evidence.load_landings(connection, &ids(&|row| row.stage == Stage::Merged)).await?;
    evidence.load_held(connection, &ids(&|row| row.held && working(row).is_some())).await?;
    let projects: BTreeSet<i64> = rows.iter().filter(|row| working(row).is_some()).map(|row| row.project_id).collect();
    evidence.load_lanes(connection, &projects.into_iter().collect::<Vec<_>>()).await?;
    rows.iter().map(|row| evidence.standing(row)).collect()
}

impl Evidence {
    fn standing(&mut self, row: &Row) -> Result<Standing, StoreError> {
        let at = RowRef::item(row.id);
        let since = row.phase_since;
        let issues = self.issues.remove(&row.id).unwrap_or_default();
        match row.stage {
            Stage::Merged => {
                let found = self.landings.remove(&row.id);
                let (landing, base_branch, commit, at) = found.ok_or_else(|| at.wrong("merged without a landing"))?;
                Ok(Standing::Merged { landing, base_branch, commit, at })
            }
            Stage::Cancelled => Ok(Standing::Cancelled { since }),
            Stage::AwaitingHuman { resume } => Ok(Standing::AwaitingHuman { resume, issues, since }),
            Stage::Blocked { resume, reason } => Ok(Standing::Blocked { reason, resume, issues, since }),
            Stage::Working(phase) => Ok(self.working(row, phase)),
        }
    }

    fn working(&mut self, row: &Row, phase: WorkPhase) -> Standing {
        if let Some((worker, run, since, lease_until)) = row.lease {
            return Standing::Running { phase, run: RunId(run), worker: WorkerId(worker), since, lease_until };
        }
        if row.held {
            let (since, by, why) = match self.held.remove(&row.id) {
                Some((since, by, why)) => (Some(since), by, why),
                None => (None, None, None),
            };
            return Standing::Held { phase, since, by, why };
        }
        if row.gated(phase) {
            let (gates, all) = self.gates.remove(&row.id).unwrap_or_default();
            let more = all.saturating_sub(gates.len() as u64);
            return Standing::WaitingForGates { phase, gates, more };
        }
        if let Some(until) = row.wake_at {
            return Standing::BackingOff { phase, until, failures: row.infra_failures };
        }
        if let Some(since) = row.paused_at {
            return Standing::ProjectPaused { phase, since };
        }
        match self.lanes.get(&(row.project_id, phase.name())) {
            Some((lane, opens_at, reason)) => {
                Standing::LaneClosed { phase, lane: lane.clone(), opens_at: *opens_at, reason: reason.clone() }
            }
            None => Standing::Ready { phase, since: row.phase_since },
        }
    }

    async fn load_gates(&mut self, connection: &mut PgConnection, items: &[i64]) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            SELECT t.item_id AS "item_id!", c.id AS "id!", c.state::text AS "state!", c.condition AS "condition!", c.deadline, c.n AS "n!",
                   u.id AS "upstream_id?", u.phase::text AS upstream_phase, p.name AS "upstream_project?", s.key AS "upstream_key?"
            FROM unnest($1::bigint[]) AS t(item_id)
            JOIN work_items w ON w.id = t.item_id
            CROSS JOIN LATERAL (SELECT g.*, count(*) OVER () AS n FROM coordination_gates g
                                WHERE g.item_id = w.id AND g.phase = w.phase AND g.state IN ('open', 'expired') ORDER BY g.id LIMIT $2) c
            LEFT JOIN work_items u ON u.id = c.upstream_id
            LEFT JOIN projects p ON p.id = u.project_id
            LEFT JOIN stories s ON s.item_id = u.id
            ORDER BY t.item_id, c.id
            "#,
            items,
            MAX_GATES,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let at = RowRef { table: "coordination_gates", id: row.id };
            let upstream = match (row.upstream_id, row.upstream_phase, row.upstream_project, row.upstream_key) {
                (Some(id), Some(phase), Some(project), Some(key)) => {
                    Some(Upstream { id: ItemId(id), name: format!("{project}/{key}"), phase: at.named(&phase)? })
                }
                _ => None,
            };
            let entry = self.gates.entry(row.item_id).or_default();
            entry.1 = u64::try_from(row.n).map_err(|error| at.wrong(error))?;
            entry.0.push(ClosedGate {
                gate: GateId(row.id),
                state: at.named(&row.state)?,
                condition: serde_json::from_value(row.condition).map_err(|error| at.wrong(error))?,
                upstream,
                deadline: row.deadline,
            });
        }
        Ok(())
    }

    async fn load_issues(&mut self, connection: &mut PgConnection, items: &[i64]) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            "SELECT item_id, id FROM human_issues WHERE item_id = ANY($1) AND state = 'open' AND kind <> 'gate' ORDER BY item_id, id",
            items,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            self.issues.entry(row.item_id).or_default().push(IssueId(row.id));
        }
        Ok(())
    }

    async fn load_landings(&mut self, connection: &mut PgConnection, items: &[i64]) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            "SELECT item_id, id, base_branch, landed_commit, landed_at FROM landings WHERE item_id = ANY($1)",
            items,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            self.landings.insert(row.item_id, (row.id, row.base_branch, row.landed_commit, row.landed_at));
        }
        Ok(())
    }

    /// Who held an item is in its events only; they may have been trimmed.
    async fn load_held(&mut self, connection: &mut PgConnection, items: &[i64]) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            SELECT t.item_id AS "item_id!", e.at AS "at!", e.data ->> 'by' AS by, e.data ->> 'why' AS why
            FROM unnest($1::bigint[]) AS t(item_id)
            CROSS JOIN LATERAL (SELECT o.at, o.data FROM events_outbox o WHERE o.item_id = t.item_id AND o.type = 'work.held'
                                ORDER BY o.seq DESC LIMIT 1) e
            "#,
            items,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            self.held.insert(row.item_id, (row.at, row.by, row.why));
        }
        Ok(())
    }

    async fn load_lanes(&mut self, connection: &mut PgConnection, projects: &[i64]) -> Result<(), StoreError> {
        if projects.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            SELECT pl.project_id, pl.phase::text AS "phase!", l.name, l.opens_at AS "opens_at!", l.closed_reason
            FROM lanes l JOIN phase_lanes pl ON pl.lane_id = l.id
            WHERE l.opens_at > clock_timestamp() AND pl.project_id = ANY($1) ORDER BY l.opens_at
            "#,
            projects,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let at = RowRef { table: "phase_lanes", id: row.project_id };
            let phase = at.work_phase(&row.phase)?.name();
            self.lanes.insert((row.project_id, phase), (row.name, row.opens_at, row.closed_reason));
        }
        Ok(())
    }
}

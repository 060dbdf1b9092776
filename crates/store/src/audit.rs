//! Replaying the history: whether every item's past adds up to where it stands. For tests under fire, and for operators who doubt.
//!
//! Invariant: reads only. Unlike everything else here it reads all history, so it is run on demand and never by a service.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Store, StoreError};

/// How many offenders of one rule are given.
pub const MAX_OFFENCES_PER_RULE: i64 = 20;

/// Something in the history that can't be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offence {
    /// The rule that is broken.
    pub rule: &'static str,
    /// The item.
    pub item: i64,
    /// What was found.
    pub found: String,
}

/// What must hold: a sentence, and a query for those who break it (item, what was found). Events that were trimmed can't be missed, so the
/// rules on events look at items whose first event is still there.
const RULES: [(&str, &str); 9] = [
    ("no more attempts are used than were granted",
     "SELECT id, attempts_used || ' of ' || attempts_granted FROM work_items WHERE attempts_used > attempts_granted LIMIT $1"),
    ("the events of an item are numbered without gap or double",
     "SELECT w.id, w.events || ' said, ' || count(e.seq) || ' there, up to ' || max(e.seq)
      FROM work_items w JOIN events_outbox e ON e.item_id = w.id
      GROUP BY w.id HAVING min(e.seq) = 1 AND (count(e.seq) <> w.events OR count(DISTINCT e.seq) <> w.events OR max(e.seq) <> w.events)
      LIMIT $1"),
    ("the events of an item are read in the order of their numbers",
     "SELECT item_id, seq || ' is read before the one before it'
      FROM (SELECT item_id, seq, (tx, id) < lag((tx, id)) OVER (PARTITION BY item_id ORDER BY seq) AS early
            FROM events_outbox WHERE item_id IS NOT NULL) e
      WHERE early LIMIT $1"),
    ("every transition is told once",
     "SELECT w.id, w.transitions || ' made, ' || count(e.seq) FILTER (WHERE e.data ? 'cause') || ' told'
      FROM work_items w JOIN events_outbox e ON e.item_id = w.id
      GROUP BY w.id HAVING min(e.seq) = 1 AND count(e.seq) FILTER (WHERE e.data ? 'cause') <> w.transitions LIMIT $1"),
    ("transitions follow each other, each of them legal, and lead to where the item stands",
     "SELECT item_id, coalesce(previous, 'nothing') || ' then ' || (data ->> 'from') || ' by ' || (data ->> 'cause') || ' to ' || (data ->> 'to')
      FROM (SELECT e.item_id, e.data, lag(e.data ->> 'to') OVER s AS previous, lead(e.data ->> 'to') OVER s AS next, w.phase
            FROM events_outbox e JOIN work_items w ON w.id = e.item_id WHERE e.data ? 'cause'
            WINDOW s AS (PARTITION BY e.item_id ORDER BY e.seq)) t
      WHERE (previous IS NOT NULL AND previous <> data ->> 'from') OR (next IS NULL AND phase::text <> data ->> 'to')
         OR NOT transition_is_legal((data ->> 'from')::phase, (data ->> 'cause')::transition_event, (data ->> 'to')::phase) LIMIT $1"),
    ("every run that was started ends once or is under way",
     "SELECT coalesce(r.item_id, e.item_id), coalesce('run ' || r.id, 'no run') || ' / ' || coalesce('started ' || e.run, 'never started')
      FROM (SELECT item_id, data ->> 'run_id' AS run FROM events_outbox WHERE type = 'run.started') e
      FULL JOIN (SELECT r.id, r.item_id FROM runs r WHERE EXISTS (SELECT FROM events_outbox o WHERE o.item_id = r.item_id AND o.seq = 1)) r
           ON e.item_id = r.item_id AND e.run = r.id::text
      LEFT JOIN work_items w ON w.id = e.item_id AND w.run_id::text = e.run
      WHERE (r.id IS NULL AND w.id IS NULL) OR e.run IS NULL LIMIT $1"),
    ("a run makes one transition at most",
     "SELECT item_id, 'run ' || (data ->> 'run_id') || ' made ' || count(*) FROM events_outbox WHERE data ? 'cause' AND data ? 'run_id'
      GROUP BY item_id, data ->> 'run_id' HAVING count(*) > 1 LIMIT $1"),
    ("every verdict made its transition",
     "SELECT r.item_id, 'run ' || r.id || ' ' || r.verdict FROM runs r
      WHERE r.verdict IS NOT NULL AND EXISTS (SELECT FROM events_outbox o WHERE o.item_id = r.item_id AND o.seq = 1)
        AND NOT EXISTS (SELECT FROM events_outbox e WHERE e.item_id = r.item_id AND e.data ->> 'run_id' = r.id::text
                                                     AND e.data ->> 'cause' = r.verdict::text) LIMIT $1"),
    ("what is merged has its landing, and what landed is merged",
     "SELECT coalesce(w.id, l.item_id), coalesce(w.phase::text, 'no item') FROM work_items w FULL JOIN landings l ON l.item_id = w.id
      WHERE (w.phase = 'merged') IS DISTINCT FROM (l.id IS NOT NULL) LIMIT $1"),
];

/// How things stand in numbers, counted afresh over everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Items that have ended.
    pub ended: i64,
    /// Items that have not.
    pub open: i64,
    /// Transitions of all items.
    pub transitions: i64,
    /// Landings.
    pub landings: i64,
    /// Open human issues.
    pub open_issues: i64,
    /// Items that are asleep.
    pub asleep: i64,
    /// Leases, by project.
    pub leases_by_project: BTreeMap<String, i64>,
    /// Leases, by the process id of their worker.
    pub leases_by_pid: BTreeMap<i32, i64>,
}

impl Census {
    /// All leases.
    #[must_use]
    pub fn leases(&self) -> i64 {
        self.leases_by_project.values().sum()
    }
}

impl Store {
    /// Replays the history of all items. Nothing found means that it adds up.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit(&self) -> Result<Vec<Offence>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // The bound of a session is for what services do; this may take as long as the history is.
        sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
        let mut offences = Vec::new();
        for (rule, query) in RULES {
            let found: Vec<(i64, String)> =
                sqlx::query_as(query).bind(MAX_OFFENCES_PER_RULE).fetch_all(&mut *connection).await?;
            offences.extend(found.into_iter().map(|(item, found)| Offence { rule, item, found }));
        }
        sqlx::query("RESET statement_timeout").execute(&mut *connection).await?;
        Ok(offences)
    }

    /// Counts everything, in one snapshot.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn census(&self) -> Result<Census, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT count(*) FILTER (WHERE w.phase IN ('merged', 'cancelled')) AS "ended!",
                   count(*) FILTER (WHERE w.phase NOT IN ('merged', 'cancelled')) AS "open!",
                   coalesce(sum(w.transitions), 0)::bigint AS "transitions!",
                   count(w.wake_at) AS "asleep!",
                   (SELECT count(*) FROM landings) AS "landings!",
                   (SELECT count(*) FROM human_issues WHERE state = 'open') AS "open_issues!",
                   (SELECT coalesce(jsonb_object_agg(name, n), '{}') FROM (
                       SELECT p.name, count(*) AS n FROM work_items l JOIN projects p ON p.id = l.project_id
                       WHERE l.lease_owner IS NOT NULL GROUP BY p.name) x) AS "by_project!",
                   (SELECT coalesce(jsonb_object_agg(pid, n), '{}') FROM (
                       SELECT k.pid, count(*) AS n FROM work_items l JOIN workers k ON k.id = l.lease_owner
                       WHERE l.lease_owner IS NOT NULL GROUP BY k.pid) x) AS "by_pid!"
            FROM work_items w
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        let counts = |value| serde_json::from_value(value).map_err(|error| StoreError::Invalid(error.to_string()));
        let by_pid: BTreeMap<String, i64> = counts(row.by_pid)?;
        Ok(Census {
            ended: row.ended,
            open: row.open,
            transitions: row.transitions,
            landings: row.landings,
            open_issues: row.open_issues,
            asleep: row.asleep,
            leases_by_project: counts(row.by_project)?,
            leases_by_pid: by_pid.into_iter().filter_map(|(pid, n)| Some((pid.parse().ok()?, n))).collect(),
        })
    }
}

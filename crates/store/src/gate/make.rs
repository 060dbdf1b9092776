//! Making gates.
//!
//! Invariants: gates are made one call at a time, so that two calls can't close a cycle together; the items waited for are locked, so that
//! one that merges meanwhile either is seen to have merged here or finds the gate when its end is evaluated.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use damascus_core::{GateCondition, GateId, ItemId, Named as _, Phase, WorkPhase, cycle, display};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{GateTarget, MadeGate, NewGate, settle};
use crate::decode::RowRef;
use crate::item::row::{self, LockedItem};
use crate::outbox::Fact;
use crate::{Store, StoreError, input, outbox};

/// The most gates that one call makes.
const MAX_NEW_GATES: usize = 50_000;
/// The advisory lock under which gates are made.
const GATE_LOCK: i64 = 0x6461_6d61_7367_6174;
/// The most dependencies that are searched for a cycle.
const MAX_EDGES: usize = 200_000;
/// How many members of a cycle a message lists.
const MAX_SHOWN: usize = 20;
/// How long a condition may be, in bytes of JSON: it stands in a unique index, whose entries are bounded.
const CONDITION_MAX_BYTES: usize = 2_000;
/// How long a name within a condition may be, in characters.
const NAME_MAX_CHARS: usize = 500;
/// How long an origin may be, in characters; more is cut.
const ORIGIN_MAX_CHARS: usize = 1_000;

/// A gate to make on an item that is known.
#[derive(Debug, Clone)]
pub(crate) struct GateToMake {
    item: ItemId,
    phase: WorkPhase,
    condition: GateCondition,
    deadline: Option<DateTime<Utc>>,
    origin: String,
}

impl Store {
    /// Makes gates on items. One with the same item, phase and condition is made once, whatever became of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an item that is not there; [`StoreError::Conflict`] for one that has ended;
    /// [`StoreError::Invalid`] naming the members when items would wait for each other; [`StoreError::Database`]. Then none was made.
    pub async fn create_gates(&self, gates: &[(ItemId, NewGate)]) -> Result<Vec<MadeGate>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let to_make = resolve_targets(&mut tx, gates.to_vec()).await?;
        let made = make(&mut tx, &to_make).await?;
        tx.commit().await?;
        Ok(made)
    }
}

/// Finds the items that gates name by key, in the project of the item that waits.
pub(crate) async fn resolve_targets(
    connection: &mut PgConnection,
    wanted: Vec<(ItemId, NewGate)>,
) -> Result<Vec<GateToMake>, StoreError> {
    let (mut items, mut keys) = (Vec::new(), Vec::new());
    for (item, gate) in &wanted {
        if let GateTarget::ItemKey(key) = &gate.waits_for {
            items.push(item.0);
            keys.push(key.as_str());
        }
    }
    let rows = sqlx::query!(
        r#"
        SELECT t.item_id AS "item_id!", t.key AS "key!", s.item_id AS upstream_id
        FROM unnest($1::bigint[], $2::text[]) AS t(item_id, key)
        JOIN work_items w ON w.id = t.item_id
        JOIN stories s ON s.project_id = w.project_id AND s.key = t.key
        "#,
        &items,
        &keys as _,
    )
    .fetch_all(connection)
    .await?;
    let found: BTreeMap<(i64, String), i64> =
        rows.into_iter().map(|row| ((row.item_id, row.key), row.upstream_id)).collect();
    let resolve = |(item, gate): (ItemId, NewGate)| {
        let condition = match gate.waits_for {
            GateTarget::Condition(condition) => clean(condition)?,
            GateTarget::ItemKey(key) => match found.get(&(item.0, key.clone())) {
                Some(&upstream) => GateCondition::ItemMerged { item: ItemId(upstream) },
                None => {
                    let hint = format!("; a gate of item #{item} waits for it, in the same project");
                    return Err(StoreError::NotFound { what: "item", name: input::shown(&key), hint });
                }
            },
        };
        let origin = display::one_line(gate.origin.trim(), ORIGIN_MAX_CHARS);
        Ok(GateToMake { item, phase: gate.phase, condition, deadline: gate.deadline, origin })
    };
    wanted.into_iter().map(resolve).collect()
}

/// A condition that can be stored: bounded, without control characters.
pub(super) fn clean(condition: GateCondition) -> Result<GateCondition, StoreError> {
    let condition = match condition {
        GateCondition::ContractPublished { name, version } => {
            input::word("contract", &name, NAME_MAX_CHARS)?;
            GateCondition::ContractPublished { name, version }
        }
        GateCondition::PrMerged { repo, number } => {
            input::line("repo", &repo, NAME_MAX_CHARS)?;
            GateCondition::PrMerged { repo, number }
        }
        GateCondition::RefContains { repo, reference, commit } => {
            input::line("repo", &repo, NAME_MAX_CHARS)?;
            input::word("ref", &reference, NAME_MAX_CHARS)?;
            GateCondition::RefContains { repo, reference, commit }
        }
        GateCondition::Human { question } => {
            let question = display::many_lines(question.trim(), CONDITION_MAX_BYTES);
            if question.is_empty() {
                return Err(input::wrong("question", "is empty"));
            }
            GateCondition::Human { question }
        }
        known @ (GateCondition::ItemMerged { .. } | GateCondition::Timer { .. }) => known,
    };
    let bytes = written(&condition)?.to_string().len();
    if bytes > CONDITION_MAX_BYTES {
        let problem = format_args!("takes {bytes} bytes; at most {CONDITION_MAX_BYTES}, so say it more shortly");
        return Err(input::wrong("condition", problem));
    }
    Ok(condition)
}

/// A condition as the column has it.
pub(super) fn written(condition: &GateCondition) -> Result<Value, StoreError> {
    serde_json::to_value(condition).map_err(|error| input::wrong("condition", error))
}

/// Makes gates within a transaction of the caller's; answers in the order asked.
pub(crate) async fn make(connection: &mut PgConnection, gates: &[GateToMake]) -> Result<Vec<MadeGate>, StoreError> {
    if gates.is_empty() {
        return Ok(Vec::new());
    }
    if gates.len() > MAX_NEW_GATES {
        return Err(input::wrong("gates", format_args!("are {}; at most {MAX_NEW_GATES} at once", gates.len())));
    }
    // A statement of its own: what is searched for cycles needs a snapshot from after the lock was had.
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(GATE_LOCK).execute(&mut *connection).await?;
    let involved: BTreeSet<ItemId> =
        gates.iter().flat_map(|gate| std::iter::once(gate.item).chain(gate.condition.upstream())).collect();
    let locked = row::lock(connection, &involved.into_iter().collect::<Vec<_>>()).await?;
    let items: BTreeMap<ItemId, LockedItem> = locked.into_iter().map(|item| (item.id, item)).collect();
    refuse_impossible(gates, &items)?;
    refuse_cycles(connection, gates, &items).await?;
    let made = insert(connection, gates, &items).await?;
    let needs_a_look = |gate: &GateToMake| match &gate.condition {
        GateCondition::ItemMerged { item } => {
            items.get(item).is_some_and(|up| matches!(up.state.phase(), Phase::Blocked | Phase::Cancelled))
        }
        GateCondition::Human { .. } => true,
        GateCondition::ContractPublished { .. }
        | GateCondition::PrMerged { .. }
        | GateCondition::RefContains { .. }
        | GateCondition::Timer { .. } => false,
    };
    let look: Vec<GateId> = made
        .iter()
        .zip(gates)
        .filter(|(one, gate)| one.created && needs_a_look(gate))
        .map(|(one, _)| one.gate)
        .collect();
    settle::settle(connection, &look).await?;
    Ok(made)
}

fn refuse_impossible(gates: &[GateToMake], items: &BTreeMap<ItemId, LockedItem>) -> Result<(), StoreError> {
    for gate in gates {
        let item = items.get(&gate.item).ok_or_else(|| row::gone(gate.item))?;
        if item.state.phase().is_end() {
            let phase = item.state.phase();
            return Err(StoreError::Conflict(format!("{} is {phase} and waits for nothing any more", item.shown())));
        }
        if let Some(upstream) = gate.condition.upstream() {
            if upstream == gate.item {
                return Err(StoreError::Invalid(format!("{} would wait for itself", item.shown())));
            }
            if !items.contains_key(&upstream) {
                return Err(row::gone(upstream));
            }
        }
    }
    Ok(())
}

/// Refuses gates that make items wait for each other. Every new cycle leads through a new gate, so only what can be reached from there is
/// searched.
async fn refuse_cycles(
    connection: &mut PgConnection,
    gates: &[GateToMake],
    items: &BTreeMap<ItemId, LockedItem>,
) -> Result<(), StoreError> {
    let merged = |id: &ItemId| items.get(id).is_some_and(|item| item.state.phase() == Phase::Merged);
    let mut edges: Vec<(i64, i64)> = gates
        .iter()
        .filter_map(|gate| gate.condition.upstream().filter(|up| !merged(up)).map(|up| (gate.item.0, up.0)))
        .collect();
    if edges.is_empty() {
        return Ok(());
    }
    let starts: Vec<i64> = edges.iter().map(|(_, up)| *up).collect::<BTreeSet<_>>().into_iter().collect();
    let reached = sqlx::query!(
        r#"
        WITH RECURSIVE reached(item_id) AS (
            SELECT unnest($1::bigint[])
            UNION
            -- OFFSET 0 keeps this a look into the index for each row; joined, the whole index might be read for each level.
            SELECT g.upstream_id FROM reached r
            CROSS JOIN LATERAL (SELECT c.upstream_id FROM coordination_gates c
                                WHERE c.item_id = r.item_id AND c.state IN ('open', 'expired') AND c.upstream_id IS NOT NULL OFFSET 0) g
        )
        SELECT g.item_id, g.upstream_id AS "upstream_id!" FROM reached r
        JOIN coordination_gates g ON g.item_id = r.item_id AND g.state IN ('open', 'expired') AND g.upstream_id IS NOT NULL
        LIMIT $2
        "#,
        &starts,
        i64::try_from(MAX_EDGES).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut *connection)
    .await?;
    if reached.len() == MAX_EDGES {
        return Err(input::wrong("gates", format_args!("lead to {MAX_EDGES} dependencies or more; that is too many")));
    }
    edges.extend(reached.into_iter().map(|row| (row.item_id, row.upstream_id)));
    let Some(members) = cycle::find(&edges) else { return Ok(()) };
    let mut names = names(connection, members.get(..MAX_SHOWN).unwrap_or(&members)).await?;
    if members.len() > MAX_SHOWN {
        names.push(format!("… {} more", members.len() - MAX_SHOWN));
    }
    names.extend(names.first().cloned());
    Err(StoreError::Invalid(format!(
        "these items would wait for each other for ever: {}; leave one of these gates out",
        names.join(" → ")
    )))
}

/// `project/key` of items, in the order asked.
async fn names(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<String>, StoreError> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT p.name || '/' || s.key AS "name!" FROM unnest($1::bigint[]) WITH ORDINALITY AS t(id, n)
        JOIN stories s ON s.item_id = t.id JOIN projects p ON p.id = s.project_id ORDER BY t.n
        "#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(names)
}

/// Inserts gates; what holds already is satisfied from the start.
async fn insert(
    connection: &mut PgConnection,
    gates: &[GateToMake],
    items: &BTreeMap<ItemId, LockedItem>,
) -> Result<Vec<MadeGate>, StoreError> {
    let ids: Vec<i64> = gates.iter().map(|gate| gate.item.0).collect();
    let phases: Vec<&str> = gates.iter().map(|gate| gate.phase.name()).collect();
    let kinds: Vec<&str> = gates.iter().map(|gate| gate.condition.kind().name()).collect();
    let conditions: Vec<Value> = gates.iter().map(|gate| written(&gate.condition)).collect::<Result<_, _>>()?;
    let upstreams: Vec<Option<i64>> = gates.iter().map(|gate| gate.condition.upstream().map(|id| id.0)).collect();
    let due: Vec<Option<DateTime<Utc>>> = gates.iter().map(|gate| due_at(&gate.condition)).collect();
    let deadlines: Vec<Option<DateTime<Utc>>> = gates.iter().map(|gate| gate.deadline).collect();
    let origins: Vec<&str> = gates.iter().map(|gate| gate.origin.as_str()).collect();
    let rows = sqlx::query!(
        r#"
        WITH clock AS MATERIALIZED (
            SELECT clock_timestamp() AS now
        ), input AS (
            SELECT t.*, l.id AS landing_id, l.landed_commit, (l.id IS NOT NULL OR t.due_at <= clock.now) IS TRUE AS holds, clock.now
            FROM unnest($1::bigint[], $2::text[]::phase[], $3::text[]::gate_kind[], $4::jsonb[], $5::bigint[], $6::timestamptz[],
                        $7::timestamptz[], $8::text[]) WITH ORDINALITY
                AS t(item_id, phase, kind, condition, upstream_id, due_at, deadline, origin, n)
            CROSS JOIN clock LEFT JOIN landings l ON l.item_id = t.upstream_id
        ), made AS (
            INSERT INTO coordination_gates (item_id, phase, kind, condition, upstream_id, due_at, deadline, origin, state, evidence, settled_at)
            SELECT item_id, phase, kind, condition, upstream_id, due_at, deadline, origin,
                   CASE WHEN holds THEN 'satisfied'::gate_state ELSE 'open' END,
                   CASE WHEN landing_id IS NOT NULL THEN jsonb_build_object('landing_id', landing_id, 'commit', landed_commit)
                        WHEN holds THEN jsonb_build_object('seen_at', now) END,
                   CASE WHEN holds THEN now END
            FROM input ORDER BY n
            ON CONFLICT (item_id, phase, condition) DO NOTHING
            RETURNING id, item_id, phase, condition, state
        )
        SELECT coalesce(m.id, g.id) AS "id!", coalesce(m.state, g.state)::text AS "state!", (m.id IS NOT NULL) AS "created!"
        FROM input i
        LEFT JOIN made m ON m.item_id = i.item_id AND m.phase = i.phase AND m.condition = i.condition
        LEFT JOIN coordination_gates g ON g.item_id = i.item_id AND g.phase = i.phase AND g.condition = i.condition
        ORDER BY i.n
        "#,
        &ids,
        &phases as _,
        &kinds as _,
        &conditions,
        &upstreams as _,
        &due as _,
        &deadlines as _,
        &origins as _,
    )
    .fetch_all(&mut *connection)
    .await?;
    let (mut made, mut facts, mut told) = (Vec::with_capacity(rows.len()), Vec::new(), BTreeSet::new());
    for (row, gate) in rows.into_iter().zip(gates) {
        let state = RowRef { table: "coordination_gates", id: row.id }.named(&row.state)?;
        let created = row.created && told.insert(row.id);
        if created {
            facts.push(Fact {
                item: gate.item,
                kind: "gate.opened",
                data: json!({ "gate_id": row.id, "phase": gate.phase, "condition": gate.condition, "origin": gate.origin }),
            });
            if state != damascus_core::GateState::Open {
                let data = json!({ "gate_id": row.id, "phase": gate.phase });
                facts.push(Fact { item: gate.item, kind: "gate.satisfied", data });
            }
        }
        let warning = items.get(&gate.item).and_then(|item| passed_already(item, gate.phase));
        made.push(MadeGate { gate: GateId(row.id), item: gate.item, created, state, warning });
    }
    outbox::tell(connection, &facts).await?;
    Ok(made)
}

const fn due_at(condition: &GateCondition) -> Option<DateTime<Utc>> {
    match condition {
        GateCondition::Timer { until } => Some(*until),
        GateCondition::ItemMerged { .. }
        | GateCondition::ContractPublished { .. }
        | GateCondition::PrMerged { .. }
        | GateCondition::RefContains { .. }
        | GateCondition::Human { .. } => None,
    }
}

/// A warning when the item is beyond the phase, so that the gate holds only if it comes back to it.
fn passed_already(item: &LockedItem, phase: WorkPhase) -> Option<String> {
    let stage = item.state.stage;
    let now = stage.phase().working().or(stage.resume())?;
    // Lower ranks are nearer to the end.
    (now.claim_rank() < phase.claim_rank()).then(|| {
        format!("{} is in {now} already; a gate on {phase} holds it only if it comes back to {phase}", item.shown())
    })
}

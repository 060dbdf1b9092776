//! The only writer of `work_items.phase`.
//!
//! A transition is decided by [`damascus_core::step`] and written here, many at a time: the items, the ended runs with verdict and
//! evidence, the money, the human issues and the events, in one statement.
//!
//! Invariant: a move is written only while the item's lease epoch and phase are those under which it was decided, and a run's report only
//! while its worker holds the lease; otherwise nothing of it is written but the money, which was spent all the same. (The owner counts
//! beside the epoch because claims are committed asynchronously: one that a crash of the server undid may be made again by another worker
//! under the same epoch.)

mod columns;
mod moves;
mod passes;

use damascus_core::{ItemId, Named as _};
use sqlx::PgConnection;

use crate::StoreError;
use columns::Columns;
pub use moves::{Move, RunEnd};
pub(crate) use passes::Passes;

/// The most moves that one statement takes; a caller with more makes several.
pub const MAX_MOVES: usize = 512;

/// How long a lane stays closed when the provider named no time.
pub const DEFAULT_LANE_CLOSURE_MS: u64 = 60_000;
/// The longest that a lane is closed for at one word of a provider, in milliseconds: a week.
pub const MAX_LANE_CLOSURE_MS: u64 = 7 * 24 * 3600 * 1000;

/// What became of the moves of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The items whose move was written; the others were stale.
    pub written: Vec<ItemId>,
    /// How many of them can be claimed at once.
    pub claimable: usize,
    /// Items of `written` that have come to a stop (an end, or parked): what waits for them must be looked at.
    pub stopped: Vec<ItemId>,
}

impl Applied {
    /// Whether the item's move was written.
    #[must_use]
    pub fn wrote(&self, item: ItemId) -> bool {
        self.written.contains(&item)
    }
}

/// Writes moves. Call it inside a transaction, at most [`MAX_MOVES`] at a time, each item at most once.
///
/// # Errors
/// [`StoreError::Invalid`] for a batch that breaks those rules; [`StoreError::Database`].
pub async fn apply(connection: &mut PgConnection, moves: &[Move]) -> Result<Applied, StoreError> {
    if moves.is_empty() {
        return Ok(Applied::default());
    }
    let columns = Columns::of(moves)?;
    let rows = write(connection, &columns).await?;
    for closure in moves.iter().filter_map(|one| one.lane_closure().map(|ms| (one, ms))) {
        if rows.iter().any(|row| row.0 == closure.0.item) {
            close_lanes(connection, closure.0, closure.1).await?;
        }
    }
    let stops = |item: ItemId| moves.iter().any(|one| one.item == item && one.comes_to_a_stop());
    Ok(Applied {
        claimable: rows.iter().filter(|row| row.1).count(),
        stopped: rows.iter().map(|row| row.0).filter(|&item| stops(item)).collect(),
        written: rows.into_iter().map(|row| row.0).collect(),
    })
}

/// Writes the batch; gives the items that were written and whether each can be claimed now.
async fn write(connection: &mut PgConnection, c: &Columns) -> Result<Vec<(ItemId, bool)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH input AS (
            SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]::phase[], $4::text[]::transition_event[], $5::text[]::phase[],
                                 $6::text[]::phase[], $7::text[]::block_reason[], $8::smallint[], $9::smallint[], $10::smallint[],
                                 $11::smallint[], $12::smallint[], $13::bigint[], $14::smallint[], $15::boolean[], $16::text[],
                                 $17::text[]::run_end[], $18::text[]::verdict[], $19::text[]::charge[], $20::text[], $21::jsonb[], $44::bigint[])
                AS t(item_id, epoch, from_phase, event, to_phase, resume_phase, block_reason, granted, used, infra, moves, tampers,
                     wake_ms, events, close_issues, announcement, ended, verdict, charge, detail, evidence, worker)
        ), guarded AS (
            -- Locked in one order, so that two batches can't wait for each other.
            SELECT w.id, w.project_id, w.events, w.run_id, w.lease_owner, w.lease_epoch, w.run_started_at, w.attempts_used
            FROM work_items w JOIN input i ON i.item_id = w.id
            WHERE w.lease_epoch = i.epoch AND w.phase = i.from_phase AND (i.worker IS NULL OR w.lease_owner = i.worker)
            ORDER BY w.id FOR NO KEY UPDATE OF w
        ), landing AS (
            INSERT INTO landings (item_id, project_id, run_id, base_branch, base_commit, landed_commit, tree, evidence)
            SELECT g.id, g.project_id, g.run_id, l.base_branch, l.base_commit, l.landed_commit, l.tree, l.evidence
            FROM unnest($22::bigint[], $23::text[], $24::text[], $25::text[], $26::text[], $27::jsonb[])
                AS l(item_id, base_branch, base_commit, landed_commit, tree, evidence)
            JOIN guarded g ON g.id = l.item_id
            RETURNING id, item_id
        ), moved AS (
            UPDATE work_items w SET
                phase = i.to_phase, resume_phase = i.resume_phase, block_reason = i.block_reason, last_event = i.event,
                attempts_granted = i.granted, attempts_used = i.used, infra_failures = i.infra, moves = i.moves, tampers = i.tampers,
                wake_at = clock_timestamp() + i.wake_ms * interval '1 millisecond',
                phase_since = CASE WHEN w.phase = i.to_phase THEN w.phase_since ELSE clock_timestamp() END,
                landing_id = l.id, transitions = w.transitions + 1, events = w.events + i.events,
                lease_epoch = w.lease_epoch + 1, lease_owner = NULL, lease_until = NULL, run_id = NULL, run_started_at = NULL
            FROM input i JOIN guarded g ON g.id = i.item_id LEFT JOIN landing l ON l.item_id = i.item_id
            WHERE w.id = i.item_id
            RETURNING w.id, w.claim_class
        ), ran AS (
            INSERT INTO runs (id, item_id, epoch, worker_id, started_at, ended_at, attempt, phase, ended, verdict, charge, detail, evidence)
            SELECT g.run_id, g.id, g.lease_epoch, g.lease_owner, g.run_started_at, clock_timestamp(), g.attempts_used + 1, i.from_phase,
                   i.ended, i.verdict, i.charge, i.detail, i.evidence
            FROM input i JOIN guarded g ON g.id = i.item_id WHERE g.run_id IS NOT NULL
        ), spent AS (
            -- Not guarded: what a stale run spent is spent.
            INSERT INTO cost_ledger (project_id, item_id, run_id, worker_id, phase, entry, ordinal, provider, model, tokens_in, tokens_out,
                                     tokens_cached, amount_microusd, estimated)
            SELECT w.project_id, w.id, s.run_id, s.worker_id, s.phase, 'spend', s.ordinal, s.provider, s.model, s.tokens_in, s.tokens_out,
                   s.tokens_cached, s.amount, s.estimated
            FROM unnest($28::bigint[], $29::bigint[], $30::text[]::phase[], $31::smallint[], $32::text[], $33::text[], $34::bigint[],
                        $35::bigint[], $36::bigint[], $37::bigint[], $38::boolean[], $45::bigint[])
                AS s(item_id, run_id, phase, ordinal, provider, model, tokens_in, tokens_out, tokens_cached, amount, estimated, worker_id)
            JOIN work_items w ON w.id = s.item_id
            ON CONFLICT DO NOTHING
        ), closed AS (
            UPDATE human_issues h SET state = 'closed', settled_at = clock_timestamp()
            FROM input i JOIN guarded g ON g.id = i.item_id
            -- An issue about a gate is still to be decided when the item goes on, and is not when it has ended.
            WHERE h.item_id = i.item_id AND h.state = 'open' AND i.close_issues
              AND (h.kind <> 'gate' OR i.to_phase IN ('merged', 'cancelled'))
        ), asked AS (
            INSERT INTO human_issues (item_id, run_id, kind, question, options, default_answer)
            SELECT g.id, g.run_id, q.kind, q.question, ARRAY(SELECT jsonb_array_elements_text(q.options)), q.proposed
            FROM unnest($39::bigint[], $40::text[]::issue_kind[], $41::text[], $42::jsonb[], $43::text[])
                WITH ORDINALITY AS q(item_id, kind, question, options, proposed, n)
            JOIN guarded g ON g.id = q.item_id
            ORDER BY q.n
            RETURNING id, item_id, kind
        ), told AS (
            INSERT INTO events_outbox (project_id, item_id, seq, type, data)
            SELECT g.project_id, g.id, g.events + 1, i.announcement, jsonb_strip_nulls(jsonb_build_object(
                       'from', i.from_phase, 'to', i.to_phase, 'cause', i.event, 'charge', i.charge, 'run_id', g.run_id,
                       'resume', i.resume_phase, 'reason', i.block_reason, 'attempts_used', i.used, 'attempts_granted', i.granted,
                       'wait_ms', i.wake_ms))
            FROM input i JOIN guarded g ON g.id = i.item_id
            UNION ALL
            SELECT g.project_id, g.id, g.events + 1 + (row_number() OVER (PARTITION BY a.item_id ORDER BY a.id))::int, 'issue.opened',
                   jsonb_build_object('issue_id', a.id, 'kind', a.kind)
            FROM asked a JOIN guarded g ON g.id = a.item_id
        )
        SELECT m.id AS "id!", (m.claim_class IS NOT NULL) AS "claimable!", (SELECT pg_notify('damascus_events', '')) AS "notified: ()"
        FROM moved m
        "#,
        &c.item_id,
        &c.epoch,
        &c.from_phase as _,
        &c.event as _,
        &c.to_phase as _,
        &c.resume_phase as _,
        &c.block_reason as _,
        &c.granted,
        &c.used,
        &c.infra,
        &c.moves,
        &c.tampers,
        &c.wake_ms as _,
        &c.events,
        &c.close_issues,
        &c.announcement as _,
        &c.ended as _,
        &c.verdict as _,
        &c.charge as _,
        &c.detail as _,
        &c.evidence as _,
        &c.landing.item_id,
        &c.landing.base_branch,
        &c.landing.base_commit,
        &c.landing.landed_commit,
        &c.landing.tree,
        &c.landing.evidence,
        &c.cost.item_id,
        &c.cost.run_id,
        &c.cost.phase as _,
        &c.cost.ordinal,
        &c.cost.provider,
        &c.cost.model,
        &c.cost.tokens_in,
        &c.cost.tokens_out,
        &c.cost.tokens_cached,
        &c.cost.amount,
        &c.cost.estimated,
        &c.issue.item_id,
        &c.issue.kind as _,
        &c.issue.question,
        &c.issue.options,
        &c.issue.proposed as _,
        &c.worker as _,
        &c.cost.worker_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (ItemId(row.id), row.claimable)).collect())
}

/// Closes the lanes of agents and providers that a phase of a project uses: one refusal is enough for everybody.
async fn close_lanes(connection: &mut PgConnection, closing: &Move, ms: u64) -> Result<(), StoreError> {
    let ms = i64::try_from(ms.min(MAX_LANE_CLOSURE_MS)).unwrap_or(i64::MAX);
    let closed = sqlx::query!(
        r#"
        WITH closed AS (
            UPDATE lanes l SET opens_at = greatest(coalesce(l.opens_at, '-infinity'), clock_timestamp() + $3 * interval '1 millisecond'),
                               closed_reason = $4, updated_at = clock_timestamp()
            FROM phase_lanes pl JOIN work_items w ON w.project_id = pl.project_id
            WHERE w.id = $1 AND pl.phase = $2::text::phase AND l.id = pl.lane_id AND l.kind IN ('agent', 'provider')
            RETURNING l.id, l.name, l.opens_at
        )
        INSERT INTO events_outbox (type, data)
        SELECT 'lane.closed', jsonb_build_object('lane_id', id, 'lane', name, 'opens_at', opens_at, 'reason', $4::text) FROM closed
        "#,
        closing.item.0,
        closing.from.phase().name(),
        ms as f64,
        closing.detail.as_deref().unwrap_or("rate limited"),
    )
    .execute(connection)
    .await?;
    if closed.rows_affected() == 0 {
        tracing::warn!(item.id = closing.item.0, "rate limited, but the phase has no agent or provider lane to close");
    }
    Ok(())
}

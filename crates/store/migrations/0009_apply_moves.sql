-- The statements that hand out and take back work, as functions: each is one round trip, its commit included, so that a process that is
-- stopped or loses its network in the middle of a call holds no lock that others wait for. Written by the apply module alone.

-- Sequential scans are off in both: a plan that was made while the tables were small would be kept when they are not.
CREATE FUNCTION apply_moves(p_batch jsonb) RETURNS TABLE (item_id bigint, claimable boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH input AS (
        SELECT * FROM jsonb_to_recordset(p_batch -> 'moves')
            AS t(item_id bigint, epoch bigint, worker bigint, from_phase phase, event transition_event, to_phase phase, resume_phase phase,
                 block_reason block_reason, granted smallint, used smallint, infra smallint, moves smallint, tampers smallint,
                 wake_ms bigint, close_lane_ms bigint, events smallint, close_issues boolean, announcement text, ended run_end,
                 verdict verdict, charge charge, detail text, evidence jsonb, told jsonb)
    ), guarded AS (
        -- Locked in one order, so that two batches can't wait for each other. A run is lost only if its lease is over at this moment.
        SELECT w.id, w.project_id, w.events, greatest(w.event_tx, pg_current_xact_id()) AS event_tx, w.run_id, w.lease_owner,
               w.lease_epoch, w.run_started_at, w.attempts_used
        FROM work_items w JOIN input i ON i.item_id = w.id
        WHERE w.lease_epoch = i.epoch AND w.phase = i.from_phase AND (i.worker IS NULL OR w.lease_owner = i.worker)
          AND (i.ended <> 'lost' OR w.lease_until < clock_timestamp())
        ORDER BY w.id FOR NO KEY UPDATE OF w
    ), landing AS (
        INSERT INTO landings (item_id, project_id, run_id, base_branch, base_commit, landed_commit, tree, evidence)
        SELECT g.id, g.project_id, g.run_id, l.base_branch, l.base_commit, l.landed_commit, l.tree, l.evidence
        FROM jsonb_to_recordset(p_batch -> 'landings')
            AS l(item_id bigint, base_branch text, base_commit text, landed_commit text, tree text, evidence jsonb)
        JOIN guarded g ON g.id = l.item_id
        RETURNING id, item_id
    ), moved AS (
        UPDATE work_items w SET
            phase = i.to_phase, resume_phase = i.resume_phase, block_reason = i.block_reason, last_event = i.event,
            attempts_granted = i.granted, attempts_used = i.used, infra_failures = i.infra, moves = i.moves, tampers = i.tampers,
            wake_at = clock_timestamp() + i.wake_ms * interval '1 millisecond',
            phase_since = CASE WHEN w.phase = i.to_phase THEN w.phase_since ELSE clock_timestamp() END,
            landing_id = l.id, transitions = w.transitions + 1, events = w.events + i.events, event_tx = g.event_tx,
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
               s.tokens_cached, s.amount_microusd, s.estimated
        FROM jsonb_to_recordset(p_batch -> 'costs')
            AS s(item_id bigint, run_id bigint, worker_id bigint, phase phase, ordinal smallint, provider text, model text,
                 tokens_in bigint, tokens_out bigint, tokens_cached bigint, amount_microusd bigint, estimated boolean)
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
        FROM jsonb_to_recordset(p_batch -> 'issues')
            AS q(item_id bigint, ordinal smallint, kind issue_kind, question text, options jsonb, proposed text)
        JOIN guarded g ON g.id = q.item_id
        ORDER BY q.item_id, q.ordinal
        RETURNING id, item_id, kind
    ), shut AS (
        -- One refusal of a provider is enough for everybody.
        UPDATE lanes l SET opens_at = greatest(coalesce(l.opens_at, '-infinity'), s.until), closed_reason = s.reason,
                           updated_at = clock_timestamp()
        FROM (SELECT pl.lane_id, max(clock_timestamp() + i.close_lane_ms * interval '1 millisecond') AS until,
                     coalesce(min(left(i.detail, 500)), 'rate limited') AS reason
              FROM input i JOIN guarded g ON g.id = i.item_id
              JOIN phase_lanes pl ON pl.project_id = g.project_id AND pl.phase = i.from_phase
              JOIN lanes k ON k.id = pl.lane_id AND k.kind IN ('agent', 'provider')
              WHERE i.close_lane_ms IS NOT NULL GROUP BY pl.lane_id) s
        WHERE l.id = s.lane_id
        RETURNING l.id, l.name, l.opens_at, l.closed_reason
    ), told AS (
        INSERT INTO events_outbox (tx, project_id, item_id, seq, type, data)
        SELECT g.event_tx, g.project_id, g.id, g.events + 1, i.announcement,
               CASE WHEN g.run_id IS NULL THEN i.told ELSE i.told || ('{"run_id":' || g.run_id || '}')::jsonb END
        FROM input i JOIN guarded g ON g.id = i.item_id
        UNION ALL
        SELECT g.event_tx, g.project_id, g.id, g.events + 1 + (row_number() OVER (PARTITION BY a.item_id ORDER BY a.id))::int,
               'issue.opened', jsonb_build_object('issue_id', a.id, 'kind', a.kind)
        FROM asked a JOIN guarded g ON g.id = a.item_id
        UNION ALL
        SELECT pg_current_xact_id(), NULL, NULL, NULL, 'lane.closed',
               jsonb_build_object('lane_id', s.id, 'lane', s.name, 'opens_at', s.opens_at, 'reason', s.closed_reason)
        FROM shut s
    )
    SELECT m.id, m.claim_class IS NOT NULL FROM moved m;
    PERFORM pg_notify('damascus_events', '');
END
$$;
COMMENT ON FUNCTION apply_moves IS 'Writes decided transitions: items, runs, landings, costs, issues, lanes, events. Gives the items whose guard held, and whether each can be claimed now.';

CREATE FUNCTION claim_items(p_worker bigint, p_phases phase[], p_max bigint, p_lease_ms bigint)
RETURNS TABLE (item_id bigint, project_id bigint, phase phase, epoch bigint, run_id bigint, lease_until timestamptz, granted smallint,
               used smallint, infra smallint, moves smallint, tampers smallint, max_infra_failures smallint, max_moves smallint,
               backoff_base_ms integer, backoff_cap_ms integer)
-- Before the tables are analysed for the first time, the planner would take most rows for leased and read all history to count them.
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    remaining bigint := p_max;
    taken bigint;
BEGIN
    -- One claim at a time: the count of leases must not change between counting and claiming. A statement of its own, since the next one
    -- needs a snapshot from after the lock was had.
    PERFORM pg_advisory_xact_lock(hashtext('damascus.claim'));
    LOOP
        RETURN QUERY
        WITH running AS (
            SELECT w.project_id, w.phase, count(*) AS n FROM work_items w WHERE w.lease_owner IS NOT NULL GROUP BY w.project_id, w.phase
        ), room AS (
            -- Free places in each lane; null where there is no limit.
            SELECT l.id AS lane_id, CASE WHEN l.opens_at > clock_timestamp() THEN 0 ELSE l.concurrency - coalesce(u.n, 0) END AS free
            FROM lanes l
            LEFT JOIN (SELECT pl.lane_id, sum(r.n)::bigint AS n
                       FROM running r JOIN phase_lanes pl ON pl.project_id = r.project_id AND pl.phase = r.phase
                       GROUP BY pl.lane_id) u ON u.lane_id = l.id
        ), open AS (
            SELECT pl.project_id, pl.phase, min(room.free) AS free,
                   CASE pl.phase WHEN 'merge' THEN 0 WHEN 'review' THEN 1 WHEN 'build' THEN 2 ELSE 3 END AS class
            FROM phase_lanes pl
            JOIN room ON room.lane_id = pl.lane_id
            JOIN projects p ON p.id = pl.project_id AND p.paused_at IS NULL
            WHERE pl.phase = ANY(p_phases)
            GROUP BY pl.project_id, pl.phase
            HAVING coalesce(min(room.free), 1) > 0
        ), candidates AS MATERIALIZED (
            SELECT o.project_id, o.phase, c.id, o.class, c.priority, c.rank
            FROM open o
            CROSS JOIN LATERAL (SELECT w.id, w.priority, w.rank FROM work_items w
                                WHERE w.project_id = o.project_id AND w.claim_class = o.class
                                ORDER BY w.priority, w.rank, w.id LIMIT least(remaining, o.free)) c
        ), crowded AS (
            -- A lane that several projects or phases share may have less room than each of them saw.
            SELECT c.id, room.free,
                   row_number() OVER (PARTITION BY pl.lane_id ORDER BY c.class, c.priority, c.rank, c.id) AS place
            FROM candidates c
            JOIN phase_lanes pl ON pl.project_id = c.project_id AND pl.phase = c.phase
            JOIN room ON room.lane_id = pl.lane_id AND room.free < (SELECT count(*) FROM candidates)
        ), chosen AS (
            SELECT c.id FROM candidates c
            WHERE NOT EXISTS (SELECT FROM crowded x WHERE x.id = c.id AND x.place > x.free)
            ORDER BY c.class, c.priority, c.rank, c.id LIMIT remaining
        ), locked AS (
            SELECT w.id FROM work_items w JOIN chosen ON chosen.id = w.id WHERE w.claim_class IS NOT NULL
            FOR NO KEY UPDATE OF w SKIP LOCKED
        ), claimed AS (
            UPDATE work_items w SET lease_owner = p_worker, lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond',
                lease_epoch = w.lease_epoch + 1, run_id = nextval('run_ids'), run_started_at = clock_timestamp(), events = w.events + 1,
                event_tx = greatest(w.event_tx, pg_current_xact_id())
            FROM locked WHERE w.id = locked.id
            RETURNING w.id, w.project_id, w.phase, w.priority, w.rank, w.lease_epoch, w.run_id, w.lease_until, w.events, w.event_tx,
                      w.attempts_granted, w.attempts_used, w.infra_failures, w.moves, w.tampers
        ), told AS (
            INSERT INTO events_outbox (tx, project_id, item_id, seq, type, data)
            SELECT c.event_tx, c.project_id, c.id, c.events, 'run.started',
                   ('{"run_id":' || c.run_id || ',"phase":"' || c.phase || '","worker_id":' || p_worker || '}')::jsonb
            FROM claimed c
        )
        SELECT c.id, c.project_id, c.phase, c.lease_epoch, c.run_id, c.lease_until, c.attempts_granted, c.attempts_used, c.infra_failures,
               c.moves, c.tampers, p.max_infra_failures, p.max_moves, p.backoff_base_ms, p.backoff_cap_ms
        FROM claimed c JOIN projects p ON p.id = c.project_id
        ORDER BY CASE c.phase WHEN 'merge' THEN 0 WHEN 'review' THEN 1 WHEN 'build' THEN 2 ELSE 3 END, c.priority, c.rank, c.id;
        GET DIAGNOSTICS taken = ROW_COUNT;
        remaining := remaining - taken;
        -- What found no place in a full lane may have stood in the way of others that have one: look again while something is taken.
        EXIT WHEN taken = 0 OR remaining = 0;
    END LOOP;
    IF remaining < p_max THEN
        PERFORM pg_notify('damascus_events', '');
    END IF;
END
$$;
COMMENT ON FUNCTION claim_items IS 'Leases up to so many items to a worker, in claim order and within the room of all their lanes.';

CREATE FUNCTION claim_lightly(p_worker bigint, p_phases phase[], p_max bigint, p_lease_ms bigint)
RETURNS TABLE (item_id bigint, project_id bigint, phase phase, epoch bigint, run_id bigint, lease_until timestamptz, granted smallint,
               used smallint, infra smallint, moves smallint, tampers smallint, max_infra_failures smallint, max_moves smallint,
               backoff_base_ms integer, backoff_cap_ms integer)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    -- A claim that a crash of the server undoes is only made again: its commit does not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY SELECT * FROM claim_items(p_worker, p_phases, p_max, p_lease_ms);
END
$$;
COMMENT ON FUNCTION claim_lightly IS 'claim_items in a transaction of its own, whose commit is asynchronous.';

CREATE FUNCTION finish_and_claim(p_batch jsonb, p_worker bigint, p_phases phase[], p_max bigint, p_lease_ms bigint)
RETURNS TABLE (written bigint, claimable boolean, item_id bigint, project_id bigint, phase phase, epoch bigint, run_id bigint,
               lease_until timestamptz, granted smallint, used smallint, infra smallint, moves smallint, tampers smallint,
               max_infra_failures smallint, max_moves smallint, backoff_base_ms integer, backoff_cap_ms integer)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT a.item_id, a.claimable, NULL::bigint, NULL::bigint, NULL::phase, NULL::bigint, NULL::bigint, NULL::timestamptz,
                        NULL::smallint, NULL::smallint, NULL::smallint, NULL::smallint, NULL::smallint, NULL::smallint, NULL::smallint,
                        NULL::integer, NULL::integer
                 FROM apply_moves(p_batch) a;
    IF p_max > 0 THEN
        RETURN QUERY SELECT NULL::bigint, NULL::boolean, c.* FROM claim_items(p_worker, p_phases, p_max, p_lease_ms) c;
    END IF;
END
$$;
COMMENT ON FUNCTION finish_and_claim IS 'apply_moves, then claim_items, in one commit. Rows with written are of the first, rows with item_id of the second.';

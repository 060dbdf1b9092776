-- The database refuses illegal transitions itself, whoever writes. A test proves that this function and step() agree.

CREATE FUNCTION transition_is_legal(f phase, e transition_event, t phase) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE f
        WHEN 'spec' THEN
            (t = 'build' AND e = 'pass')
            OR (t IN ('spec', 'blocked') AND e IN ('spec_invalid', 'infra_error', 'timeout', 'rate_limited'))
            OR (t = 'awaiting_human' AND e = 'spec_ambiguous')
            OR (t = 'blocked' AND e = 'money_spent')
            OR (t = 'cancelled' AND e = 'cancelled')
        WHEN 'build' THEN
            (t = 'review' AND e = 'pass')
            OR (t IN ('build', 'blocked') AND e IN ('no_change', 'build_failed', 'policy_violation', 'infra_error', 'timeout', 'rate_limited'))
            OR (t IN ('spec', 'blocked') AND e IN ('spec_wrong', 'contract_changed'))
            OR (t = 'blocked' AND e = 'money_spent')
            OR (t = 'cancelled' AND e = 'cancelled')
        WHEN 'review' THEN
            (t = 'merge' AND e = 'pass')
            OR (t IN ('build', 'blocked') AND e IN ('tests_failed', 'review_rejected', 'rebase_conflict', 'tamper_suspected'))
            OR (t IN ('spec', 'blocked') AND e IN ('spec_wrong', 'contract_changed'))
            OR (t IN ('review', 'blocked') AND e IN ('infra_error', 'timeout', 'rate_limited'))
            OR (t = 'blocked' AND e = 'money_spent')
            OR (t = 'cancelled' AND e = 'cancelled')
        WHEN 'merge' THEN
            (t = 'merged' AND e = 'pass')
            OR (t IN ('review', 'blocked') AND e IN ('head_moved', 'base_moved'))
            OR (t IN ('build', 'blocked') AND e IN ('rebase_conflict', 'tests_failed'))
            OR (t IN ('merge', 'blocked') AND e IN ('infra_error', 'timeout', 'rate_limited'))
            OR (t = 'blocked' AND e = 'money_spent')
            OR (t = 'cancelled' AND e = 'cancelled')
        WHEN 'awaiting_human' THEN
            (t IN ('spec', 'build', 'review', 'merge') AND e IN ('answered', 'retried'))
            OR (t = 'cancelled' AND e = 'cancelled')
        WHEN 'blocked' THEN
            (t IN ('spec', 'build', 'review', 'merge') AND e IN ('answered', 'retried'))
            OR (t = 'cancelled' AND e = 'cancelled')
        ELSE false
    END
$$;
COMMENT ON FUNCTION transition_is_legal IS 'Whether an item may go from one phase to another because of this event.';

CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'illegal transition of work item %: % by % to %', NEW.id,
        CASE WHEN TG_OP = 'INSERT' THEN 'nothing' ELSE OLD.phase::text END,
        coalesce(NEW.last_event::text, 'nothing'), NEW.phase
        USING ERRCODE = 'check_violation', CONSTRAINT = 'transition_is_legal';
END
$$;

-- The conditions stand in WHEN, so that a legal transition calls no trigger function at all.
CREATE TRIGGER transition_is_legal BEFORE UPDATE ON work_items FOR EACH ROW
    WHEN ((NEW.phase, NEW.transitions, NEW.last_event, NEW.resume_phase, NEW.landing_id)
              IS DISTINCT FROM (OLD.phase, OLD.transitions, OLD.last_event, OLD.resume_phase, OLD.landing_id)
          AND NOT coalesce(
              NEW.transitions = OLD.transitions + 1
              AND transition_is_legal(OLD.phase, NEW.last_event, NEW.phase)
              AND (OLD.resume_phase IS NULL OR NEW.phase = 'cancelled' OR NEW.phase = OLD.resume_phase), false))
    EXECUTE FUNCTION refuse_transition();

CREATE TRIGGER items_begin_in_spec BEFORE INSERT ON work_items FOR EACH ROW
    WHEN (NEW.phase <> 'spec' OR NEW.transitions <> 0 OR NEW.last_event IS NOT NULL OR NEW.lease_owner IS NOT NULL)
    EXECUTE FUNCTION refuse_transition();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never % here', TG_TABLE_NAME, CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END USING ERRCODE = 'check_violation', CONSTRAINT = 'immutable';
END
$$;
CREATE TRIGGER landings_are_immutable BEFORE UPDATE OR DELETE ON landings FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER projects_are_kept BEFORE DELETE ON projects FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER items_are_kept BEFORE DELETE ON work_items FOR EACH ROW EXECUTE FUNCTION refuse_change();

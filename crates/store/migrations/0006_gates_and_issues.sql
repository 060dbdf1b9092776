-- What items wait for: conditions, and people.

CREATE TABLE coordination_gates (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id     bigint NOT NULL REFERENCES work_items,
    phase       phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    kind        gate_kind NOT NULL,
    condition   jsonb NOT NULL,
    upstream_id bigint REFERENCES work_items,
    due_at      timestamptz,
    deadline    timestamptz,
    state       gate_state NOT NULL DEFAULT 'open',
    evidence    jsonb,
    origin      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    CONSTRAINT kind_is_that_of_the_condition CHECK (condition ->> 'kind' = kind::text),
    CONSTRAINT upstream_of_item_merged CHECK ((kind = 'item_merged') = (upstream_id IS NOT NULL)),
    CONSTRAINT due_at_of_timer CHECK ((kind = 'timer') = (due_at IS NOT NULL)),
    CONSTRAINT not_for_itself CHECK (upstream_id <> item_id),
    CONSTRAINT settled_with_evidence CHECK ((state = 'open') = (settled_at IS NULL) AND (state = 'open') = (evidence IS NULL))
);
COMMENT ON TABLE  coordination_gates IS 'A condition that must hold before an item may enter a phase.';
COMMENT ON COLUMN coordination_gates.id IS 'Given by the database.';
COMMENT ON COLUMN coordination_gates.item_id IS 'The item that waits.';
COMMENT ON COLUMN coordination_gates.phase IS 'The phase that it may not be run in before the condition holds.';
COMMENT ON COLUMN coordination_gates.kind IS 'What sort of condition.';
COMMENT ON COLUMN coordination_gates.condition IS 'The condition, as the domain writes it.';
COMMENT ON COLUMN coordination_gates.upstream_id IS 'The item waited for, where it is one.';
COMMENT ON COLUMN coordination_gates.due_at IS 'When a timer comes due.';
COMMENT ON COLUMN coordination_gates.deadline IS 'When the gate expires; null means never.';
COMMENT ON COLUMN coordination_gates.state IS 'open and expired keep the item out; satisfied and waived let it through.';
COMMENT ON COLUMN coordination_gates.evidence IS 'What was seen, or who waived it and why; null while open.';
COMMENT ON COLUMN coordination_gates.origin IS 'Where the gate came from, such as an import''s file and line.';
COMMENT ON COLUMN coordination_gates.created_at IS 'When it was made.';
COMMENT ON COLUMN coordination_gates.settled_at IS 'When it left open.';
CREATE UNIQUE INDEX coordination_gates_once ON coordination_gates (item_id, phase, condition);
CREATE INDEX coordination_gates_upstream ON coordination_gates (upstream_id) WHERE state = 'open' AND upstream_id IS NOT NULL;
CREATE INDEX coordination_gates_due ON coordination_gates (least(due_at, deadline)) WHERE state = 'open';
CREATE INDEX coordination_gates_closed ON coordination_gates (item_id, id) WHERE state IN ('open', 'expired');
CREATE INDEX coordination_gates_outside ON coordination_gates (kind, id)
    WHERE state = 'open' AND kind IN ('contract_published', 'pr_merged', 'ref_contains');

-- An item's gate mask follows its gates, whoever writes them. The items are locked first, in order, by a statement of their own: a
-- recount under a snapshot from before another transaction's commit would shut an item in for ever.
CREATE FUNCTION refresh_gate_masks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM work_items WHERE id IN (SELECT item_id FROM changed) ORDER BY id FOR NO KEY UPDATE;
    UPDATE work_items w SET gate_mask = fresh.mask
    FROM (SELECT c.item_id, coalesce(bit_or(CASE g.phase WHEN 'spec' THEN 1 WHEN 'build' THEN 2 WHEN 'review' THEN 4 WHEN 'merge' THEN 8 END), 0) AS mask
          FROM (SELECT DISTINCT item_id FROM changed) c
          LEFT JOIN coordination_gates g ON g.item_id = c.item_id AND g.state IN ('open', 'expired')
          GROUP BY c.item_id) fresh
    WHERE w.id = fresh.item_id AND w.gate_mask <> fresh.mask;
    RETURN NULL;
END
$$;
CREATE TRIGGER gates_made AFTER INSERT ON coordination_gates
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION refresh_gate_masks();
CREATE TRIGGER gates_changed AFTER UPDATE ON coordination_gates
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION refresh_gate_masks();
CREATE TRIGGER gates_are_kept BEFORE DELETE ON coordination_gates FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE human_issues (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id     bigint NOT NULL REFERENCES work_items,
    gate_id     bigint REFERENCES coordination_gates,
    run_id      bigint,
    kind        issue_kind NOT NULL,
    state       issue_state NOT NULL DEFAULT 'open',
    question    text NOT NULL CHECK (length(question) BETWEEN 1 AND 20000),
    options     text[] NOT NULL DEFAULT '{}',
    default_answer text,
    answer      text,
    answered_by text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,
    CONSTRAINT gate_of_gate_issues CHECK ((kind = 'gate') = (gate_id IS NOT NULL)),
    CONSTRAINT answered_has_its_answer CHECK ((state = 'answered') = (answer IS NOT NULL) AND (state = 'answered') = (answered_by IS NOT NULL)),
    CONSTRAINT open_is_not_settled CHECK ((state = 'open') = (settled_at IS NULL))
);
COMMENT ON TABLE  human_issues IS 'An open question or a parked item that needs a person.';
COMMENT ON COLUMN human_issues.id IS 'Given by the database.';
COMMENT ON COLUMN human_issues.item_id IS 'The item that waits.';
COMMENT ON COLUMN human_issues.gate_id IS 'The gate that can''t open by itself; only for kind gate.';
COMMENT ON COLUMN human_issues.run_id IS 'The run that asked; null when none did.';
COMMENT ON COLUMN human_issues.kind IS 'Why a person is asked.';
COMMENT ON COLUMN human_issues.state IS 'open waits; answered has an answer; closed was overtaken by another decision.';
COMMENT ON COLUMN human_issues.question IS 'What is asked, safe to show.';
COMMENT ON COLUMN human_issues.options IS 'Answers to choose from; empty when any text will do.';
COMMENT ON COLUMN human_issues.default_answer IS 'What is proposed.';
COMMENT ON COLUMN human_issues.answer IS 'What the person said.';
COMMENT ON COLUMN human_issues.answered_by IS 'Who said it.';
COMMENT ON COLUMN human_issues.created_at IS 'When it was opened.';
COMMENT ON COLUMN human_issues.settled_at IS 'When it was answered or closed.';
CREATE INDEX human_issues_open ON human_issues (item_id) WHERE state = 'open';
CREATE INDEX human_issues_by_item ON human_issues (item_id, id);
CREATE UNIQUE INDEX human_issues_one_per_gate ON human_issues (gate_id) WHERE state = 'open' AND gate_id IS NOT NULL;

-- What each closed gate calls for. Reads closed gates, and their items by key: never history.
CREATE VIEW gates_to_settle AS
SELECT g.id, g.item_id, g.upstream_id, g.kind, g.state, g.due_at, g.deadline,
       CASE
           WHEN d.phase IN ('merged', 'cancelled') THEN 'drop'
           WHEN g.state = 'open' AND u.phase = 'merged' THEN 'satisfy'
           WHEN g.state = 'open' AND g.due_at <= clock_timestamp() AND g.due_at <= coalesce(g.deadline, 'infinity') THEN 'satisfy'
           WHEN g.state = 'open' AND g.deadline <= clock_timestamp() THEN 'expire'
           WHEN i.asked THEN CASE WHEN g.state = 'open' AND u.phase NOT IN ('blocked', 'cancelled') THEN 'overtaken' END
           -- A person who said to wait is asked again only when what they were asked about happened again.
           WHEN i.answered_at > CASE WHEN g.state = 'expired' THEN g.settled_at ELSE coalesce(u.phase_since, '-infinity') END THEN NULL
           WHEN g.state = 'expired' OR g.kind = 'human' OR u.phase IN ('blocked', 'cancelled') THEN 'ask'
       END AS action
FROM coordination_gates g
JOIN work_items d ON d.id = g.item_id
LEFT JOIN work_items u ON u.id = g.upstream_id
CROSS JOIN LATERAL (SELECT coalesce(bool_or(h.state = 'open'), false) AS asked, max(h.settled_at) FILTER (WHERE h.state = 'answered') AS answered_at
                    FROM human_issues h WHERE h.item_id = g.item_id AND h.gate_id = g.id) i
WHERE g.state IN ('open', 'expired');
COMMENT ON VIEW gates_to_settle IS 'Closed gates with what is to be done: drop (the item has ended), satisfy, expire, ask a person, close an issue that was overtaken, or nothing.';

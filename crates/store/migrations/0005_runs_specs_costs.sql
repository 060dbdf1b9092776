-- What was run, specified and spent. Rows are written once.

CREATE TABLE runs (
    id         bigint PRIMARY KEY,
    item_id    bigint NOT NULL,
    epoch      bigint NOT NULL,
    worker_id  bigint NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL DEFAULT now(),
    attempt    smallint NOT NULL,
    phase      phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    ended      run_end NOT NULL,
    verdict    verdict,
    charge     charge NOT NULL,
    detail     text,
    evidence   jsonb,
    CONSTRAINT only_what_reported_has_a_verdict CHECK ((ended IN ('reported', 'lost')) = (verdict IS NOT NULL)),
    CONSTRAINT a_lost_run_is_never_a_pass CHECK (ended <> 'lost' OR verdict = 'infra_error'),
    CONSTRAINT a_pass_has_evidence CHECK (verdict IS DISTINCT FROM 'pass' OR evidence IS NOT NULL)
);
COMMENT ON TABLE  runs IS 'One ended run: one execution of one phase of one item by one worker, under one lease. A run under way is the lease on its item.';
COMMENT ON COLUMN runs.id IS 'Given at the claim.';
COMMENT ON COLUMN runs.item_id IS 'The item. No foreign key, whose check would cost a third of a transition: the row is written from the locked item itself, and items are never deleted.';
COMMENT ON COLUMN runs.epoch IS 'The lease epoch that it ran under.';
COMMENT ON COLUMN runs.worker_id IS 'The worker that ran it.';
COMMENT ON COLUMN runs.started_at IS 'When it was claimed, by the database''s clock.';
COMMENT ON COLUMN runs.ended_at IS 'When its end was recorded.';
COMMENT ON COLUMN runs.attempt IS 'Which attempt of the item it was part of; 1 is the first.';
COMMENT ON COLUMN runs.phase IS 'The phase that it ran.';
COMMENT ON COLUMN runs.ended IS 'How it ended.';
COMMENT ON COLUMN runs.verdict IS 'Its verdict; null for a run that was handed back or overtaken.';
COMMENT ON COLUMN runs.charge IS 'What it used up.';
COMMENT ON COLUMN runs.detail IS 'What happened, safe to show and bounded.';
COMMENT ON COLUMN runs.evidence IS 'What a pass rests on.';
CREATE INDEX runs_by_item ON runs (item_id, id);
CREATE TRIGGER runs_are_immutable BEFORE UPDATE OR DELETE ON runs FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE specs (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id    bigint NOT NULL REFERENCES work_items,
    version    integer NOT NULL CHECK (version >= 1),
    sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    body       jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object'),
    run_id     bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (item_id, version)
);
COMMENT ON TABLE  specs IS 'An accepted spec. Rows are never changed; a change is a new version.';
COMMENT ON COLUMN specs.id IS 'Given by the database.';
COMMENT ON COLUMN specs.item_id IS 'The item.';
COMMENT ON COLUMN specs.version IS 'Counts from 1 within the item.';
COMMENT ON COLUMN specs.sha256 IS 'Hash of the canonical JSON.';
COMMENT ON COLUMN specs.body IS 'The spec.';
COMMENT ON COLUMN specs.run_id IS 'The run that made it.';
COMMENT ON COLUMN specs.created_at IS 'When it was accepted.';
CREATE TRIGGER specs_are_immutable BEFORE UPDATE OR DELETE ON specs FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE cost_ledger (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id      bigint NOT NULL REFERENCES projects,
    item_id         bigint NOT NULL REFERENCES work_items,
    run_id          bigint NOT NULL,
    worker_id       bigint NOT NULL,
    phase           phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    entry           ledger_entry NOT NULL,
    ordinal         smallint NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    tokens_in       bigint NOT NULL CHECK (tokens_in >= 0),
    tokens_out      bigint NOT NULL CHECK (tokens_out >= 0),
    tokens_cached   bigint NOT NULL CHECK (tokens_cached BETWEEN 0 AND tokens_in),
    amount_microusd bigint NOT NULL,
    estimated       boolean NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (run_id, worker_id, entry, ordinal),
    CHECK (CASE entry WHEN 'release' THEN amount_microusd <= 0 ELSE amount_microusd >= 0 END)
);
COMMENT ON TABLE  cost_ledger IS 'Money, in signed entries that add up: reserved before a run, released and spent after it. Rows are never changed.';
COMMENT ON COLUMN cost_ledger.id IS 'Given by the database.';
COMMENT ON COLUMN cost_ledger.project_id IS 'The project.';
COMMENT ON COLUMN cost_ledger.item_id IS 'The item.';
COMMENT ON COLUMN cost_ledger.run_id IS 'The run.';
COMMENT ON COLUMN cost_ledger.worker_id IS 'The worker that ran it. A claim lost in a crash of the server may have its run id given out again, to another worker.';
COMMENT ON COLUMN cost_ledger.phase IS 'The phase that was run.';
COMMENT ON COLUMN cost_ledger.entry IS 'reserve and spend are positive, release is negative.';
COMMENT ON COLUMN cost_ledger.ordinal IS 'Counts the entries of a run from 0, so that a report that arrives twice is entered once.';
COMMENT ON COLUMN cost_ledger.provider IS 'The provider or agent.';
COMMENT ON COLUMN cost_ledger.model IS 'The model, as the provider names it.';
COMMENT ON COLUMN cost_ledger.tokens_in IS 'Tokens read.';
COMMENT ON COLUMN cost_ledger.tokens_out IS 'Tokens written.';
COMMENT ON COLUMN cost_ledger.tokens_cached IS 'Tokens read from the provider''s cache; part of tokens_in.';
COMMENT ON COLUMN cost_ledger.amount_microusd IS 'Millionths of a US dollar.';
COMMENT ON COLUMN cost_ledger.estimated IS 'Whether the price is from a table instead of from the provider.';
COMMENT ON COLUMN cost_ledger.at IS 'When it was entered.';
CREATE INDEX cost_ledger_by_item ON cost_ledger (item_id);
CREATE INDEX cost_ledger_by_project_day ON cost_ledger (project_id, at);
CREATE TRIGGER cost_ledger_is_immutable BEFORE UPDATE OR DELETE ON cost_ledger FOR EACH ROW EXECUTE FUNCTION refuse_change();

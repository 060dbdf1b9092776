-- Texts of a run that people look at.

CREATE TABLE run_artifacts (
    run_id    bigint NOT NULL,
    worker_id bigint NOT NULL,
    name      text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,63}$'),
    item_id   bigint NOT NULL REFERENCES work_items,
    phase     phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    body      text NOT NULL CHECK (octet_length(body) <= 1048576),
    cut       boolean NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, worker_id, name)
);
COMMENT ON TABLE  run_artifacts IS 'A text that a run leaves for people to look at, such as its diff. It may be written anew while the run''s lease holds.';
COMMENT ON COLUMN run_artifacts.run_id IS 'The run; it may be under way.';
COMMENT ON COLUMN run_artifacts.worker_id IS 'The worker that runs it. A claim lost in a crash of the server may have its run id given out again, to another worker.';
COMMENT ON COLUMN run_artifacts.name IS 'What it is, such as diff, checks, prompt.';
COMMENT ON COLUMN run_artifacts.item_id IS 'The item.';
COMMENT ON COLUMN run_artifacts.phase IS 'The phase that is run.';
COMMENT ON COLUMN run_artifacts.body IS 'The text, as the run had it: data from outside, to be made safe where it is shown.';
COMMENT ON COLUMN run_artifacts.cut IS 'Whether the run had more than fits.';
COMMENT ON COLUMN run_artifacts.at IS 'When it was last written; trimmed some days later.';
CREATE INDEX run_artifacts_by_item ON run_artifacts (item_id, run_id);
CREATE INDEX run_artifacts_by_age ON run_artifacts (at);

-- What runs print while they go on.

CREATE TABLE run_transcripts (
    run_id         bigint NOT NULL,
    worker_id      bigint NOT NULL,
    item_id        bigint NOT NULL REFERENCES work_items,
    phase          phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    chunks         integer NOT NULL DEFAULT 0 CHECK (chunks BETWEEN 0 AND 65536),
    kept_bytes     integer NOT NULL DEFAULT 0 CHECK (kept_bytes BETWEEN 0 AND 4194304),
    left_out_bytes bigint NOT NULL DEFAULT 0 CHECK (left_out_bytes >= 0),
    last_ordinal   bigint NOT NULL DEFAULT -1 CHECK (last_ordinal BETWEEN -1 AND 4294967295),
    begun_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE  run_transcripts IS 'How much of what a run printed is kept. Whoever appends locks its row, so that nothing is entered twice and the bound holds.';
COMMENT ON COLUMN run_transcripts.run_id IS 'The run; it may be under way.';
COMMENT ON COLUMN run_transcripts.worker_id IS 'The worker that runs it. A claim lost in a crash of the server may have its run id given out again, to another worker.';
COMMENT ON COLUMN run_transcripts.item_id IS 'The item.';
COMMENT ON COLUMN run_transcripts.phase IS 'The phase that is run.';
COMMENT ON COLUMN run_transcripts.chunks IS 'How many chunks are kept.';
COMMENT ON COLUMN run_transcripts.kept_bytes IS 'How long they are together, in bytes of UTF-8.';
COMMENT ON COLUMN run_transcripts.left_out_bytes IS 'How much came after the transcript was full, in bytes of UTF-8.';
COMMENT ON COLUMN run_transcripts.last_ordinal IS 'The last chunk that came, kept or not; -1 before the first. One that is not behind it is a repetition.';
COMMENT ON COLUMN run_transcripts.begun_at IS 'When the first chunk came; trimmed some days later.';
CREATE INDEX run_transcripts_by_item ON run_transcripts (item_id, run_id);
CREATE INDEX run_transcripts_by_age ON run_transcripts (begun_at);

CREATE TABLE run_transcript_chunks (
    run_id    bigint NOT NULL,
    worker_id bigint NOT NULL,
    ordinal   bigint NOT NULL CHECK (ordinal BETWEEN 0 AND 4294967295),
    body      text NOT NULL CHECK (octet_length(body) BETWEEN 1 AND 262144),
    PRIMARY KEY (run_id, worker_id, ordinal),
    FOREIGN KEY (run_id, worker_id) REFERENCES run_transcripts ON DELETE CASCADE
);
COMMENT ON TABLE  run_transcript_chunks IS 'A piece of what a run printed. Rows are never changed; they go with their transcript.';
COMMENT ON COLUMN run_transcript_chunks.run_id IS 'The run.';
COMMENT ON COLUMN run_transcript_chunks.worker_id IS 'The worker that runs it.';
COMMENT ON COLUMN run_transcript_chunks.ordinal IS 'Its place; rises within the run.';
COMMENT ON COLUMN run_transcript_chunks.body IS 'The text, safe to show.';
CREATE TRIGGER run_transcript_chunks_are_immutable BEFORE UPDATE ON run_transcript_chunks FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Facts, written in the transaction of what they tell. Partitioned by day, so that trimming drops a table and leaves no bloat.

CREATE SEQUENCE event_ids AS bigint;

CREATE TABLE events_outbox (
    id         bigint NOT NULL DEFAULT nextval('event_ids'),
    tx         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at         timestamptz NOT NULL DEFAULT now(),
    project_id bigint,
    item_id    bigint,
    seq        integer,
    type       text NOT NULL,
    data       jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tx, id, at),
    CHECK ((item_id IS NULL) = (seq IS NULL))
) PARTITION BY RANGE (at);
COMMENT ON TABLE  events_outbox IS 'A fact, written in the same transaction as what it tells. Read in the order of (tx, id), below the oldest running transaction.';
COMMENT ON COLUMN events_outbox.id IS 'Stable id, to dedupe on.';
COMMENT ON COLUMN events_outbox.tx IS 'The transaction that wrote it: ids alone are not in commit order. An item''s event has at least what the one before has: a transaction that began earlier may come to the item later.';
COMMENT ON COLUMN events_outbox.at IS 'When that transaction began.';
COMMENT ON COLUMN events_outbox.project_id IS 'The project that it is about; null when about none.';
COMMENT ON COLUMN events_outbox.item_id IS 'The item that it is about; null when about none.';
COMMENT ON COLUMN events_outbox.seq IS 'Its number within the item: 1, 2, 3 without a gap.';
COMMENT ON COLUMN events_outbox.type IS 'Such as work.merged.';
COMMENT ON COLUMN events_outbox.data IS 'What happened.';
CREATE INDEX events_outbox_by_item ON events_outbox (item_id, seq);

CREATE TABLE events_outbox_default PARTITION OF events_outbox DEFAULT;
COMMENT ON TABLE events_outbox_default IS 'Catches events when the partition of a day was not made in time; normally empty.';

CREATE FUNCTION make_outbox_partitions(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    day date;
    name text;
    made integer := 0;
BEGIN
    -- One maker at a time; the second finds the work done.
    PERFORM pg_advisory_xact_lock(hashtext('damascus.outbox_partitions'));
    FOR day IN SELECT d::date FROM generate_series(date_trunc('day', now() AT TIME ZONE 'UTC'),
                                                   date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => days_ahead), '1 day') d LOOP
        name := 'events_outbox_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        -- A day that the default partition has caught rows of stays there; making its partition would fail.
        CONTINUE WHEN EXISTS (SELECT FROM events_outbox_default
                              WHERE at >= day::timestamp AT TIME ZONE 'UTC' AND at < (day + 1)::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE %I PARTITION OF events_outbox FOR VALUES FROM (%L) TO (%L)', name,
                       day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION make_outbox_partitions IS 'Makes the partitions from today on that are missing; returns how many.';

CREATE FUNCTION drop_outbox_partitions(keep_days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    old text;
    dropped integer := 0;
    horizon timestamptz := (date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => keep_days)) AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('damascus.outbox_partitions'));
    FOR old IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'events_outbox'::regclass AND c.relname ~ '^events_outbox_[0-9]{8}$'
                 AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' < horizon LOOP
        EXECUTE format('DROP TABLE %I', old);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM events_outbox_default WHERE at < horizon;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_outbox_partitions IS 'Drops the partitions of days further back than this many; returns how many.';

SELECT make_outbox_partitions(7);

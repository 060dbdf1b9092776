-- Who works, and what happens at fixed times.

CREATE TABLE workers (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text NOT NULL,
    host         text NOT NULL,
    pid          integer NOT NULL,
    version      text NOT NULL,
    concurrency  integer NOT NULL CHECK (concurrency >= 0),
    started_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    stopped_at   timestamptz
);
COMMENT ON TABLE  workers IS 'A worker or scheduler process. A crashed one never gets a stopped_at; its heartbeat stands still.';
COMMENT ON COLUMN workers.id IS 'Given when the process starts.';
COMMENT ON COLUMN workers.name IS 'What the process is, such as worker or scheduler.';
COMMENT ON COLUMN workers.host IS 'The machine.';
COMMENT ON COLUMN workers.pid IS 'The process id there.';
COMMENT ON COLUMN workers.version IS 'The version of Damascus that it runs.';
COMMENT ON COLUMN workers.concurrency IS 'How many runs it takes at once.';
COMMENT ON COLUMN workers.started_at IS 'When it registered.';
COMMENT ON COLUMN workers.heartbeat_at IS 'When it last renewed.';
COMMENT ON COLUMN workers.stopped_at IS 'When it shut down in order.';
CREATE INDEX workers_live ON workers (heartbeat_at) WHERE stopped_at IS NULL;

CREATE TABLE schedules (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text NOT NULL UNIQUE,
    job      text NOT NULL,
    cron     text NOT NULL,
    enabled  boolean NOT NULL DEFAULT true,
    next_due_at timestamptz
);
COMMENT ON TABLE  schedules IS 'What is to happen at fixed times (UTC).';
COMMENT ON COLUMN schedules.id IS 'Given by the database.';
COMMENT ON COLUMN schedules.name IS 'What people call it.';
COMMENT ON COLUMN schedules.job IS 'Which job of the scheduler.';
COMMENT ON COLUMN schedules.cron IS 'When, as five cron fields, UTC.';
COMMENT ON COLUMN schedules.enabled IS 'Whether it ticks.';
COMMENT ON COLUMN schedules.next_due_at IS 'The next tick; null until a scheduler has read the cron fields.';

CREATE TABLE schedule_ticks (
    schedule_id bigint NOT NULL REFERENCES schedules ON DELETE CASCADE,
    due_at      timestamptz NOT NULL,
    done_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule_id, due_at)
);
COMMENT ON TABLE  schedule_ticks IS 'A tick that happened: once, however many schedulers run.';
COMMENT ON COLUMN schedule_ticks.schedule_id IS 'The schedule.';
COMMENT ON COLUMN schedule_ticks.due_at IS 'When it was due.';
COMMENT ON COLUMN schedule_ticks.done_at IS 'When it was done; in one transaction with what it does.';

INSERT INTO schedules (name, job, cron) VALUES
    ('outbox-partitions', 'outbox_partitions', '7 * * * *'),
    ('outbox-trim', 'outbox_trim', '23 3 * * *'),
    ('worker-cleanup', 'worker_cleanup', '41 * * * *');

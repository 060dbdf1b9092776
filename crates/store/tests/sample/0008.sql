INSERT INTO workers (name, host, pid, version, concurrency) VALUES ('worker', 'sample', 1, '0.1.0', 2);
INSERT INTO schedule_ticks (schedule_id, due_at) SELECT id, now() FROM schedules;

INSERT INTO runs (id, item_id, epoch, worker_id, started_at, attempt, phase, ended, verdict, charge, detail)
SELECT nextval('run_ids'), id, 1, 1, now(), 1, 'spec', 'lost', 'infra_error', 'infra_failure', 'sample' FROM work_items WHERE rank = 3;
INSERT INTO specs (item_id, version, sha256, body, run_id) SELECT id, 1, repeat('b', 64), '{"goal": "sample"}', 1 FROM work_items WHERE rank = 3;
INSERT INTO cost_ledger (project_id, item_id, run_id, worker_id, phase, entry, ordinal, provider, model, tokens_in, tokens_out, tokens_cached,
                         amount_microusd, estimated)
SELECT project_id, id, 1, 1, 'spec', 'spend', 0, 'sample', 'model', 10, 5, 1, 420, true FROM work_items WHERE rank = 3;

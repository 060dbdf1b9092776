INSERT INTO run_artifacts (run_id, worker_id, name, item_id, phase, body, cut) SELECT 1, 1, 'diff', id, 'build', 'sample', false FROM work_items WHERE rank = 3;

INSERT INTO work_items (project_id, attempts_granted, rank, held) SELECT p.id, 3, n, n = 2 FROM projects p, generate_series(1, 3) n WHERE p.name = 'sample';
INSERT INTO stories (item_id, project_id, key, title, body, acceptance, source, source_path, content_sha256)
SELECT id, project_id, 'story-' || rank, 'Story ' || rank, E'# Story\n\nText', '["it works"]', 'bmad', 'stories/' || rank || '.md', repeat('a', 64)
FROM work_items;
UPDATE work_items SET lease_owner = 1, lease_until = now() + interval '1 minute', lease_epoch = 1, run_id = nextval('run_ids'), run_started_at = now()
WHERE rank = 1;

INSERT INTO tested_trees (project_id, tree, rules_sha256, evidence, tests)
SELECT id, repeat('c', 40), repeat('d', 64), jsonb_build_object('tree', repeat('c', 40)), '{"it works": "passed"}' FROM projects WHERE name = 'sample';

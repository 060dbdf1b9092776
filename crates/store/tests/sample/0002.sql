INSERT INTO projects (name, forge, repo) VALUES ('sample', 'local', '/srv/git/sample.git'), ('paused', 'gitea', 'owner/paused');
UPDATE projects SET paused_at = now() WHERE name = 'paused';
INSERT INTO lanes (name, kind, concurrency, opens_at, closed_reason)
VALUES ('project:sample', 'project', 2, NULL, NULL), ('provider:closed', 'provider', NULL, now() + interval '1 hour', 'quota spent');
INSERT INTO phase_lanes (project_id, phase, lane_id)
SELECT p.id, f.phase, l.id FROM projects p, unnest(ARRAY['spec', 'build', 'review', 'merge']::phase[]) AS f(phase), lanes l WHERE p.name = 'sample';

INSERT INTO pull_requests (project_id, number, head_branch, base_branch, title, body)
SELECT id, 1, 'damascus/sample', 'main', 'Sample', '' FROM projects WHERE name = 'sample';
INSERT INTO pull_request_comments (pull_request_id, marker, body) SELECT id, 'sample', 'text' FROM pull_requests;
INSERT INTO commit_statuses (project_id, commit_id, context, state, description)
SELECT id, repeat('e', 40), 'damascus/tests', 'success', '12 passed' FROM projects WHERE name = 'sample';

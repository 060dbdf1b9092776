INSERT INTO coordination_gates (item_id, phase, kind, condition, upstream_id, origin)
SELECT d.id, 'spec', 'item_merged', jsonb_build_object('kind', 'item_merged', 'item', u.id), u.id, 'sample'
FROM work_items d JOIN work_items u ON u.rank = 1 WHERE d.rank = 3;
INSERT INTO human_issues (item_id, kind, question, options) SELECT id, 'question', 'Which?', '{a,b}' FROM work_items WHERE rank = 2;

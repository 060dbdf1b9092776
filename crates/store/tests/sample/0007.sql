INSERT INTO events_outbox (project_id, item_id, seq, type, data) SELECT project_id, id, 1, 'work.created', '{"key": "sample"}' FROM work_items;
INSERT INTO events_outbox (type) VALUES ('lane.closed');

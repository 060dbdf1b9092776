INSERT INTO run_transcripts (run_id, worker_id, item_id, phase, chunks, kept_bytes, left_out_bytes, last_ordinal)
SELECT 1, 1, id, 'spec', 1, 6, 3, 1 FROM work_items WHERE rank = 3;
INSERT INTO run_transcript_chunks (run_id, worker_id, ordinal, body) VALUES (1, 1, 0, 'sample');

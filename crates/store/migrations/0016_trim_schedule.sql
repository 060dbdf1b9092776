-- What grows with every run is trimmed often and a little at a time.

INSERT INTO schedules (name, job, cron) VALUES ('history-trim', 'history_trim', '*/10 * * * *');

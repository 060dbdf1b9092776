-- A spec is bounded in the database, too: the program checks its canonical JSON, which jsonb prints a little longer.

ALTER TABLE specs ADD CONSTRAINT a_spec_is_bounded CHECK (octet_length(body::text) <= 2097152);

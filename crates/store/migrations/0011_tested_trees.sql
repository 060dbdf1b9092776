-- Which tree was tested by which rules, with what result, so that the same tree is not tested twice.

CREATE TABLE tested_trees (
    project_id   bigint NOT NULL REFERENCES projects,
    tree         text NOT NULL CHECK (tree ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    rules_sha256 text NOT NULL CHECK (rules_sha256 ~ '^[0-9a-f]{64}$'),
    evidence     jsonb NOT NULL CHECK (octet_length(evidence::text) <= 131072),
    tests        jsonb NOT NULL CHECK (octet_length(tests::text) <= 2097152),
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, tree, rules_sha256),
    CONSTRAINT evidence_is_of_the_tree CHECK (evidence ->> 'tree' = tree)
);
COMMENT ON TABLE  tested_trees IS 'A tree that was tested. Rows are never changed; old ones are trimmed, since a landing holds its own evidence.';
COMMENT ON COLUMN tested_trees.project_id IS 'The project.';
COMMENT ON COLUMN tested_trees.tree IS 'The tree that was tested, whatever commit had it.';
COMMENT ON COLUMN tested_trees.rules_sha256 IS 'Hash of everything that the result depends on beside the tree.';
COMMENT ON COLUMN tested_trees.evidence IS 'The execution of the test command.';
COMMENT ON COLUMN tested_trees.tests IS 'What came of each test, by its name.';
COMMENT ON COLUMN tested_trees.at IS 'When it was written.';
CREATE INDEX tested_trees_by_age ON tested_trees (at);
CREATE TRIGGER tested_trees_are_immutable BEFORE UPDATE ON tested_trees FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Pull requests of local repositories, which have no forge that would keep them. Heads are never kept here: the repository has them.

CREATE TABLE pull_requests (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id  bigint NOT NULL REFERENCES projects,
    number      integer NOT NULL CHECK (number >= 1),
    head_branch text NOT NULL CHECK (length(head_branch) BETWEEN 1 AND 255),
    base_branch text NOT NULL CHECK (length(base_branch) BETWEEN 1 AND 255),
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'merged')),
    title       text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    body        text NOT NULL CHECK (octet_length(body) <= 1048576),
    merged_as   text CHECK (merged_as ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    opened_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at  timestamptz,
    UNIQUE (project_id, number),
    CONSTRAINT open_is_not_settled CHECK ((state = 'open') = (settled_at IS NULL)),
    CONSTRAINT merged_has_its_commit CHECK ((state = 'merged') = (merged_as IS NOT NULL)),
    CONSTRAINT two_branches CHECK (head_branch <> base_branch)
);
COMMENT ON TABLE  pull_requests IS 'A change that is proposed in a local repository.';
COMMENT ON COLUMN pull_requests.id IS 'Given by the database.';
COMMENT ON COLUMN pull_requests.project_id IS 'The project.';
COMMENT ON COLUMN pull_requests.number IS 'Counts from 1 within the project without a gap.';
COMMENT ON COLUMN pull_requests.head_branch IS 'The branch that it proposes.';
COMMENT ON COLUMN pull_requests.base_branch IS 'The branch that it is to land on.';
COMMENT ON COLUMN pull_requests.state IS 'open waits; closed was given up; merged is on the base branch. The last two are ends.';
COMMENT ON COLUMN pull_requests.title IS 'One line, safe to show.';
COMMENT ON COLUMN pull_requests.body IS 'Markdown, safe to show.';
COMMENT ON COLUMN pull_requests.merged_as IS 'The commit that landed; there exactly when it is merged.';
COMMENT ON COLUMN pull_requests.opened_at IS 'When it was opened.';
COMMENT ON COLUMN pull_requests.settled_at IS 'When it was closed or merged.';
CREATE UNIQUE INDEX pull_requests_one_open ON pull_requests (project_id, head_branch, base_branch) WHERE state = 'open';

-- An end stays an end, and what names a pull request stays what it was.
CREATE TRIGGER settled_pull_requests_stay BEFORE UPDATE ON pull_requests FOR EACH ROW
    WHEN (OLD.state <> 'open' OR (OLD.id, OLD.project_id, OLD.number, OLD.head_branch, OLD.base_branch)
                                 IS DISTINCT FROM (NEW.id, NEW.project_id, NEW.number, NEW.head_branch, NEW.base_branch))
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER pull_requests_are_kept BEFORE DELETE ON pull_requests FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE pull_request_comments (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pull_request_id bigint NOT NULL REFERENCES pull_requests,
    marker          text NOT NULL CHECK (length(marker) BETWEEN 1 AND 200),
    body            text NOT NULL CHECK (octet_length(body) <= 1048576),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (pull_request_id, marker)
);
COMMENT ON TABLE  pull_request_comments IS 'What Damascus says on a pull request: one comment for each marker.';
COMMENT ON COLUMN pull_request_comments.id IS 'Given by the database; rises in the order of the first writing.';
COMMENT ON COLUMN pull_request_comments.pull_request_id IS 'The pull request.';
COMMENT ON COLUMN pull_request_comments.marker IS 'What the comment is found by when it is brought up to date.';
COMMENT ON COLUMN pull_request_comments.body IS 'Markdown, safe to show.';
COMMENT ON COLUMN pull_request_comments.updated_at IS 'When it was last written.';

CREATE TABLE commit_statuses (
    project_id  bigint NOT NULL REFERENCES projects,
    commit_id   text NOT NULL CHECK (commit_id ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    context     text NOT NULL CHECK (length(context) BETWEEN 1 AND 255),
    state       text NOT NULL CHECK (state IN ('pending', 'success', 'failure', 'error')),
    description text NOT NULL CHECK (length(description) <= 140),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, commit_id, context)
);
COMMENT ON TABLE  commit_statuses IS 'How checks on a commit of a local repository stand; a later status replaces the one of the same context.';
COMMENT ON COLUMN commit_statuses.project_id IS 'The project.';
COMMENT ON COLUMN commit_statuses.commit_id IS 'The commit.';
COMMENT ON COLUMN commit_statuses.context IS 'The name of the check, such as damascus/tests.';
COMMENT ON COLUMN commit_statuses.state IS 'How it stands.';
COMMENT ON COLUMN commit_statuses.description IS 'A short sentence, safe to show.';
COMMENT ON COLUMN commit_statuses.at IS 'When it was last set.';

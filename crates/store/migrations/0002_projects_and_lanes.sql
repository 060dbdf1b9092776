-- Projects, and the lanes that bound how much runs at once.

CREATE TABLE projects (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    forge           forge_kind NOT NULL,
    repo            text NOT NULL CHECK (length(repo) BETWEEN 1 AND 1024),
    forge_repo_id   bigint,
    base_branch     text NOT NULL DEFAULT 'main' CHECK (length(base_branch) BETWEEN 1 AND 255),
    max_attempts       smallint NOT NULL DEFAULT 3  CHECK (max_attempts BETWEEN 1 AND 1000),
    max_infra_failures smallint NOT NULL DEFAULT 10 CHECK (max_infra_failures BETWEEN 1 AND 1000),
    max_moves          smallint NOT NULL DEFAULT 5  CHECK (max_moves BETWEEN 1 AND 1000),
    backoff_base_ms integer NOT NULL DEFAULT 10000  CHECK (backoff_base_ms BETWEEN 1 AND 3600000),
    backoff_cap_ms  integer NOT NULL DEFAULT 300000 CHECK (backoff_cap_ms BETWEEN 1 AND 86400000),
    paused_at       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  projects IS 'A repository that Damascus works on.';
COMMENT ON COLUMN projects.id IS 'Given by the database; never reused.';
COMMENT ON COLUMN projects.name IS 'What people call it: lower case, digits, dot, dash, underscore.';
COMMENT ON COLUMN projects.forge IS 'Which protocol the forge speaks.';
COMMENT ON COLUMN projects.repo IS 'owner/name on the forge, or the path of a local repository.';
COMMENT ON COLUMN projects.forge_repo_id IS 'The forge''s numeric id, which survives a rename; null until the forge was asked.';
COMMENT ON COLUMN projects.base_branch IS 'The branch that changes land on.';
COMMENT ON COLUMN projects.max_attempts IS 'Attempts that a new item is granted.';
COMMENT ON COLUMN projects.max_infra_failures IS 'Failures of the surroundings at which an item is parked.';
COMMENT ON COLUMN projects.max_moves IS 'Moves of the head or the base at which an item is parked.';
COMMENT ON COLUMN projects.backoff_base_ms IS 'The wait after the first failure of the surroundings, milliseconds; it doubles with each.';
COMMENT ON COLUMN projects.backoff_cap_ms IS 'The longest such wait, milliseconds.';
COMMENT ON COLUMN projects.paused_at IS 'Since when nothing of it is claimed; null while it runs.';
COMMENT ON COLUMN projects.created_at IS 'When it was added.';
COMMENT ON COLUMN projects.updated_at IS 'When its row last changed.';

CREATE TABLE lanes (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 128),
    kind          lane_kind NOT NULL,
    concurrency   integer CHECK (concurrency BETWEEN 1 AND 100000),
    opens_at      timestamptz,
    closed_reason text,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (opens_at IS NOT NULL OR closed_reason IS NULL)
);
COMMENT ON TABLE  lanes IS 'A named resource with a concurrency limit and an opening time. What runs in it is counted from the leases, never stored.';
COMMENT ON COLUMN lanes.id IS 'Given by the database.';
COMMENT ON COLUMN lanes.name IS 'Such as global, project:demo, agent:claude-code, provider:gateway.';
COMMENT ON COLUMN lanes.kind IS 'What sort of resource it is.';
COMMENT ON COLUMN lanes.concurrency IS 'How many runs may hold it at once; null means no limit.';
COMMENT ON COLUMN lanes.opens_at IS 'Closed before this time; null or a time in the past means open.';
COMMENT ON COLUMN lanes.closed_reason IS 'Why it was closed, safe to show.';
COMMENT ON COLUMN lanes.updated_at IS 'When its row last changed.';

CREATE TABLE phase_lanes (
    project_id bigint NOT NULL REFERENCES projects ON DELETE CASCADE,
    phase      phase NOT NULL CHECK (phase IN ('spec', 'build', 'review', 'merge')),
    lane_id    bigint NOT NULL REFERENCES lanes,
    PRIMARY KEY (project_id, phase, lane_id)
);
COMMENT ON TABLE  phase_lanes IS 'Which lanes a run of a project in a phase occupies; a project without rows for a phase can''t be claimed in it.';
COMMENT ON COLUMN phase_lanes.project_id IS 'The project.';
COMMENT ON COLUMN phase_lanes.phase IS 'The working phase.';
COMMENT ON COLUMN phase_lanes.lane_id IS 'One of the lanes that a run occupies.';

INSERT INTO lanes (name, kind, concurrency) VALUES ('global', 'global', NULL);

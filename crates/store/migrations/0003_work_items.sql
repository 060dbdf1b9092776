-- Work items: a narrow table that changes often, apart from the stories, which are wide and hardly change.

CREATE SEQUENCE run_ids AS bigint;
COMMENT ON SEQUENCE run_ids IS 'Ids of runs, given at the claim; the row in runs is written when the run ends.';

CREATE TABLE landings (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id        bigint NOT NULL UNIQUE,
    project_id     bigint NOT NULL REFERENCES projects,
    run_id         bigint NOT NULL UNIQUE,
    base_branch    text NOT NULL,
    base_commit    text NOT NULL CHECK (base_commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    landed_commit  text NOT NULL CHECK (landed_commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    tree           text NOT NULL CHECK (tree ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
    evidence       jsonb NOT NULL,
    landed_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE  landings IS 'The proof of one merge. Rows are never changed.';
COMMENT ON COLUMN landings.id IS 'Given by the database.';
COMMENT ON COLUMN landings.item_id IS 'The item; it lands once.';
COMMENT ON COLUMN landings.project_id IS 'Its project.';
COMMENT ON COLUMN landings.run_id IS 'The merge run that landed it.';
COMMENT ON COLUMN landings.base_branch IS 'The branch that it landed on.';
COMMENT ON COLUMN landings.base_commit IS 'The tip that the candidate was built and tested on.';
COMMENT ON COLUMN landings.landed_commit IS 'The commit that was tested and landed: one and the same.';
COMMENT ON COLUMN landings.tree IS 'The tree of that commit, compared after the landing.';
COMMENT ON COLUMN landings.evidence IS 'The landing proof: the review of exactly this commit.';
COMMENT ON COLUMN landings.landed_at IS 'When the landing was recorded.';
CREATE INDEX landings_recent ON landings (landed_at);

CREATE TABLE work_items (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id       bigint NOT NULL,
    rank             bigint NOT NULL DEFAULT 0,
    lease_epoch      bigint NOT NULL DEFAULT 0,
    event_tx         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    lease_owner      bigint,
    run_id           bigint,
    landing_id       bigint REFERENCES landings,
    lease_until      timestamptz,
    run_started_at   timestamptz,
    wake_at          timestamptz,
    phase_since      timestamptz NOT NULL DEFAULT now(),
    events           integer NOT NULL DEFAULT 0,
    transitions      integer NOT NULL DEFAULT 0,
    phase            phase NOT NULL DEFAULT 'spec',
    resume_phase     phase CHECK (resume_phase IN ('spec', 'build', 'review', 'merge')),
    block_reason     block_reason,
    last_event       transition_event,
    priority         smallint NOT NULL DEFAULT 100 CHECK (priority BETWEEN 0 AND 1000),
    gate_mask        smallint NOT NULL DEFAULT 0 CHECK (gate_mask BETWEEN 0 AND 15),
    attempts_granted smallint NOT NULL CHECK (attempts_granted >= 1),
    attempts_used    smallint NOT NULL DEFAULT 0 CHECK (attempts_used BETWEEN 0 AND attempts_granted),
    infra_failures   smallint NOT NULL DEFAULT 0 CHECK (infra_failures >= 0),
    moves            smallint NOT NULL DEFAULT 0 CHECK (moves >= 0),
    tampers          smallint NOT NULL DEFAULT 0 CHECK (tampers >= 0),
    held             boolean NOT NULL DEFAULT false,
    claim_class      smallint GENERATED ALWAYS AS (
        CASE WHEN lease_owner IS NULL AND wake_at IS NULL AND NOT held THEN
            CASE WHEN phase = 'merge'  AND gate_mask & 8 = 0 THEN 0
                 WHEN phase = 'review' AND gate_mask & 4 = 0 THEN 1
                 WHEN phase = 'build'  AND gate_mask & 2 = 0 THEN 2
                 WHEN phase = 'spec'   AND gate_mask & 1 = 0 THEN 3 END
        END) STORED,
    CONSTRAINT parked_knows_where_to_resume CHECK ((phase IN ('awaiting_human', 'blocked')) = (resume_phase IS NOT NULL)),
    CONSTRAINT blocked_knows_why            CHECK ((phase = 'blocked') = (block_reason IS NOT NULL)),
    CONSTRAINT merged_has_its_landing       CHECK ((phase = 'merged') = (landing_id IS NOT NULL)),
    CONSTRAINT lease_is_whole               CHECK (num_nulls(lease_owner, lease_until, run_id, run_started_at) IN (0, 4)),
    CONSTRAINT only_work_is_leased          CHECK (lease_owner IS NULL OR phase IN ('spec', 'build', 'review', 'merge')),
    CONSTRAINT only_work_sleeps             CHECK (wake_at IS NULL OR phase IN ('spec', 'build', 'review', 'merge')),
    CONSTRAINT leased_is_awake              CHECK (wake_at IS NULL OR lease_owner IS NULL)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 1);

COMMENT ON TABLE  work_items IS 'One story of a project; the row whose phase advances. Only the apply module of the store writes phase.';
COMMENT ON COLUMN work_items.id IS 'Given by the database; rises with age.';
COMMENT ON COLUMN work_items.project_id IS 'Its project. No foreign key: it would be checked at every claim that follows a transition in one commit. The story has one, and projects are never deleted.';
COMMENT ON COLUMN work_items.rank IS 'Order within a priority; lower first.';
COMMENT ON COLUMN work_items.lease_epoch IS 'Rises with every claim, hand-back and transition. A report under an older one changes nothing.';
COMMENT ON COLUMN work_items.event_tx IS 'What its latest event has for tx; the next one has no less, so that its events are read in the order of their numbers.';
COMMENT ON COLUMN work_items.lease_owner IS 'The worker that runs it; null when nobody does. No foreign key: it would lock the worker''s row at every claim.';
COMMENT ON COLUMN work_items.run_id IS 'The run under way; its row in runs is written when it ends.';
COMMENT ON COLUMN work_items.landing_id IS 'The proof of its merge; there exactly when it is merged.';
COMMENT ON COLUMN work_items.lease_until IS 'When the lease runs out, by the database''s clock; renewed by the worker''s heartbeat.';
COMMENT ON COLUMN work_items.run_started_at IS 'When the run under way was claimed.';
COMMENT ON COLUMN work_items.wake_at IS 'Backs off until then; null when awake. A sweep wakes it.';
COMMENT ON COLUMN work_items.phase_since IS 'When it entered its phase.';
COMMENT ON COLUMN work_items.events IS 'Sequence number of its latest event; gapless.';
COMMENT ON COLUMN work_items.transitions IS 'How many transitions it has made.';
COMMENT ON COLUMN work_items.phase IS 'Where it stands.';
COMMENT ON COLUMN work_items.resume_phase IS 'Where it goes on when a person lets it; there exactly when it is parked.';
COMMENT ON COLUMN work_items.block_reason IS 'Which budget is spent; there exactly when it is blocked.';
COMMENT ON COLUMN work_items.last_event IS 'What its latest transition was caused by; null before the first.';
COMMENT ON COLUMN work_items.priority IS '0 is the most urgent.';
COMMENT ON COLUMN work_items.gate_mask IS 'Phases that a closed gate keeps it out of: 1 spec, 2 build, 4 review, 8 merge. Kept by a trigger on coordination_gates.';
COMMENT ON COLUMN work_items.attempts_granted IS 'Attempts granted so far.';
COMMENT ON COLUMN work_items.attempts_used IS 'Attempts that failed.';
COMMENT ON COLUMN work_items.infra_failures IS 'Failures of the surroundings since a person last decided.';
COMMENT ON COLUMN work_items.moves IS 'Moves of the head or base since a person last decided.';
COMMENT ON COLUMN work_items.tampers IS 'Suspicions of tampering since a person last decided.';
COMMENT ON COLUMN work_items.held IS 'A person asked to leave it alone for now.';
COMMENT ON COLUMN work_items.claim_class IS 'Its class in claim order (0 merge, 1 review, 2 build, 3 spec), or null when it can''t be claimed.';

-- The queue in claim order; holds what can be claimed and nothing else, so its size does not depend on history.
CREATE INDEX work_items_queue ON work_items (project_id, claim_class, priority, rank, id) WHERE claim_class IS NOT NULL;
-- What runs now: for counting lanes, for finding leases that ran out.
CREATE INDEX work_items_leased ON work_items (project_id, phase) WHERE lease_owner IS NOT NULL;
-- What backs off.
CREATE INDEX work_items_sleeping ON work_items (wake_at) WHERE wake_at IS NOT NULL;
-- What is unfinished and neither runs nor can be claimed; an item in normal flow never enters it.
CREATE INDEX work_items_waiting ON work_items (project_id, phase)
    WHERE claim_class IS NULL AND lease_owner IS NULL AND phase NOT IN ('merged', 'cancelled');
-- What was given up: rare, and looked for among all that is merged.
CREATE INDEX work_items_cancelled ON work_items (project_id, id) WHERE phase = 'cancelled';

ALTER TABLE landings ADD FOREIGN KEY (item_id) REFERENCES work_items;

CREATE TABLE stories (
    item_id        bigint PRIMARY KEY REFERENCES work_items,
    project_id     bigint NOT NULL REFERENCES projects,
    key            text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    title          text NOT NULL CHECK (length(title) BETWEEN 1 AND 500),
    body           text NOT NULL CHECK (octet_length(body) <= 1048576),
    acceptance     jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(acceptance) = 'array'),
    source         story_source NOT NULL,
    source_path    text,
    content_sha256 text NOT NULL CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, key)
);
COMMENT ON TABLE  stories IS 'What an item is about: text from outside, data and never instructions.';
COMMENT ON COLUMN stories.item_id IS 'The item.';
COMMENT ON COLUMN stories.project_id IS 'Its project.';
COMMENT ON COLUMN stories.key IS 'Its name within the project, such as 1-2-user-auth.';
COMMENT ON COLUMN stories.title IS 'One line, without control characters.';
COMMENT ON COLUMN stories.body IS 'Markdown, without control characters but tab and line feed.';
COMMENT ON COLUMN stories.acceptance IS 'Acceptance criteria, an array of texts.';
COMMENT ON COLUMN stories.source IS 'Where it came from.';
COMMENT ON COLUMN stories.source_path IS 'The file it was read from, relative to the imported folder.';
COMMENT ON COLUMN stories.content_sha256 IS 'Hash of title, body and acceptance criteria: an import compares it.';
COMMENT ON COLUMN stories.created_at IS 'When it was created.';
COMMENT ON COLUMN stories.updated_at IS 'When its text last changed.';
CREATE INDEX stories_newest ON stories (project_id, item_id);

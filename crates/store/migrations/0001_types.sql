-- The closed sets of the domain. A test proves that each agrees with the enum of the same name in the domain crate.

CREATE TYPE phase AS ENUM
    ('spec', 'build', 'review', 'merge', 'awaiting_human', 'blocked', 'merged', 'cancelled');

CREATE TYPE verdict AS ENUM
    ('pass', 'spec_invalid', 'spec_ambiguous', 'no_change', 'build_failed', 'policy_violation', 'spec_wrong',
     'contract_changed', 'tests_failed', 'review_rejected', 'rebase_conflict', 'tamper_suspected', 'head_moved',
     'base_moved', 'infra_error', 'timeout', 'rate_limited');

-- Every verdict, and what else can move an item.
CREATE TYPE transition_event AS ENUM
    ('pass', 'spec_invalid', 'spec_ambiguous', 'no_change', 'build_failed', 'policy_violation', 'spec_wrong',
     'contract_changed', 'tests_failed', 'review_rejected', 'rebase_conflict', 'tamper_suspected', 'head_moved',
     'base_moved', 'infra_error', 'timeout', 'rate_limited', 'money_spent', 'answered', 'retried', 'cancelled');

CREATE TYPE block_reason AS ENUM ('attempts_spent', 'infra_failures', 'moves', 'tampering', 'money_spent');
CREATE TYPE charge AS ENUM ('free', 'attempt', 'infra_failure', 'move');

-- How a run ended: it reported; its lease ran out; a worker that shut down handed it back; a person's decision overtook it.
CREATE TYPE run_end AS ENUM ('reported', 'lost', 'handed_back', 'superseded');

CREATE TYPE forge_kind AS ENUM ('local', 'gitea', 'forgejo', 'github');
CREATE TYPE lane_kind AS ENUM ('global', 'project', 'agent', 'provider', 'landing');
CREATE TYPE gate_kind AS ENUM ('item_merged', 'contract_published', 'pr_merged', 'ref_contains', 'timer', 'human');
CREATE TYPE gate_state AS ENUM ('open', 'satisfied', 'waived', 'expired');
CREATE TYPE issue_kind AS ENUM ('question', 'blocked', 'gate');
CREATE TYPE issue_state AS ENUM ('open', 'answered', 'closed');
CREATE TYPE ledger_entry AS ENUM ('reserve', 'release', 'spend');
CREATE TYPE story_source AS ENUM ('bmad', 'manual');

//! Every key of the configuration: its name, variable, flag, default, kind and meaning.
//!
//! Invariant: this table is the only list. What is read, what `damascus init` writes and what `docs/configuration.md` says come from it or
//! are compared with it.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// A whole number within these bounds.
    Integer {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// What is expected, for a message.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its dotted name in `config.toml`.
    pub name: &'static str,
    /// The environment variable that overrides the file.
    pub variable: &'static str,
    /// The flag that overrides both, where there is one.
    pub flag: Option<&'static str>,
    /// What holds when nobody says otherwise, as it would stand in the file; empty for nothing.
    pub default: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is for, in one sentence.
    pub meaning: &'static str,
}

/// The variable that names the home folder. It is no key: the file lies in that folder.
pub const HOME_VARIABLE: &str = "DAMASCUS_HOME";

/// `database.url`.
pub const DATABASE_URL: Key = Key {
    name: "database.url",
    variable: "DATABASE_URL",
    flag: Some("--database-url"),
    default: "",
    kind: Kind::Text,
    meaning: "The database to use; without it Damascus runs a Postgres of its own under its home folder",
};
/// `postgres.bin`.
pub const POSTGRES_BIN: Key = Key {
    name: "postgres.bin",
    variable: "DAMASCUS_PG_BIN",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "The folder with `initdb` and `postgres`; without it the usual places are searched",
};
/// `postgres.user`.
pub const POSTGRES_USER: Key = Key {
    name: "postgres.user",
    variable: "DAMASCUS_PG_USER",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "The system user that runs Damascus' own Postgres when Damascus runs as root; else `postgres` or `nobody`",
};
/// `worker.concurrency`.
pub const WORKER_CONCURRENCY: Key = Key {
    name: "worker.concurrency",
    variable: "DAMASCUS_WORKER_CONCURRENCY",
    flag: Some("--concurrency"),
    default: "2",
    kind: Kind::Integer { min: 1, max: 512 },
    meaning: "How many runs a worker takes at once",
};
/// `worker.lease_seconds`.
pub const WORKER_LEASE_SECONDS: Key = Key {
    name: "worker.lease_seconds",
    variable: "DAMASCUS_WORKER_LEASE_SECONDS",
    flag: None,
    default: "60",
    kind: Kind::Integer { min: 3, max: 3600 },
    meaning: "How long a run's lease holds without a heartbeat; a worker that died is noticed after this",
};
/// `worker.grace_seconds`.
pub const WORKER_GRACE_SECONDS: Key = Key {
    name: "worker.grace_seconds",
    variable: "DAMASCUS_WORKER_GRACE_SECONDS",
    flag: None,
    default: "30",
    kind: Kind::Integer { min: 0, max: 3600 },
    meaning: "How long runs under way may go on when a worker is asked to stop; then their leases are handed back",
};
/// `events.retention_days`.
pub const EVENTS_RETENTION_DAYS: Key = Key {
    name: "events.retention_days",
    variable: "DAMASCUS_EVENTS_RETENTION_DAYS",
    flag: None,
    default: "30",
    kind: Kind::Integer { min: 1, max: 3650 },
    meaning: "For how many days events are kept",
};
/// `limits.global_concurrency`.
pub const LIMITS_GLOBAL_CONCURRENCY: Key = Key {
    name: "limits.global_concurrency",
    variable: "DAMASCUS_LIMITS_GLOBAL_CONCURRENCY",
    flag: None,
    default: "",
    kind: Kind::Integer { min: 1, max: 100_000 },
    meaning: "How many runs may be under way at once over all workers; without it only lanes and workers limit them",
};
/// `gateway.url`.
pub const GATEWAY_URL: Key = Key {
    name: "gateway.url",
    variable: "DAMASCUS_GATEWAY_URL",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "An OpenAI-compatible gateway for the model that writes specs: LiteLLM, Ollama or another, such as http://127.0.0.1:4000/v1",
};
/// `gateway.key`.
pub const GATEWAY_KEY: Key = Key {
    name: "gateway.key",
    variable: "DAMASCUS_GATEWAY_KEY",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "The gateway's key; a secret, so the variable is the better place",
};
/// `gateway.model`.
pub const GATEWAY_MODEL: Key = Key {
    name: "gateway.model",
    variable: "DAMASCUS_GATEWAY_MODEL",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "The model that writes specs, as the gateway names it; a project may name another in `.damascus.toml`",
};
/// `agent.name`.
pub const AGENT_NAME: Key = Key {
    name: "agent.name",
    variable: "DAMASCUS_AGENT",
    flag: None,
    default: "claude-code",
    kind: Kind::Choice(&["claude-code", "command", "replay"]),
    meaning: "The coding agent of projects that name none in `.damascus.toml`",
};
/// `agent.command`.
pub const AGENT_COMMAND: Key = Key {
    name: "agent.command",
    variable: "DAMASCUS_AGENT_COMMAND",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "What the agent `command` runs: a program and its arguments, in quotes where needed; {prompt_file} and {model} are filled in",
};
/// `agent.recordings`.
pub const AGENT_RECORDINGS: Key = Key {
    name: "agent.recordings",
    variable: "DAMASCUS_AGENT_RECORDINGS",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "A folder of recorded answers for the agent `replay`; without a gateway, specs are recorded ones too",
};
/// `agent.model`.
pub const AGENT_MODEL: Key = Key {
    name: "agent.model",
    variable: "DAMASCUS_AGENT_MODEL",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "The model of the coding agent; a project may name another in `.damascus.toml`",
};
/// `agent.claude_program`.
pub const AGENT_CLAUDE_PROGRAM: Key = Key {
    name: "agent.claude_program",
    variable: "DAMASCUS_CLAUDE_PROGRAM",
    flag: None,
    default: "claude",
    kind: Kind::Text,
    meaning: "Where the program of Claude Code is, or what it is called in PATH",
};
/// `agent.network`.
pub const AGENT_NETWORK: Key = Key {
    name: "agent.network",
    variable: "DAMASCUS_AGENT_NETWORK",
    flag: None,
    default: "none",
    kind: Kind::Choice(&["none", "host"]),
    meaning: "Whether the agent `command` has a network: `host` lets it reach whatever this machine reaches, which an agent with a model needs",
};
/// `agent.environment`.
pub const AGENT_ENVIRONMENT: Key = Key {
    name: "agent.environment",
    variable: "DAMASCUS_AGENT_ENVIRONMENT",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "Names of variables that the agent `command` is given, separated by commas, such as the key of its provider",
};
/// `sandbox.isolation`.
pub const SANDBOX_ISOLATION: Key = Key {
    name: "sandbox.isolation",
    variable: "DAMASCUS_SANDBOX",
    flag: None,
    default: "bubblewrap",
    kind: Kind::Choice(&["bubblewrap", "none"]),
    meaning: "How agents and tests are kept apart from this machine; `none` runs untrusted code without protection: only in a machine made for it",
};
/// `sandbox.toolchains`.
pub const SANDBOX_TOOLCHAINS: Key = Key {
    name: "sandbox.toolchains",
    variable: "DAMASCUS_TOOLCHAINS",
    flag: None,
    default: "",
    kind: Kind::Text,
    meaning: "More folders that programs in the sandbox can read, separated by colons, such as toolchains in unusual places",
};
/// `log.format`.
pub const LOG_FORMAT: Key = Key {
    name: "log.format",
    variable: "DAMASCUS_LOG_FORMAT",
    flag: None,
    default: "text",
    kind: Kind::Choice(&["text", "json"]),
    meaning: "How log lines on standard error look",
};
/// `log.level`.
pub const LOG_LEVEL: Key = Key {
    name: "log.level",
    variable: "DAMASCUS_LOG_LEVEL",
    flag: None,
    default: "info",
    kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
    meaning: "How much is logged; commands that are not services log warnings only, unless this is set",
};

/// All keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    DATABASE_URL,
    POSTGRES_BIN,
    POSTGRES_USER,
    WORKER_CONCURRENCY,
    WORKER_LEASE_SECONDS,
    WORKER_GRACE_SECONDS,
    EVENTS_RETENTION_DAYS,
    LIMITS_GLOBAL_CONCURRENCY,
    GATEWAY_URL,
    GATEWAY_KEY,
    GATEWAY_MODEL,
    AGENT_NAME,
    AGENT_COMMAND,
    AGENT_RECORDINGS,
    AGENT_MODEL,
    AGENT_CLAUDE_PROGRAM,
    AGENT_NETWORK,
    AGENT_ENVIRONMENT,
    SANDBOX_ISOLATION,
    SANDBOX_TOOLCHAINS,
    LOG_FORMAT,
    LOG_LEVEL,
];

/// The first configuration file: every key with its meaning, all commented out.
#[must_use]
pub fn commented_defaults() -> String {
    let mut text = String::from(
        "# The configuration of Damascus. A flag beats an environment variable, which beats this file, which beats the default.\n\
         # Every key is listed with its default; remove the # to change one.\n",
    );
    let mut table = "";
    for key in KEYS {
        let (head, leaf) = key.name.split_once('.').unwrap_or(("", key.name));
        if head != table {
            table = head;
            text.push_str(&format!("\n[{head}]\n"));
        }
        let example = match (key.kind, key.default) {
            (Kind::Integer { max, .. }, "") => max.min(8).to_string(),
            (Kind::Integer { .. }, default) => default.to_owned(),
            (Kind::Text | Kind::Choice(_), "") => "\"\"".to_owned(),
            (Kind::Text | Kind::Choice(_), default) => format!("\"{default}\""),
        };
        let unset = if key.default.is_empty() { " Not set by default." } else { "" };
        text.push_str(&format!("# {}.{unset} ({})\n# {leaf} = {example}\n", key.meaning, key.variable));
    }
    text
}

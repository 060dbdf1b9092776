//! The configuration: flags before environment before file before default.
//!
//! Invariants: it is read once, at the start; a wrong value stops the program with its place and the way out; the database's address is
//! never printed or logged.

pub mod keys;
mod layers;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use secret::Secret;

use keys::HOME_VARIABLE;
use layers::Layers;

/// The home folder of a system-wide Damascus, which root runs.
const SYSTEM_HOME: &str = "/var/lib/damascus";
/// The configuration's name in the home folder.
const FILE_NAME: &str = "config.toml";

/// Something in the configuration that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// Where it stands: a file with line and column, a variable, or a flag.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub next: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Whether somebody asked for that level.
    pub level_is_set: bool,
}

/// How a worker behaves.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// How many runs it takes at once.
    pub concurrency: u32,
    /// How long a lease holds without a heartbeat.
    pub lease: Duration,
    /// How long runs may go on after a request to stop.
    pub grace: Duration,
}

/// The gateway to models.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Its address.
    pub url: Option<String>,
    /// Its key.
    pub key: Option<Secret>,
    /// The model that writes specs.
    pub model: Option<String>,
}

/// The coding agents.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// The agent of projects that name none.
    pub name: String,
    /// What the agent `command` runs.
    pub command: Option<Vec<String>>,
    /// Recorded answers for the agent `replay`.
    pub recordings: Option<PathBuf>,
    /// The agent's model.
    pub model: Option<String>,
    /// Whether the agent `command` has the machine's network.
    pub network: bool,
    /// Variables that the agent `command` is given, by name; those that are not set are left out.
    pub environment: BTreeMap<String, Secret>,
    /// The program of Claude Code.
    pub claude_program: String,
}

/// How untrusted programs are kept apart.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Whether they are; false only where the operator said so.
    pub isolated: bool,
    /// More folders that they can read.
    pub toolchains: Vec<PathBuf>,
}

/// All that can be configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// The home folder, absolute.
    pub home: PathBuf,
    /// Whether the home folder holds a configuration file.
    pub has_file: bool,
    /// The database to use; nothing for the managed one.
    pub database_url: Option<Secret>,
    /// Where the programs of Postgres are.
    pub postgres_bin: Option<PathBuf>,
    /// Who runs Postgres when Damascus runs as root.
    pub postgres_user: Option<String>,
    /// How a worker behaves.
    pub worker: WorkerConfig,
    /// For how many days events are kept.
    pub events_retention_days: u32,
    /// How many runs may be under way at once, over all workers.
    pub global_concurrency: Option<u32>,
    /// The gateway to models.
    pub gateway: GatewayConfig,
    /// The coding agents.
    pub agent: AgentConfig,
    /// How untrusted programs are kept apart.
    pub sandbox: SandboxConfig,
    /// What is logged.
    pub log: LogConfig,
}

impl Config {
    /// Reads the configuration. `home` and `flags` (by the key's name) are what the command line says; `variable` looks up the environment.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that can't be used.
    pub fn load(
        home: Option<&Path>,
        flags: &BTreeMap<&'static str, String>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let home = home_folder(home, &variable)?;
        let mut layers = Layers::default();
        layers.add_flags(flags);
        layers.add_environment(&variable)?;
        let has_file = layers.add_file(&file_in(&home))?;
        let seconds =
            |key| -> Result<Duration, ConfigError> { Ok(Duration::from_secs(layers.number(key)?.unwrap_or(0).into())) };
        Ok(Self {
            home,
            has_file,
            database_url: layers.text(&keys::DATABASE_URL)?.map(Secret::new),
            postgres_bin: layers.path(&keys::POSTGRES_BIN)?,
            postgres_user: layers.text(&keys::POSTGRES_USER)?,
            worker: WorkerConfig {
                concurrency: layers.number(&keys::WORKER_CONCURRENCY)?.unwrap_or(1),
                lease: seconds(&keys::WORKER_LEASE_SECONDS)?,
                grace: seconds(&keys::WORKER_GRACE_SECONDS)?,
            },
            events_retention_days: layers.number(&keys::EVENTS_RETENTION_DAYS)?.unwrap_or(1),
            global_concurrency: layers.number(&keys::LIMITS_GLOBAL_CONCURRENCY)?,
            gateway: GatewayConfig {
                url: layers.text(&keys::GATEWAY_URL)?,
                key: layers.text(&keys::GATEWAY_KEY)?.map(Secret::new),
                model: layers.text(&keys::GATEWAY_MODEL)?,
            },
            agent: AgentConfig {
                name: layers.text(&keys::AGENT_NAME)?.unwrap_or_default(),
                command: agent_command(&layers)?,
                model: layers.text(&keys::AGENT_MODEL)?,
                recordings: layers.path(&keys::AGENT_RECORDINGS)?,
                network: layers.text(&keys::AGENT_NETWORK)?.as_deref() == Some("host"),
                environment: agent_environment(&layers, &variable)?,
                claude_program: layers.text(&keys::AGENT_CLAUDE_PROGRAM)?.unwrap_or_default(),
            },
            sandbox: SandboxConfig {
                isolated: layers.text(&keys::SANDBOX_ISOLATION)?.as_deref() != Some("none"),
                toolchains: layers
                    .text(&keys::SANDBOX_TOOLCHAINS)?
                    .map(|text| std::env::split_paths(&text).filter(|path| path.is_absolute()).collect())
                    .unwrap_or_default(),
            },
            log: LogConfig {
                format: if layers.text(&keys::LOG_FORMAT)?.as_deref() == Some("json") {
                    LogFormat::Json
                } else {
                    LogFormat::Text
                },
                level: layers.text(&keys::LOG_LEVEL)?.unwrap_or_default(),
                level_is_set: layers.get(&keys::LOG_LEVEL).is_some(),
            },
        })
    }

    /// The configuration file, whether it is there or not.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        file_in(&self.home)
    }
}

/// The variables that the agent `command` is given.
fn agent_environment(
    layers: &Layers,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let names = layers.text(&keys::AGENT_ENVIRONMENT)?.unwrap_or_default();
    let mut given = BTreeMap::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name.contains('=') || name.starts_with("DAMASCUS_") {
            return Err(ConfigError {
                place: keys::AGENT_ENVIRONMENT.name.to_owned(),
                problem: "holds what is no name of a variable of yours".to_owned(),
                next: "list names only, separated by commas; variables of Damascus itself are not given to agents"
                    .to_owned(),
            });
        }
        if let Some(value) = variable(name).and_then(|value| value.into_string().ok()) {
            given.insert(name.to_owned(), Secret::new(value));
        }
    }
    Ok(given)
}

/// A command line in one text, split as a shell would, without expanding anything.
fn agent_command(layers: &Layers) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(text) = layers.text(&keys::AGENT_COMMAND)? else { return Ok(None) };
    match shlex::split(&text).filter(|words| !words.is_empty()) {
        Some(words) => Ok(Some(words)),
        None => Err(ConfigError {
            place: keys::AGENT_COMMAND.name.to_owned(),
            problem: "can't be split into a program and its arguments: a quote is not closed".to_owned(),
            next: "write it as in a shell, such as: my-agent --model {model} \"two words\"".to_owned(),
        }),
    }
}

/// The configuration file of a home folder.
#[must_use]
pub fn file_in(home: &Path) -> PathBuf {
    home.join(FILE_NAME)
}

/// The home folder: flag, variable, then `/var/lib/damascus` for root and the user's data folder for others.
///
/// # Errors
/// [`ConfigError`] when none can be told, or the path can't be made absolute.
pub fn home_folder(flag: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, ConfigError> {
    let var = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let chosen = match (flag, var(HOME_VARIABLE)) {
        (Some(flag), _) => flag.to_path_buf(),
        (None, Some(home)) => home,
        (None, None) if rustix::process::geteuid().is_root() => PathBuf::from(SYSTEM_HOME),
        (None, None) => match (var("XDG_DATA_HOME").filter(|path| path.is_absolute()), var("HOME")) {
            (Some(data), _) => data.join("damascus"),
            (None, Some(home)) => home.join(".local/share/damascus"),
            (None, None) => {
                return Err(ConfigError {
                    place: HOME_VARIABLE.to_owned(),
                    problem: "is not set, and neither is HOME, so there is no home folder".to_owned(),
                    next: format!("set {HOME_VARIABLE} or pass --home"),
                });
            }
        },
    };
    std::path::absolute(&chosen).map_err(|error| ConfigError {
        place: HOME_VARIABLE.to_owned(),
        problem: format!("can't be made absolute: {error}"),
        next: format!("set {HOME_VARIABLE} to an absolute path"),
    })
}

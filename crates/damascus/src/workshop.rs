//! What the phases of this installation work with, from its configuration.
//!
//! Invariant: untrusted code runs in a sandbox that was tried, or where the operator said in so many words that it need not; there is no third
//! way.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use damascus_adapters::agent::{
    ClaudeCode, ClaudeCodeSettings, CommandAgent, Credential, Recordings, ReplayAgent, ReplayModel,
};
use damascus_adapters::clock::SystemClock;
use damascus_adapters::forge::local::LocalForge;
use damascus_adapters::gateway::{GatewaySettings, OpenAiGateway, Prices};
use damascus_engine::phases::{Workshop, WorkshopParts};
use damascus_engine::ports::Unheard;
use damascus_engine::ports::agent::Agent;
use damascus_engine::ports::forge::Forge;
use damascus_engine::ports::model::{Model, ModelAnswer, ModelError, ModelRequest};
use damascus_git::Git;
use damascus_sandbox::{Options, Sandbox};
use damascus_store::Store;
use damascus_store::project::ForgeKind;

use crate::config::{Config, Secret};
use crate::failure::Problem;

/// Opens the workshop of this configuration.
///
/// # Errors
/// What is missing for the work, with the way to it.
pub async fn open(config: &Config, store: &Store) -> Result<Arc<Workshop>> {
    let sandbox = sandbox(config).await?;
    let recordings = recordings(config)?;
    let agents = agents(config, &sandbox, recordings.as_ref());
    let model = model(config, recordings.as_ref())?;
    open_with(config, store, sandbox, agents, model).await
}

/// Opens a workshop with given agents and model.
///
/// # Errors
/// As [`open`].
pub async fn open_with(
    config: &Config,
    store: &Store,
    sandbox: Sandbox,
    agents: BTreeMap<String, Arc<dyn Agent>>,
    model: Arc<dyn Model>,
) -> Result<Arc<Workshop>> {
    let git = git().await?;
    let local: Arc<dyn Forge> = Arc::new(LocalForge::new(store.clone(), git.clone(), config.home.join("repos")));
    let parts = WorkshopParts {
        store: store.clone(),
        git,
        sandbox,
        forges: HashMap::from([(ForgeKind::Local, local)]),
        agents,
        default_agent: config.agent.name.clone(),
        model,
        clock: Arc::new(SystemClock),
        effects: Arc::new(Unheard),
        home: config.home.clone(),
    };
    Workshop::open(parts).map_err(|error| {
        Problem::failed(
            "home_unusable",
            format!("the folders for repositories and work under {} can't be made: {error}", config.home.display()),
            "make the home folder writable for this user, or name another one with --home",
        )
        .into()
    })
}

/// The git program.
///
/// # Errors
/// When there is none, or it is too old.
pub async fn git() -> Result<Git> {
    Git::find().await.map_err(|error| {
        Problem::failed(
            "no_git",
            error.to_string(),
            "install git 2.38 or newer (Debian, Ubuntu: `apt-get install git`)",
        )
        .into()
    })
}

/// Where untrusted programs run.
///
/// # Errors
/// Why they can't be kept apart here; nothing runs then.
pub async fn sandbox(config: &Config) -> Result<Sandbox> {
    let options = sandbox_options(config);
    if !config.sandbox.isolated {
        tracing::warn!("DAMASCUS_SANDBOX=none: agents and tests run without protection of this machine");
        return Ok(Sandbox::none(&options));
    }
    Sandbox::detect(&options).await.map_err(|missing| {
        Problem::failed(
            "no_sandbox",
            format!("untrusted code can't be kept apart on this machine, so nothing is run: {}", missing.reason),
            format!(
                "{}. In a machine made for nothing else, DAMASCUS_SANDBOX=none runs it without protection",
                missing.fix
            ),
        )
        .into()
    })
}

/// What the sandbox shows and hides.
#[must_use]
pub fn sandbox_options(config: &Config) -> Options {
    Options {
        toolchains: config.sandbox.toolchains.clone(),
        scratch: config.home.join("scratch"),
        hidden: vec![config.home.clone()],
    }
}

/// The recorded answers, where a folder of them is configured.
///
/// # Errors
/// When they can't be read.
pub fn recordings(config: &Config) -> Result<Option<Arc<Recordings>>> {
    let Some(folder) = &config.agent.recordings else { return Ok(None) };
    let recordings = Recordings::from_folder(folder).map_err(|error| {
        Problem::failed(
            "no_recordings",
            format!("the recordings in {} can't be used: {error}", folder.display()),
            "correct DAMASCUS_AGENT_RECORDINGS, or unset it",
        )
    })?;
    Ok(Some(Arc::new(recordings)))
}

/// The agents of this configuration, by name.
pub fn agents(
    config: &Config,
    sandbox: &Sandbox,
    recordings: Option<&Arc<Recordings>>,
) -> BTreeMap<String, Arc<dyn Agent>> {
    let mut agents: Vec<Arc<dyn Agent>> = vec![Arc::new(claude_code(config, sandbox))];
    if let Some(command) = &config.agent.command {
        let environment = config.agent.environment.iter().map(|(name, value)| (name.clone(), secret(value))).collect();
        let agent = CommandAgent::new(sandbox.clone(), command.clone())
            .with_environment(environment)
            .with_model(config.agent.model.clone())
            .with_network(config.agent.network);
        agents.push(Arc::new(agent));
    }
    if let Some(recordings) = recordings {
        agents.push(Arc::new(ReplayAgent::new(Arc::clone(recordings))));
    }
    agents.into_iter().map(|agent| (agent.name().to_owned(), agent)).collect()
}

/// Claude Code, through the gateway.
#[must_use]
pub fn claude_code(config: &Config, sandbox: &Sandbox) -> ClaudeCode {
    let settings = ClaudeCodeSettings {
        program: in_path(&config.agent.claude_program),
        url: config.gateway.url.clone().unwrap_or_else(|| ANTHROPIC.to_owned()),
        credential: config.gateway.key.as_ref().map(|key| Credential::Bearer(secret(key))),
        model: config.agent.model.clone(),
        prices: Prices::default(),
        retries: CLAUDE_RETRIES,
    };
    ClaudeCode::new(sandbox.clone(), settings)
}

/// How often Claude Code tries a call again before it gives up; its own default is ten, over a minute.
const CLAUDE_RETRIES: u32 = 2;
/// Where Claude Code asks when there is no gateway.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// A program by its path, or by its name in PATH; a name that is nowhere stays as it is, and using it says so.
fn in_path(program: &str) -> PathBuf {
    if program.contains('/') {
        return PathBuf::from(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(program))
}

/// The gateway, where one is configured.
///
/// # Errors
/// When its address, key or model can't be used.
pub fn gateway(config: &Config) -> Result<Option<OpenAiGateway>> {
    let gateway = &config.gateway;
    let Some(url) = &gateway.url else { return Ok(None) };
    let model = gateway.model.clone().unwrap_or_default();
    let settings = GatewaySettings::new(url.clone(), gateway.key.as_ref().map(secret), model);
    let made = OpenAiGateway::new(settings).map_err(|error| {
        Problem::failed("gateway", error.to_string(), "docs/configuration.md lists the keys of the gateway")
    })?;
    Ok(Some(made))
}

/// The model that writes specs.
fn model(config: &Config, recordings: Option<&Arc<Recordings>>) -> Result<Arc<dyn Model>> {
    match (gateway(config)?, recordings) {
        (Some(gateway), _) => Ok(Arc::new(gateway)),
        (None, Some(recordings)) => Ok(Arc::new(ReplayModel::new(Arc::clone(recordings)))),
        (None, None) => Ok(Arc::new(NoGateway)),
    }
}

fn secret(secret: &Secret) -> secrecy::SecretString {
    secrecy::SecretString::from(secret.expose().to_owned())
}

/// Stands where no gateway is configured: everything but specs works.
#[derive(Debug)]
struct NoGateway;

#[async_trait]
impl Model for NoGateway {
    fn describe(&self) -> String {
        "no gateway".to_owned()
    }

    async fn ask(&self, _request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        Err(ModelError::NotConfigured)
    }
}

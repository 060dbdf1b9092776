//! Claude Code, run in the sandbox and spoken to by its stream of JSON lines.
//!
//! What the repository or the agent could use against us, and what is done about it: settings, hooks and variables of the tree are not read
//! (`--setting-sources ""`), nor its MCP servers (`--strict-mcp-config`); its configuration folder is part of the run's scratch space; its
//! environment is built from nothing. The prompt goes in by standard input: an argument may have 128 KiB at most, and other users of the
//! machine could read it.
//!
//! It reaches the gateway over the host's network, which the sandbox shares with it whatever the task says of the network; the task's word
//! decides whether it gets the tools that fetch from the web. A program that it starts can reach the network, and can read the gateway's
//! key in the agent's environment, as long as this is so: give it a key of its own with a budget. A relay by a Unix socket, with no network
//! and no key inside, is to take its place; `ANTHROPIC_UNIX_SOCKET` is there for it.
//!
//! Invariants: done is an exit code of 0 with a result line that tells of no error, nothing less; the key is in no transcript and no
//! message; what it cost is recorded however it ended, as an estimate.

mod invocation;
mod render;
mod stream;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use damascus_core::display::one_line;
use damascus_engine::ports::agent::{Agent, AgentEnd, AgentRun, AgentTask, Transcript};
use damascus_sandbox::{Capture, Exit, Job, Limits, Sandbox};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use self::stream::Follow;
use super::ground;
use super::lines::Lines;
use super::out;
use crate::gateway::{Prices, Scrub};

/// The agent's name, also in the ledger.
const NAME: &str = "claude-code";
/// A JSON line is read up to here, in bytes: one holds a whole file at times.
const JSON_LINE_MAX_BYTES: usize = 16 * 1024 * 1024;
/// A line of standard error is cut into pieces of so many bytes.
const ERROR_LINE_MAX_BYTES: usize = 16 * 1024;
/// How long `claude --version` may take; it is a large program, read from a cold disk at first.
const PROBE_WALL: Duration = Duration::from_secs(60);

/// How Claude Code is run.
#[derive(Debug, Clone)]
pub struct ClaudeCodeSettings {
    /// The native program, such as `/usr/local/bin/claude`; links are followed. All users must be able to run it.
    pub program: PathBuf,
    /// The gateway's address, or Anthropic's; a `/v1` at its end is left out, since the program adds it.
    pub url: String,
    /// Who asks.
    pub credential: Option<Credential>,
    /// The model when a task names none; none for the program's own choice.
    pub model: Option<String>,
    /// How often the program itself tries a call again; [`ClaudeCodeSettings::RETRIES`] is a good number.
    pub retries: u32,
    /// What tokens cost, for runs that were ended before the program said what it spent.
    pub prices: Prices,
}

impl ClaudeCodeSettings {
    /// Seconds of trying: the program's own default of ten takes more than a minute, and the engine tries again as well.
    pub const RETRIES: u32 = 3;
}

/// How Claude Code shows who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    /// As a bearer token, which gateways take.
    Bearer(SecretString),
    /// As Anthropic's `x-api-key`.
    ApiKey(SecretString),
}

impl Credential {
    const fn secret(&self) -> &SecretString {
        match self {
            Self::Bearer(secret) | Self::ApiKey(secret) => secret,
        }
    }
}

/// Claude Code as an agent.
#[derive(Debug, Clone)]
pub struct ClaudeCode {
    sandbox: Sandbox,
    settings: ClaudeCodeSettings,
    scrub: Scrub,
}

impl ClaudeCode {
    /// Claude Code in the sandbox; nothing is run yet.
    #[must_use]
    pub fn new(sandbox: Sandbox, settings: ClaudeCodeSettings) -> Self {
        let scrub = Scrub::new(settings.credential.as_ref().map(Credential::secret).cloned());
        Self { sandbox, settings, scrub }
    }

    /// The program's real path: npm and installers put links in its place.
    fn program(&self) -> Result<PathBuf, String> {
        let shown = |path: &Path| one_line(&path.to_string_lossy(), 200);
        let found = self.settings.program.canonicalize();
        found.map_err(|error| {
            format!(
                "Claude Code is not at {} ({error}); install it with `npm install --global @anthropic-ai/claude-code`, or name it in \
                 DAMASCUS_CLAUDE_PROGRAM",
                shown(&self.settings.program)
            )
        })
    }
}

#[async_trait]
impl Agent for ClaudeCode {
    fn name(&self) -> &str {
        NAME
    }

    async fn probe(&self) -> Result<String, String> {
        let program = self.program()?;
        let (argv0, mount) = invocation::program(&self.sandbox, &program);
        let mut job = Job::new([argv0.as_str(), "--version"]);
        job.directory = "/".into();
        job.environment = invocation::quiet(0);
        job.mounts = vec![mount];
        job.limits = Limits { wall: PROBE_WALL, ..Limits::default() };
        let mut said = Capture::new(4096);
        let ended = self.sandbox.run(&job, &mut said, &CancellationToken::new()).await;
        let said = one_line(said.text().trim(), 200);
        match ended.map_err(|error| ground::told(&error))?.exit {
            Exit::Code(0) => Ok(said),
            exit => Err(format!("`claude --version` ended with {} in the sandbox: {said}", exit.code())),
        }
    }

    async fn run(&self, task: &AgentTask, transcript: &mut dyn Transcript, cancelled: &CancellationToken) -> AgentRun {
        let nothing_ran = |end| AgentRun { end, costs: Vec::new(), summary: String::new() };
        let program = match self.program() {
            Ok(program) => invocation::invocation(&self.sandbox, &self.settings, &program, task),
            Err(problem) => return nothing_ran(AgentEnd::Infrastructure(problem)),
        };
        let follow = Follow::new(transcript, &self.scrub);
        let mut lines = Lines::whole(follow, JSON_LINE_MAX_BYTES, ERROR_LINE_MAX_BYTES);
        let ended = ground::run(&self.sandbox, task, program, &mut lines, cancelled).await;
        let heard = lines.finish().heard();
        let model = task.model.as_deref().or(self.settings.model.as_deref()).unwrap_or("default");
        let costs = heard.costs(model, &self.settings.prices);
        let summary = heard.summary(&self.scrub);
        let end = match ended {
            Err(end) => end,
            Ok(ended) => match ended.stopped {
                Some(stopped) => ground::stopped(stopped, &task.limits),
                None => match out::read_spec_wrong(task).await {
                    Some(reason) => AgentEnd::SpecWrong(self.scrub.many_lines(&reason, usize::MAX)),
                    None => verdict::judge(ended.exit, &heard, &self.scrub),
                },
            },
        };
        AgentRun { end, costs, summary }
    }
}

//! Any program as an agent, by a command line from the configuration.
//!
//! The program starts in the tree (`/work`), gets the prompt on standard input and as the file that `DAMASCUS_PROMPT_FILE` names, and may
//! write what is not part of the change into the folder that `DAMASCUS_OUT` names. It ends with 0 when it is done. When it leaves the file
//! `spec-wrong.md` with a text in the out folder, it says that the spec is wrong, whatever its exit code. Its variables: `DAMASCUS_STORY`,
//! `DAMASCUS_RUN`, `DAMASCUS_PROMPT_FILE`, `DAMASCUS_OUT`, `DAMASCUS_MODEL` where a model is named, and those that the operator gives it. In
//! its arguments `{prompt_file}` and `{model}` are replaced.
//!
//! Invariant: an exit code of 0 says that the agent is done, and no more.

use std::collections::BTreeMap;

use async_trait::async_trait;
use damascus_core::display::{many_lines, one_line};
use damascus_engine::ports::agent::{Agent, AgentEnd, AgentRun, AgentTask, Transcript};
use damascus_sandbox::{Capture, Ended, Exit, Job, Limits, Network, Sandbox, Stream};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;

use super::ground::{self, OUT, Program, prompt_path};
use super::lines::{Lines, Tail, TakesLines};
use super::out;
use crate::gateway::Scrub;

const PROMPT_PLACE: &str = "{prompt_file}";
const MODEL_PLACE: &str = "{model}";
/// A line of output is cut into pieces of so many bytes.
const LINE_MAX_BYTES: usize = 16 * 1024;
/// The end of the output in a message is cut here, in characters.
const TAIL_MAX_CHARS: usize = 2100;
/// How long looking for the program may take.
const PROBE_WALL: std::time::Duration = std::time::Duration::from_secs(20);

/// Runs a configured command line as an agent.
#[derive(Debug, Clone)]
pub struct CommandAgent {
    sandbox: Sandbox,
    argv: Vec<String>,
    environment: BTreeMap<String, SecretString>,
    model: Option<String>,
    network: bool,
    scrub: Scrub,
}

impl CommandAgent {
    /// An agent that runs `argv` in the sandbox.
    #[must_use]
    pub fn new(sandbox: Sandbox, argv: Vec<String>) -> Self {
        Self { sandbox, argv, environment: BTreeMap::new(), model: None, network: false, scrub: Scrub::default() }
    }

    /// With more variables, such as the key of its provider; their values are taken out of the transcript, as long as the program does not
    /// disguise them. The names that begin with `DAMASCUS_` stay ours.
    #[must_use]
    pub fn with_environment(mut self, environment: BTreeMap<String, SecretString>) -> Self {
        self.scrub = Scrub::new(environment.values().cloned());
        self.environment = environment;
        self
    }

    /// With a model for tasks that name none.
    #[must_use]
    pub fn with_model(mut self, model: Option<String>) -> Self {
        self.model = model;
        self
    }

    /// With the machine's network whatever a task says: the operator's choice, since everything that the machine reaches is then in reach of
    /// the program.
    #[must_use]
    pub const fn with_network(mut self, network: bool) -> Self {
        self.network = network;
        self
    }

    fn program(&self, task: &AgentTask) -> Result<Program, String> {
        let prompt_file = prompt_path(&self.sandbox, task);
        let model = task.model.as_ref().or(self.model.as_ref());
        if model.is_none() && self.argv.iter().any(|word| word.contains(MODEL_PLACE)) {
            return Err(
                "the agent's command names {model}, and no model is configured; set DAMASCUS_AGENT_MODEL".to_owned()
            );
        }
        let named = model.map(String::as_str).unwrap_or_default();
        let argv =
            self.argv.iter().map(|word| word.replace(PROMPT_PLACE, &prompt_file).replace(MODEL_PLACE, named)).collect();
        let mut environment: BTreeMap<String, String> =
            self.environment.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let ours = [
            ("DAMASCUS_STORY", task.story_key.clone()),
            ("DAMASCUS_RUN", task.run.to_string()),
            ("DAMASCUS_PROMPT_FILE", prompt_file),
            ("DAMASCUS_OUT", OUT.to_owned()),
        ];
        environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(model.cloned().map(|model| ("DAMASCUS_MODEL".to_owned(), model)));
        let network = if task.network || self.network { Network::Host } else { Network::None };
        Ok(Program { argv, environment, network, mounts: Vec::new() })
    }
}

#[async_trait]
impl Agent for CommandAgent {
    fn name(&self) -> &str {
        "command"
    }

    async fn probe(&self) -> Result<String, String> {
        let Some(program) = self.argv.first() else {
            return Err("the agent's command is empty; set DAMASCUS_AGENT_COMMAND".to_owned());
        };
        let mut job = Job::new(["sh", "-c", "command -v -- \"$1\"", "sh", program]);
        job.directory = "/".into();
        job.limits = Limits { wall: PROBE_WALL, ..Limits::default() };
        let mut found = Capture::new(4096);
        let ended = self.sandbox.run(&job, &mut found, &CancellationToken::new()).await;
        match ended.map_err(|error| ground::told(&error))?.exit {
            Exit::Code(0) => Ok(one_line(found.text().trim(), 200)),
            _ => Err(format!(
                "{} is not found in the sandbox; install it for all users, or name its folder in DAMASCUS_TOOLCHAINS",
                one_line(program, 100)
            )),
        }
    }

    async fn run(&self, task: &AgentTask, transcript: &mut dyn Transcript, cancelled: &CancellationToken) -> AgentRun {
        let program = match self.program(task) {
            Ok(program) => program,
            Err(problem) => {
                return AgentRun { end: AgentEnd::Infrastructure(problem), costs: Vec::new(), summary: String::new() };
            }
        };
        let mut lines =
            Lines::in_pieces(Follow { transcript, scrub: &self.scrub, tail: Tail::default() }, LINE_MAX_BYTES);
        let ended = ground::run(&self.sandbox, task, program, &mut lines, cancelled).await;
        let tail = many_lines(&lines.finish().tail.text(), TAIL_MAX_CHARS);
        let end = match ended {
            // Asked of the sandbox anew, not taken from how the program ended.
            Ok(Ended { exit: Exit::Code(126 | 127), stopped: None, .. }) if let Err(missing) = self.probe().await => {
                AgentEnd::Infrastructure(missing)
            }
            Ok(ended) => judge(ended, task, &tail, &self.scrub).await,
            Err(end) => end,
        };
        AgentRun { end, costs: Vec::new(), summary: tail }
    }
}

async fn judge(ended: Ended, task: &AgentTask, tail: &str, scrub: &Scrub) -> AgentEnd {
    if let Some(stopped) = ended.stopped {
        return ground::stopped(stopped, &task.limits);
    }
    if let Some(reason) = out::read_spec_wrong(task).await {
        return AgentEnd::SpecWrong(scrub.mask(reason));
    }
    match ended.exit {
        Exit::Code(0) => AgentEnd::Done,
        // Not called our surroundings' fault: a program can end so as often as it likes, and such an end would cost it no attempt.
        Exit::Code(code @ (126 | 127)) => AgentEnd::Failed(format!(
            "the agent's command, or a program that it needs, is not there or can't be run (exit code {code}); check \
             DAMASCUS_AGENT_COMMAND: {tail}"
        )),
        Exit::Code(code) => AgentEnd::Failed(format!("the agent ended with exit code {code}: {tail}")),
        Exit::Signal(signal) => AgentEnd::Failed(format!("the agent was ended by signal {signal}: {tail}")),
    }
}

struct Follow<'a> {
    transcript: &'a mut dyn Transcript,
    scrub: &'a Scrub,
    tail: Tail,
}

impl TakesLines for Follow<'_> {
    fn line(&mut self, _stream: Stream, line: &str) {
        let line = self.scrub.mask(line.to_owned());
        self.transcript.write(&line);
        self.tail.push(&line);
    }
}

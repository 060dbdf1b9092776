//! Coding agents: programs that change a tree of files as a prompt asks.
//!
//! Invariants: an agent gets files, a prompt and nothing else: no repository, no token of a forge, an environment built from nothing; what it
//! says of its work decides nothing, the resulting difference does. When `run` returns, or is dropped, nothing of it runs any more.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use damascus_core::{CostEntry, MicroUsd, RunId};
use tokio_util::sync::CancellationToken;

/// A piece of work for an agent.
#[derive(Debug, Clone)]
pub struct AgentTask {
    /// The run.
    pub run: RunId,
    /// The story's name within its project, such as `1-2-sign-in`.
    pub story_key: String,
    /// How often this story was built before; 0 at first. Counts every build that reported, whatever came of it.
    pub round: u32,
    /// The files to change, on this machine; the agent sees them at `/work`.
    pub tree: PathBuf,
    /// An empty folder beside the tree for what is not part of the change; the agent sees it at `/out`.
    pub out: PathBuf,
    /// What to do.
    pub prompt: String,
    /// The model to use; the agent's default when none is named.
    pub model: Option<String>,
    /// Programs that the project lets it run with the network; false keeps it off.
    pub network: bool,
    /// Its limits.
    pub limits: AgentLimits,
}

/// How far an agent may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentLimits {
    /// Wall-clock time.
    pub wall: Duration,
    /// Without any output for so long, it is taken for stuck.
    pub silence: Duration,
    /// Turns of its conversation.
    pub turns: u32,
    /// What one run may cost; none for no limit of its own.
    pub money: Option<MicroUsd>,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processes.
    pub processes: u32,
    /// Growth of the tree, in bytes.
    pub tree_bytes: u64,
}

/// The file in the out folder with which an agent says that the spec is wrong: its text is the reason.
pub const SPEC_WRONG_FILE: &str = "spec-wrong.md";
/// The file in the out folder that holds the prompt.
pub const PROMPT_FILE: &str = "prompt.md";

/// How an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEnd {
    /// It says that it is done. The difference tells whether that is so.
    Done,
    /// It says that the spec is wrong, and why; safe to show and bounded.
    SpecWrong(String),
    /// It ended without being done; why, safe to show and bounded.
    Failed(String),
    /// It went over a limit of ours: time, silence, turns, money, output, disk.
    OverLimit(String),
    /// Its provider's limit was hit.
    RateLimited {
        /// How long the provider says to wait, in milliseconds.
        reopen_after_ms: Option<u64>,
        /// What it said, safe to show.
        detail: String,
    },
    /// Its provider or its surroundings failed: not the story's fault.
    Infrastructure(String),
    /// It was told to stop.
    Cancelled,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRun {
    /// How it ended.
    pub end: AgentEnd,
    /// What it cost, however it ended.
    pub costs: Vec<CostEntry>,
    /// Its last words, safe to show and bounded; may be empty.
    pub summary: String,
}

/// Where a run's transcript goes while it grows. Never waits for long; what is too much is left out and counted.
pub trait Transcript: Send {
    /// One line or piece of the agent's output, as it came; made safe to show by the receiver.
    fn write(&mut self, text: &str);
}

/// A coding agent.
#[async_trait]
pub trait Agent: Send + Sync {
    /// Its name in configuration, lanes and the ledger, such as `claude-code`.
    fn name(&self) -> &str;

    /// Whether it can run here, and which version it is; an error names the next step.
    async fn probe(&self) -> Result<String, String>;

    /// Changes the tree.
    async fn run(&self, task: &AgentTask, transcript: &mut dyn Transcript, cancelled: &CancellationToken) -> AgentRun;
}

//! An agent that plays recordings.
//!
//! Invariant: it starts no program and asks no model.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use damascus_core::display::{many_lines, one_line};
use damascus_engine::ports::agent::{Agent, AgentEnd, AgentRun, AgentTask, Transcript};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::recordings::Build;
use super::{Cost, Recordings, tree};

/// A recorded text is cut here, in characters.
const TEXT_MAX_CHARS: usize = 4000;

/// Plays the recording of a story as if it were an agent.
#[derive(Debug, Clone)]
pub struct ReplayAgent {
    recordings: Arc<Recordings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Recorded {
    end: End,
    text: String,
    tokens_in: Option<u64>,
    tokens_out: Option<u64>,
    cost_microusd: Option<u64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    #[default]
    Done,
    SpecWrong,
    Failed,
}

impl ReplayAgent {
    /// An agent that plays these.
    #[must_use]
    pub const fn new(recordings: Arc<Recordings>) -> Self {
        Self { recordings }
    }
}

#[async_trait]
impl Agent for ReplayAgent {
    fn name(&self) -> &str {
        "replay"
    }

    async fn probe(&self) -> Result<String, String> {
        match self.recordings.len() {
            0 => Err("nothing is recorded; name a folder with recordings".to_owned()),
            stories => Ok(format!("recordings of {stories} stories")),
        }
    }

    async fn run(&self, task: &AgentTask, transcript: &mut dyn Transcript, cancelled: &CancellationToken) -> AgentRun {
        let failed =
            |problem: String| AgentRun { end: AgentEnd::Failed(problem), costs: Vec::new(), summary: String::new() };
        let Some((round, build)) = self.recordings.build(&task.story_key, task.round) else {
            return failed(self.recordings.nothing("a build", &task.story_key));
        };
        let name = one_line(&format!("{}/build-{round}", task.story_key), 200);
        transcript.write(&format!("This is a recording that is played, no agent at work: {name}"));
        let recorded: Recorded = match toml::from_str(&build.outcome) {
            Ok(recorded) => recorded,
            Err(error) => return failed(one_line(&format!("{name}/outcome.toml can't be read: {error}"), 500)),
        };
        let text = many_lines(recorded.text.trim(), TEXT_MAX_CHARS);
        if text.is_empty() && !matches!(recorded.end, End::Done) {
            return failed(format!("{name}/outcome.toml has no text; say why the recorded run ended so"));
        }
        for line in build.transcript.lines() {
            transcript.write(line);
        }
        let cost = recorded.tokens_in.or(recorded.tokens_out).or(recorded.cost_microusd).map(|_| Cost {
            tokens_in: recorded.tokens_in.unwrap_or_default(),
            tokens_out: recorded.tokens_out.unwrap_or_default(),
            microusd: recorded.cost_microusd.unwrap_or_default(),
        });
        let end = match play(task, build, cancelled).await {
            Err(end) => end,
            Ok(()) => match recorded.end {
                End::Done => AgentEnd::Done,
                End::SpecWrong => AgentEnd::SpecWrong(text),
                End::Failed => AgentEnd::Failed(text),
            },
        };
        let summary = many_lines(build.transcript.lines().next_back().unwrap_or_default(), TEXT_MAX_CHARS);
        AgentRun { end, costs: cost.map(Cost::entry).into_iter().collect(), summary }
    }
}

/// Changes the tree as recorded.
async fn play(task: &AgentTask, build: &Build, cancelled: &CancellationToken) -> Result<(), AgentEnd> {
    if cancelled.is_cancelled() {
        return Err(AgentEnd::Cancelled);
    }
    let (root, build, stop) = (task.tree.clone(), build.clone(), cancelled.clone());
    let work = move || -> Result<(), (PathBuf, Option<std::io::Error>)> {
        for (path, content) in &build.files {
            if stop.is_cancelled() {
                return Err((path.clone(), None));
            }
            tree::write(&root, path, content).map_err(|error| (path.clone(), Some(error)))?;
        }
        for path in &build.delete {
            tree::remove(&root, path).map_err(|error| (path.clone(), Some(error)))?;
        }
        Ok(())
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err((_, None))) => Err(AgentEnd::Cancelled),
        Ok(Err((path, Some(error)))) => {
            let problem = format!("the recording does not fit the tree: {}: {error}", path.display());
            Err(AgentEnd::Failed(one_line(&problem, 500)))
        }
        Err(_) => Err(AgentEnd::Infrastructure("playing the recording was interrupted".to_owned())),
    }
}

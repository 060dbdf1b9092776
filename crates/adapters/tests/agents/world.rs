//! A task in folders of its own, the real sandbox, and a transcript that can be waited for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use damascus_core::RunId;
use damascus_engine::ports::agent::{Agent, AgentLimits, AgentRun, AgentTask, Transcript};
use damascus_sandbox::{Options, Sandbox};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps what it gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    lines: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

impl Transcript for Kept {
    fn write(&mut self, text: &str) {
        self.lines.lock().expect("no panic").push(text.to_owned());
        self.more.notify_one();
    }
}

impl Kept {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits until a line holds this.
    pub(crate) async fn wait_for(&self, part: &str) {
        let seen = async {
            while !self.text().contains(part) {
                self.more.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("never said {part}: {}", self.text()));
    }
}

/// A task, with what it leaves behind.
pub(crate) struct Scene {
    pub(crate) task: AgentTask,
    pub(crate) transcript: Kept,
    pub(crate) cancelled: CancellationToken,
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("damascus-agent-").tempdir().expect("a temporary folder");
        let (tree, out) = (folder.path().join("tree"), folder.path().join("out"));
        for made in [&tree, &out] {
            std::fs::create_dir(made).expect("our own folder");
        }
        std::fs::write(tree.join("old.txt"), "old\n").expect("our own folder");
        let limits = AgentLimits {
            wall: PATIENCE,
            silence: PATIENCE,
            turns: 10,
            money: None,
            memory_bytes: 8 << 30,
            processes: 256,
            tree_bytes: 64 << 20,
        };
        let task = AgentTask {
            run: RunId(7),
            story_key: "1-1-first".to_owned(),
            round: 0,
            tree,
            out,
            prompt: "Please write new.txt.".to_owned(),
            model: None,
            network: false,
            limits,
        };
        Self { task, transcript: Kept::default(), cancelled: CancellationToken::new(), folder }
    }

    /// Runs the agent on the task; a hanging one fails the test.
    pub(crate) async fn run(&self, agent: &dyn Agent) -> AgentRun {
        let mut transcript = self.transcript.clone();
        let run = agent.run(&self.task, &mut transcript, &self.cancelled);
        tokio::time::timeout(PATIENCE + Duration::from_secs(30), run).await.expect("an end")
    }

    /// Runs the agent, and cancels it once its transcript holds this.
    pub(crate) async fn run_and_cancel_at(&self, agent: &dyn Agent, part: &str) -> AgentRun {
        let cancel = async {
            self.transcript.wait_for(part).await;
            self.cancelled.cancel();
        };
        tokio::join!(self.run(agent), cancel).0
    }

    /// A file of the tree; none where there is none.
    pub(crate) fn file(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.task.tree.join(path)).ok()
    }

    /// A folder beside tree and out, that nothing of the task mounts.
    pub(crate) fn beside(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// The real sandbox.
pub(crate) async fn sandbox() -> Sandbox {
    let options = Options { scratch: std::env::temp_dir().join("damascus-agent-tests"), ..Options::default() };
    Sandbox::detect(&options).await.unwrap_or_else(|missing| panic!("no sandbox: {missing}"))
}

/// Waits until no process of this machine has the word among its arguments.
pub(crate) async fn wait_until_gone(word: &str) {
    let until = Instant::now() + PATIENCE;
    while running(word) {
        assert!(Instant::now() < until, "a process with {word} is still there");
        tokio::task::yield_now().await;
    }
}

pub(crate) fn running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a list of processes");
    processes.flatten().any(|process| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
}

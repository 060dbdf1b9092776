//! Where an agent's program runs: its job for the sandbox, and what the sandbox's ends mean.
//!
//! Invariant: a program sees the tree at `/work`, the out folder at `/out`, its own program, and nothing else of the task.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use damascus_core::display::one_line;
use damascus_engine::ports::agent::{AgentEnd, AgentLimits, AgentTask, PROMPT_FILE};
use damascus_sandbox::{
    Access, Ended, Isolation, Job, Limits, Mount, Network, Sandbox, SandboxError, Sink, Stopped, WORK,
};
use tokio_util::sync::CancellationToken;

use super::out;

/// Where the program sees the out folder.
pub(crate) const OUT: &str = "/out";
/// Entries of a tree that are counted; a larger tree is refused.
const TREE_ENTRIES_MAX: usize = 2_000_000;
/// Bytes of a block in a file's metadata.
const BLOCK_BYTES: u64 = 512;
/// Output of one run, in bytes: many times what a person would read.
const OUTPUT_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// What the sandbox says about itself is cut here, in characters.
const PROBLEM_MAX_CHARS: usize = 500;

/// A program for one task.
pub(crate) struct Program {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) network: Network,
    /// Files of the host that it needs besides the tree.
    pub(crate) mounts: Vec<Mount>,
}

/// Where the program finds the prompt.
pub(crate) fn prompt_path(sandbox: &Sandbox, task: &AgentTask) -> String {
    match sandbox.isolation() {
        // There is no `/out` then, and arguments are passed on as they are.
        Isolation::None => task.out.join(PROMPT_FILE).to_string_lossy().into_owned(),
        Isolation::Bubblewrap { .. } => format!("{OUT}/{PROMPT_FILE}"),
    }
}

/// Writes the prompt and runs the program to its end. An error is the end of a run in which nothing ran.
pub(crate) async fn run(
    sandbox: &Sandbox,
    task: &AgentTask,
    program: Program,
    sink: &mut dyn Sink,
    cancelled: &CancellationToken,
) -> Result<Ended, AgentEnd> {
    let (tree, out, prompt) = (task.tree.clone(), task.out.clone(), task.prompt.clone());
    let prepared = tokio::task::spawn_blocking(move || {
        out::write_prompt(&out, &prompt)
            .map_err(|error| format!("can't write the prompt into the out folder: {error}"))?;
        disk_usage(&tree).map_err(|error| format!("can't measure the tree: {error}"))
    });
    let size = match prepared.await {
        Ok(Ok(size)) => size,
        Ok(Err(problem)) => return Err(AgentEnd::Infrastructure(one_line(&problem, PROBLEM_MAX_CHARS))),
        Err(_) => return Err(AgentEnd::Infrastructure("preparing the agent's folders was interrupted".to_owned())),
    };
    let mount = |host: &Path, inside: &str| Mount {
        host: host.to_owned(),
        inside: PathBuf::from(inside),
        access: Access::ReadWrite,
    };
    let mut mounts = vec![mount(&task.tree, WORK), mount(&task.out, OUT)];
    mounts.extend(program.mounts);
    let job = Job {
        argv: program.argv,
        directory: PathBuf::from(WORK),
        environment: program.environment,
        mounts,
        network: program.network,
        limits: limits(&task.limits, size),
        input: task.prompt.clone().into_bytes(),
    };
    sandbox.run(&job, sink, cancelled).await.map_err(|error| AgentEnd::Infrastructure(told(&error)))
}

/// What the sandbox says went wrong, with its cause.
pub(crate) fn told(error: &SandboxError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    one_line(&format!("{error}{cause}"), PROBLEM_MAX_CHARS)
}

fn limits(limits: &AgentLimits, size: u64) -> Limits {
    Limits {
        wall: limits.wall,
        silence: Some(limits.silence),
        output_bytes: OUTPUT_MAX_BYTES,
        processes: limits.processes,
        memory_bytes: limits.memory_bytes,
        // The sandbox counts what lies there before, too.
        tree_bytes: size.saturating_add(limits.tree_bytes),
        // A program with several threads uses more processor time than time passes; the clock is what bounds a run.
        cpu: limits.wall.saturating_mul(limits.processes.max(1)),
        ..Limits::default()
    }
}

/// The end of a run that was stopped.
pub(crate) fn stopped(stopped: Stopped, limits: &AgentLimits) -> AgentEnd {
    AgentEnd::OverLimit(match stopped {
        Stopped::Cancelled => return AgentEnd::Cancelled,
        Stopped::WallClock => format!("time: it ran longer than {} s", limits.wall.as_secs_f64()),
        Stopped::Silence => format!("silence: it said nothing for {} s", limits.silence.as_secs_f64()),
        Stopped::Output => format!("output: it wrote more than {} MiB", OUTPUT_MAX_BYTES / (1024 * 1024)),
        Stopped::Disk => format!("disk: its files grew by more than {} MiB", limits.tree_bytes / (1024 * 1024)),
        Stopped::DiskFull => {
            let full = "the disk became full while the agent worked. Free some space; it is tried again";
            return AgentEnd::Infrastructure(full.to_owned());
        }
        Stopped::Memory => format!("memory: it took more than {} MiB", limits.memory_bytes / (1024 * 1024)),
    })
}

/// Bytes that a tree takes on disk; links are counted, not followed.
fn disk_usage(tree: &Path) -> std::io::Result<u64> {
    let mut folders = vec![tree.to_owned()];
    let (mut bytes, mut entries) = (0u64, 0usize);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(BLOCK_BYTES));
            entries += 1;
            if entries > TREE_ENTRIES_MAX {
                return Err(std::io::Error::other(format!("it has more than {TREE_ENTRIES_MAX} entries")));
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(bytes)
}

//! Worker processes of a scene.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use damascus_testkit::LoopScene;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::process::{Child, ChildStdin, Command};

/// What a process does to itself at one of its effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ends, as by `kill -9`, at the line of its log that this numbers.
    Kill(u64),
    /// It stops there, as a frozen machine does.
    Stop(u64),
}

/// How a process works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) concurrency: usize,
    pub(crate) lease: Duration,
    /// Nothing is merged until nothing else is left to do.
    pub(crate) breadth: bool,
}

/// A line of a process's log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reached {
    pub(crate) number: u64,
    /// `before` or `after`, and the effect's name.
    pub(crate) what: String,
}

/// A worker process.
pub(crate) struct Process {
    child: Child,
    /// Held apart, since waiting for a child closes its standard input first, by which it would end in order.
    stdin: Option<ChildStdin>,
    pub(crate) pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts a worker of this scene.
    pub(crate) fn start(scene: &LoopScene, name: &str, how: How, fault: Option<Fault>) -> Self {
        let log = scene.folder.path().join(format!("{name}.log"));
        let (fault, at) = match fault {
            None => ("none", 0),
            Some(Fault::Kill(at)) => ("kill", at),
            Some(Fault::Stop(at)) => ("stop", at),
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_loop_worker"))
            .args([scene.db.url().as_ref(), scene.folder.path(), log.as_ref()])
            .args([how.concurrency.to_string(), how.lease.as_millis().to_string()])
            .args([if how.breadth { "breadth" } else { "depth" }, fault, &at.to_string()])
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the worker starts");
        let pid = child.id().expect("it was not waited for yet");
        let stdin = child.stdin.take();
        Self { child, stdin, pid, log }
    }

    /// What it reached so far.
    pub(crate) fn reached(&self) -> Vec<Reached> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let line = |line: &str| {
            let (number, what) = line.split_once(' ')?;
            Some(Reached { number: number.parse().ok()?, what: what.to_owned() })
        };
        text.lines().filter_map(line).collect()
    }

    /// Waits until it ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.expect("the worker can be waited for")
    }

    /// Waits until it has stopped itself.
    pub(crate) async fn stopped(&self) {
        let pid = self.raw();
        let waiting = tokio::task::spawn_blocking(move || {
            waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
        });
        let status = waiting.await.expect("waiting does not panic").expect("the worker is ours to wait for");
        let status = status.expect("waiting gives a status");
        assert!(status.stopped(), "the worker ended instead of stopping: {status:?}");
    }

    /// Lets it go on, unaware.
    pub(crate) fn go_on(&self) {
        kill_process(self.raw(), Signal::CONT).expect("the worker is ours to continue");
    }

    /// Ends it in order.
    pub(crate) async fn finish(mut self) {
        drop(self.stdin.take());
        let status = self.ended().await;
        assert!(status.success(), "a worker ended with {status}");
    }

    fn raw(&self) -> Pid {
        i32::try_from(self.pid).ok().and_then(Pid::from_raw).expect("a process has a number")
    }
}

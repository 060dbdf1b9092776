//! Follows a run from the open gate to the end of its last process.
//!
//! Invariants: memory is bounded whatever the program prints; when [`Running::follow`] returns, or a [`Running`] is dropped, the kernel
//! has confirmed that the process on which all others of the run hang is dead, and with it (its namespace ends) all of them.

use std::{io, os::fd::OwnedFd, pin::pin, process::ExitStatus, time::Duration};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitid,
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::unix::pipe::Receiver,
    process::{Child, ChildStderr, ChildStdout},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    SandboxError,
    job::Limits,
    launch::Started,
    run::{Exit, Sink, Stopped, Stream},
    watch::{Seen, Watched},
};

/// Bytes that are read at one time from one stream.
const READ_BYTES: usize = 64 * 1024;

/// How long killed processes may take to be gone; longer means that the kernel itself hangs (a dead network disk).
const GONE_MAX: Duration = Duration::from_secs(20);

/// The same, where a run is dropped and its thread has to wait.
const DROP_MAX: Duration = Duration::from_secs(5);

/// Signals to Damascus itself that may interrupt the waiting.
const INTERRUPTIONS_MAX: u32 = 16;

/// How long the end of the output is read after the last process is gone.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Between two looks of the watchdog: at least and at most so long, and [`LOOK_SHARE`] times as long as a look takes.
const LOOK_MIN: Duration = Duration::from_millis(200);
const LOOK_MAX: Duration = Duration::from_secs(5);
const LOOK_SHARE: u32 = 10;

/// How long directories may stay that the watchdog can't read (tests make such ones for a moment).
const UNREADABLE_MAX: Duration = Duration::from_secs(20);

/// A run whose gate is open.
pub(crate) struct Running {
    child: Child,
    pid: Pid,
    pidfd: OwnedFd,
    /// Without a namespace: the group to kill, and the user whose processes are all of this run.
    pub(crate) loose: Option<Loose>,
    feeding: Option<JoinHandle<()>>,
    _status: Receiver,
    ended: bool,
}

/// What is killed where no namespace holds a run together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loose {
    pub(crate) uid: Option<u32>,
}

/// What was seen of a run.
pub(crate) struct Followed {
    pub(crate) exit: Exit,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) output_bytes: u64,
}

/// The output of a run, and what is allowed of it.
struct Output<'a> {
    sink: &'a mut dyn Sink,
    left: u64,
    seen: u64,
    last: Instant,
}

impl Output<'_> {
    /// False: more was printed than is allowed.
    fn take(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        self.last = Instant::now();
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let (within, beyond) = bytes.split_at(allowed);
        if !within.is_empty() {
            self.sink.write(stream, within);
        }
        self.left -= within.len() as u64;
        self.seen += within.len() as u64;
        beyond.is_empty()
    }
}

/// A stream that is read until it ends.
struct Source<R> {
    stream: Stream,
    from: Option<R>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Source<R> {
    fn new(stream: Stream, from: Option<R>) -> Source<R> {
        Source { stream, from, buffer: vec![0; READ_BYTES] }
    }

    /// Reads once; never ready when the stream has ended.
    async fn read(&mut self) -> usize {
        let Some(from) = &mut self.from else { return std::future::pending().await };
        match from.read(&mut self.buffer).await {
            Ok(0) | Err(_) => {
                self.from = None;
                0
            }
            Ok(bytes) => bytes,
        }
    }

    fn hand(&self, bytes: usize, output: &mut Output<'_>) -> bool {
        self.buffer.get(..bytes).is_none_or(|bytes| bytes.is_empty() || output.take(self.stream, bytes))
    }
}

struct Sources {
    out: Source<ChildStdout>,
    err: Source<ChildStderr>,
}

impl Running {
    pub(crate) fn new(started: Started, loose: Option<Loose>) -> Running {
        let Started { child, pid, pidfd, feeding, status } = started;
        Running { child, pid, pidfd, loose, feeding, _status: status, ended: false }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Follows it to its end. `began`: when the clock of its limits started.
    pub(crate) async fn follow(
        mut self,
        limits: &Limits,
        watched: Watched,
        sink: &mut dyn Sink,
        cancelled: &CancellationToken,
        began: Instant,
    ) -> Result<Followed, SandboxError> {
        let mut output = Output { sink, left: limits.output_bytes, seen: 0, last: began };
        let mut sources = Sources {
            out: Source::new(Stream::Out, self.child.stdout.take()),
            err: Source::new(Stream::Err, self.child.stderr.take()),
        };
        let mut stopped = self.until_end(limits, watched, &mut sources, &mut output, cancelled, began).await;
        let status = self.end().await?;
        if stopped != Some(Stopped::Output) && !drain(&mut sources, &mut output).await {
            stopped = stopped.or(Some(Stopped::Output));
        }
        Ok(Followed { exit: exit_of(status, self.loose.is_some()), stopped, output_bytes: output.seen })
    }

    /// Reads until the main program has ended by itself (none) or something stops the run.
    async fn until_end(
        &mut self,
        limits: &Limits,
        watched: Watched,
        sources: &mut Sources,
        output: &mut Output<'_>,
        cancelled: &CancellationToken,
        began: Instant,
    ) -> Option<Stopped> {
        let mut wall = pin!(tokio::time::sleep_until(began + limits.wall));
        let mut watch = pin!(watch(watched));
        loop {
            let silent = limits.silence.map(|silence| output.last + silence);
            let within = tokio::select! {
                biased;
                () = cancelled.cancelled() => return Some(Stopped::Cancelled),
                () = &mut wall => return Some(Stopped::WallClock),
                beyond = &mut watch => return Some(beyond),
                bytes = sources.out.read() => sources.out.hand(bytes, output),
                bytes = sources.err.read() => sources.err.hand(bytes, output),
                () = sleep_until(silent) => return Some(Stopped::Silence),
                _ = self.child.wait() => return None,
            };
            if !within {
                return Some(Stopped::Output);
            }
        }
    }

    /// Kills all that is left, and waits until the kernel says that it is gone.
    async fn end(&mut self) -> Result<ExitStatus, SandboxError> {
        self.kill();
        if let Some(feeding) = self.feeding.take() {
            feeding.abort();
        }
        let status = match tokio::time::timeout(GONE_MAX, self.child.wait()).await {
            Ok(status) => status.map_err(SandboxError::io("wait for the sandbox"))?,
            Err(_) => return Err(SandboxError::io("end the run")(late())),
        };
        if self.loose.is_none() {
            let pidfd = self.pidfd.try_clone().map_err(SandboxError::io("wait for the sandbox's processes"))?;
            let waited = tokio::task::spawn_blocking(move || gone(&pidfd, GONE_MAX)).await;
            waited
                .map_err(io::Error::other)
                .and_then(|gone| gone)
                .map_err(SandboxError::io("end the sandbox's processes"))?;
            // Where Damascus is the first process of a container the dead one is left to it: take it off the list.
            let _ = waitid(
                WaitId::PidFd(rustix::fd::AsFd::as_fd(&self.pidfd)),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
        if let Some(Loose { uid: Some(uid) }) = self.loose {
            crate::loose::end_all_of(uid).await.map_err(SandboxError::io("end the run's processes"))?;
        }
        self.ended = true;
        Ok(status)
    }

    fn kill(&mut self) {
        // The first process of the namespace takes all others with it; the launcher then ends by itself.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        if self.loose.is_some() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.kill();
        let launcher = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let launcher = launcher.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let _ = self.child.start_kill();
        // Death by SIGKILL takes milliseconds; who drops a run must be able to rely on it.
        let _ = gone(&self.pidfd, DROP_MAX);
        let _ = launcher.map(|launcher| gone(&launcher, DROP_MAX));
        if let Some(Loose { uid: Some(uid) }) = self.loose {
            crate::loose::kill_all_of(uid);
        }
        if let Some(feeding) = self.feeding.take() {
            feeding.abort();
        }
    }
}

/// Waits until the process is dead. The first process of a namespace is dead only after all others in it. Blocks.
fn gone(pidfd: &OwnedFd, at_most: Duration) -> io::Result<()> {
    let until = Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: 0 };
    for _ in 0..INTERRUPTIONS_MAX {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&until)) {
            Ok(0) => break,
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(late())
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "killed processes did not end; the kernel may be waiting for a disk")
}

/// Looks again and again; ready when something is beyond its limit.
async fn watch(watched: Watched) -> Stopped {
    let mut unreadable_since: Option<Instant> = None;
    loop {
        let began = Instant::now();
        let look = watched.clone();
        let seen = tokio::task::spawn_blocking(move || look.look()).await.unwrap_or_else(|_| Seen::default());
        if let Some(beyond) = seen.beyond {
            return beyond;
        }
        unreadable_since = if seen.unreadable { unreadable_since.or(Some(began)) } else { None };
        if unreadable_since.is_some_and(|since| since.elapsed() > UNREADABLE_MAX) {
            return Stopped::Disk;
        }
        tokio::time::sleep((began.elapsed() * LOOK_SHARE).clamp(LOOK_MIN, LOOK_MAX)).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Reads what is still in the pipes. False: more than is allowed.
async fn drain(sources: &mut Sources, output: &mut Output<'_>) -> bool {
    let until = Instant::now() + DRAIN_MAX;
    while sources.out.from.is_some() || sources.err.from.is_some() {
        let within = tokio::select! {
            bytes = sources.out.read() => sources.out.hand(bytes, output),
            bytes = sources.err.read() => sources.err.hand(bytes, output),
            // Something outside of the run holds the pipe.
            () = tokio::time::sleep_until(until) => return true,
        };
        if !within {
            return false;
        }
    }
    true
}

fn exit_of(status: ExitStatus, direct: bool) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) if !direct && (129..=192).contains(&code) => Exit::Signal(code - 128),
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(9)),
    }
}

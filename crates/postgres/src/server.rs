//! The server process: found, started, waited for, stopped. Who may do so is decided in `managed`.
//!
//! Invariant: a server is started in a session of its own, with no descriptor and no variable of the caller's, so that nothing
//! that ends the caller (Ctrl-C, a closed terminal, SIGKILL) ends the server or leaves a lock with it.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use rustix::process::Signal;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::Error;
use crate::layout::Layout;
use crate::lock::SupervisorLock;
use crate::options::Durability;
use crate::orphans::{self, ORPHAN_WAIT};
use crate::pidfile::{self, Found};
use crate::probe::{Answer, ask};
use crate::process::Process;
use crate::server_log::ServerLog;
use crate::settings;
use crate::wait::Patience;

/// How long a server may take until it answers. A start takes a fraction of a second; the rest is for recovery after a crash.
const START_WAIT: Duration = Duration::from_secs(120);
/// How long a lock file may stay unreadable before it counts as left by a crash; a server writes it in microseconds.
const PID_FILE_WAIT: Duration = Duration::from_millis(500);
/// How long the socket of a server that was killed this moment may stay open.
const DYING_WAIT: Duration = Duration::from_secs(1);
/// How long a fast shutdown may take: it writes everything changed to disk.
const FAST_STOP_WAIT: Duration = Duration::from_secs(60);
/// How long an immediate shutdown may take: Postgres itself kills what does not quit within five seconds.
const IMMEDIATE_STOP_WAIT: Duration = Duration::from_secs(15);
/// How long the exit status of a process that has ended may take to arrive.
const STATUS_WAIT: Duration = Duration::from_secs(1);
/// What Postgres says when processes of a killed server are still there.
pub(crate) const STILL_IN_USE: &str = "is still in use";

/// The server of one cluster; one that runs, or one that could be started.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) account: &'a Account,
    pub(crate) binaries: &'a Binaries,
    pub(crate) durability: Durability,
}

/// How a server came to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Up {
    AlreadyRunning,
    Started,
}

/// A server that this process has just started.
struct Started {
    process: Process,
    /// Where in the log its own lines begin.
    log_start: u64,
    /// How it ended, once it has.
    ended: Receiver<ExitStatus>,
}

enum Outcome {
    Ready,
    Exited,
}

impl Server<'_> {
    /// Makes sure that the server answers: finds it, or starts it. Tries again, for [`ORPHAN_WAIT`], what may only have been in
    /// the way for a moment.
    pub(crate) fn bring_up(&self, _held: &SupervisorLock) -> Result<Up, Error> {
        let mut patience = Patience::new(ORPHAN_WAIT);
        // Also when the server runs: we are about to trust whoever answers there.
        self.layout.make_socket_dir(self.account)?;
        let log = ServerLog::new(self.layout);
        log.trim();
        loop {
            // One that ends while it is waited for is looked for again: what it left must be cleared away before a new one starts.
            while let Some(process) = self.find()? {
                if matches!(self.wait_ready(&process, 0)?, Outcome::Ready) {
                    return Ok(Up::AlreadyRunning);
                }
            }
            let started = self.start()?;
            if matches!(self.wait_ready(&started.process, started.log_start)?, Outcome::Ready) {
                tracing::info!(postgres.pid = started.process.pid(), "the Postgres server is up");
                return Ok(Up::Started);
            }
            let tail = log.tail(started.log_start);
            if patience.is_over() || !self.is_worth_another_try(&started, &tail)? {
                return Err(Error::StartFailed { data: self.layout.data(), log: log.path(), tail });
            }
            patience.pause();
        }
    }

    /// Whether a server that ended while starting did so for a reason that passes.
    fn is_worth_another_try(&self, started: &Started, tail: &str) -> Result<bool, Error> {
        // Somebody killed it, such as the kernel when memory was short for a moment.
        let killed = started.ended.recv_timeout(STATUS_WAIT).is_ok_and(|status| status.signal().is_some());
        // Processes of a killed server are still ending.
        let in_use = tail.contains(STILL_IN_USE);
        if in_use {
            self.end_orphans()?;
        }
        // A caller that was killed in the middle of starting a server left one that won the race for the data folder.
        Ok(killed || in_use || self.find()?.is_some())
    }

    /// The running server of this cluster. Lock files that no server holds are cleared out of the next start's way: Postgres
    /// itself trips over one that is empty, or whose process id now belongs to another program of the same user.
    pub(crate) fn find(&self) -> Result<Option<Process>, Error> {
        let data = self.layout.data();
        let path = data.join("postmaster.pid");
        let mut patience = Patience::new(PID_FILE_WAIT);
        loop {
            match pidfile::read(&path)? {
                Found::Nothing | Found::SingleUser => return Ok(None),
                Found::Server(file) => {
                    let process = Process::open(file.pid).map_err(self.watching())?;
                    if let Some(process) = process.filter(|process| process.serves(&data)) {
                        return Ok(Some(process));
                    }
                    tracing::warn!(postgres.pid = file.pid, "the Postgres server is gone without having been stopped");
                    return self.clear_away(&path).map(|()| None);
                }
                Found::Unreadable if patience.is_over() => {
                    tracing::warn!(path = %path.display(), "removing an unreadable lock file that a crash left behind");
                    return self.clear_away(&path).map(|()| None);
                }
                Found::Unreadable => patience.pause(),
            }
        }
    }

    /// Stops the server: fast (open transactions are rolled back), then, if that hangs, at once (the next start recovers). Never
    /// by SIGKILL, which would leave its other processes and the shared memory behind.
    pub(crate) fn stop(&self, process: &Process, _held: &SupervisorLock) -> Result<(), Error> {
        for (signal, wait) in [(Signal::INT, FAST_STOP_WAIT), (Signal::QUIT, IMMEDIATE_STOP_WAIT)] {
            process.signal(signal).map_err(self.watching())?;
            if process.wait_exit(wait).map_err(self.watching())? {
                tracing::info!(postgres.pid = process.pid(), "the Postgres server is stopped");
                return Ok(());
            }
            tracing::warn!(postgres.pid = process.pid(), seconds = wait.as_secs(), "the Postgres server does not stop");
        }
        Err(Error::NotStopping { pid: process.pid(), log: ServerLog::new(self.layout).path() })
    }

    fn wait_ready(&self, process: &Process, log_start: u64) -> Result<Outcome, Error> {
        let pid_file = self.layout.data().join("postmaster.pid");
        let mut patience = Patience::new(START_WAIT);
        loop {
            // The status line first: a connection costs the server a process.
            let says_ready = match pidfile::read(&pid_file)? {
                Found::Server(file) => file.ready && file.pid == process.pid(),
                Found::Nothing | Found::SingleUser | Found::Unreadable => false,
            };
            if says_ready && ask(&self.layout.socket()) == Answer::Ready {
                return Ok(Outcome::Ready);
            }
            if patience.is_over() {
                let log = ServerLog::new(self.layout);
                let (tail, log) = (log.tail(log_start), log.path());
                return Err(Error::NotAnswering { pid: process.pid(), seconds: START_WAIT.as_secs(), log, tail });
            }
            if process.wait_exit(patience.next_pause()).map_err(self.watching())? {
                return Ok(Outcome::Exited);
            }
        }
    }

    fn start(&self) -> Result<Started, Error> {
        let program = self.binaries.postgres();
        let (log, log_start) = ServerLog::new(self.layout).open()?;
        let log_too = log.try_clone().map_err(Error::io("open the log in", self.layout.log_dir()))?;
        let mut command = self.account.command(&program, self.layout.root());
        command.arg("-D").arg(self.layout.data());
        for setting in settings::relied_on(self.durability, self.layout.socket_dir()) {
            command.args(["-c", &setting]);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(log_too);
        detach(&mut command);
        let failed = |error: io::Error| Error::Program {
            program: program.clone(),
            why: format!("could not be started: {error}"),
        };
        let child = command.spawn().map_err(failed)?;
        // Opened before anybody reaps the child, so it can't be another process of the same id.
        let process = Process::open(child.id()).map_err(failed)?;
        let ended = reap(child).map_err(failed)?;
        let process = process.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok(Started { process, log_start, ended })
    }

    /// Clears away what a server left that ended without being stopped. Somebody who answers on the socket is the sign that it
    /// did not end: it runs in a container that shares this folder but not its process ids, and a second server would ruin the
    /// data.
    fn clear_away(&self, pid_file: &Path) -> Result<(), Error> {
        let mut patience = Patience::new(DYING_WAIT);
        while ask(&self.layout.socket()) != Answer::Nobody {
            if patience.is_over() {
                return Err(Error::OutOfSight { data: self.layout.data(), socket: self.layout.socket() });
            }
            patience.pause();
        }
        self.end_orphans()?;
        pidfile::remove(pid_file)?;
        let lock = self.layout.socket_lock();
        let ours = match pidfile::read(&lock)? {
            Found::Server(file) => file.data == self.layout.data(),
            Found::Unreadable => true,
            Found::Nothing | Found::SingleUser => false,
        };
        // Another cluster's stays; Postgres will say whose it is.
        if ours {
            pidfile::remove(&lock)?;
            pidfile::remove(&self.layout.socket())?;
        }
        Ok(())
    }

    fn end_orphans(&self) -> Result<(), Error> {
        orphans::end(&self.layout.data()).map_err(Error::io("end what is left of the server of", self.layout.data()))
    }

    fn watching(&self) -> impl FnOnce(io::Error) -> Error + use<> {
        Error::io("watch the server of", self.layout.data())
    }
}

/// Between fork and exec: a session of its own, and no descriptor but the three standard ones.
#[expect(
    unsafe_code,
    reason = "pre_exec is the only way to act between fork and exec; both calls are plain system calls"
)]
fn detach(command: &mut Command) {
    let prepare = || {
        rustix::process::setsid()?;
        // Our own files are close-on-exec already; this is for what our caller left open, such as a lock of a shell script. An
        // old kernel without the call keeps those, which is no reason not to start. Std's own pipe for reporting a failed exec
        // survives: descriptors are marked, not closed.
        // SAFETY: the arguments are plain integers and no memory is touched.
        let _ = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    };
    // SAFETY: the closure allocates nothing, takes no lock, and calls only async-signal-safe functions.
    unsafe { command.pre_exec(prepare) };
}

/// Waits for the child on a thread of its own, so that it never becomes a zombie, whoever stops it and whenever. Tells how it
/// ended to whoever still listens.
fn reap(mut child: Child) -> io::Result<Receiver<ExitStatus>> {
    let (tell, ended) = mpsc::channel();
    let body = move || match child.wait() {
        Ok(status) => {
            tracing::debug!(%status, "the Postgres server ended");
            let _ = tell.send(status);
        }
        Err(error) => tracing::warn!(%error, "the Postgres server could not be waited for"),
    };
    // The thread only waits: a small stack will do.
    std::thread::Builder::new().name("postgres-reaper".to_owned()).stack_size(64 * 1024).spawn(body)?;
    Ok(ended)
}

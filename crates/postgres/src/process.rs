//! Processes that may not be our children, without races: every one is held by a pidfd, which never means another process.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What the kernel's name of a process that runs the `postgres` program contains (a packager's wrapper may add to it).
const POSTGRES_COMM: &str = "postgres";

/// A running process, or one that has ended since it was opened.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    fd: OwnedFd,
}

impl Process {
    /// Opens a process by its id; `None` if there is none.
    pub(crate) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { pid, fd })),
            // EINVAL: the id of a thread, hence of no process.
            Err(Errno::SRCH | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the process has ended (a zombie has), at most for `limit`; false if it still runs.
    pub(crate) fn wait_exit(&self, limit: Duration) -> io::Result<bool> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&timeout)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends a signal; a process that has ended meanwhile is no error.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether this process runs `postgres` on that data folder. After a reboot or a crash the id in a PID file may belong to
    /// anybody.
    pub(crate) fn serves(&self, data: &Path) -> bool {
        let proc = Path::new("/proc").join(self.pid.to_string());
        if fs::read_to_string(proc.join("comm")).is_ok_and(|comm| !comm.contains(POSTGRES_COMM)) {
            return false;
        }
        match (fs::metadata(proc.join("cwd")), fs::metadata(data)) {
            (Ok(cwd), Ok(data)) => cwd.dev() == data.dev() && cwd.ino() == data.ino(),
            // Root in a container without CAP_SYS_PTRACE may not look at another user's folder, but may read the command line.
            (Err(error), Ok(_)) if error.kind() == io::ErrorKind::PermissionDenied => fs::read(proc.join("cmdline"))
                .is_ok_and(|line| {
                    let mut words = line.split(|byte| *byte == 0);
                    words.any(|word| word == b"-D") && words.next() == Some(data.as_os_str().as_encoded_bytes())
                }),
            _ => false,
        }
    }
}

//! Advisory locks between processes (`flock`), always with a deadline.
//!
//! Invariant: a lock file is opened close-on-exec and never inherited, so that the kernel gives the lock back the moment its
//! holder dies. Lock files are never removed: two processes must never lock two files of one name.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::layout::Layout;
use crate::wait::Patience;

/// How long to wait for another process that makes, starts or stops the cluster. Longer than all of its own waits together
/// would be useless to a person; this covers a crash recovery of some length.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(180);

/// The right to decide about the cluster. Dropping it gives the lock back.
#[derive(Debug)]
pub(crate) struct SupervisorLock {
    file: File,
}

impl SupervisorLock {
    /// Waits until this process alone may decide.
    pub(crate) fn take(layout: &Layout) -> Result<Self, Error> {
        let path = layout.supervisor_lock();
        let file = open(layout, &path)?;
        wait_for(&path, || file.try_lock())?;
        Ok(Self { file })
    }
}

impl Drop for SupervisorLock {
    fn drop(&mut self) {
        // Unlocking beats closing: a child between fork and exec may hold a copy of the descriptor for an instant.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "unlocking the supervisor lock failed; closing it does the same");
        }
    }
}

/// The mark of a user of the server.
#[derive(Debug)]
pub(crate) struct UsersLock {
    file: File,
    path: PathBuf,
}

impl UsersLock {
    /// Joins the users. The supervisor lock is asked for since only its holder may see whether there are any.
    pub(crate) fn join(layout: &Layout, _held: &SupervisorLock) -> Result<Self, Error> {
        let path = layout.users_lock();
        let file = open(layout, &path)?;
        wait_for(&path, || file.try_lock_shared())?;
        Ok(Self { file, path })
    }

    /// Leaves the users; true if nobody else is left.
    pub(crate) fn leave(&self, _held: &SupervisorLock) -> Result<bool, Error> {
        self.file.unlock().map_err(Error::io("unlock", &self.path))?;
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &self.path)(source)),
        }
    }
}

/// Opens a lock file for reading and writing (network file systems ask for both), made by the first who comes.
fn open(layout: &Layout, path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .map_err(Error::io("open", path))?;
    layout.hand_to_custodian(&file, path)?;
    Ok(file)
}

fn wait_for(path: &Path, mut attempt: impl FnMut() -> Result<(), TryLockError>) -> Result<(), Error> {
    let mut patience = Patience::new(LOCK_WAIT);
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if patience.is_over() => {
                return Err(Error::Busy { path: path.to_owned(), seconds: LOCK_WAIT.as_secs() });
            }
            Err(TryLockError::WouldBlock) => patience.pause(),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", path)(source)),
        }
    }
}

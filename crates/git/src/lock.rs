//! The lock of a mirror, over all processes (`flock` on a file beside it), always with a deadline.
//!
//! Invariants: only who holds it writes the mirror's refs or makes the mirror. Who writes objects holds another one, shared, so that what
//! is left of a broken write is cleared away only while nobody writes. A git command that writes refs inherits the open lock
//! file, so that the lock lasts until that command ends even when this process is killed. Lock files are never removed.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use crate::error::GitError;

/// How long to wait for another process that fetches or makes the mirror.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// How long to pause before the first look whether the lock is free.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The right to write a mirror's refs. Dropping it gives the lock back.
#[derive(Debug)]
pub(crate) struct MirrorLock {
    file: OwnedFd,
    path: PathBuf,
}

impl MirrorLock {
    /// Waits until nobody else holds the lock of the mirror in `dir`.
    pub(crate) async fn take(dir: &Path) -> Result<Self, GitError> {
        Self::take_within(dir, ".lock", FlockOperation::NonBlockingLockExclusive, LOCK_WAIT).await
    }

    /// Takes the right to write objects, which many may have at once.
    pub(crate) async fn writing(dir: &Path) -> Result<Self, GitError> {
        Self::take_within(dir, ".writing", FlockOperation::NonBlockingLockShared, LOCK_WAIT).await
    }

    /// Keeps all others from writing objects; None when somebody is writing now.
    pub(crate) async fn nobody_writes(dir: &Path) -> Option<Self> {
        Self::take_within(dir, ".writing", FlockOperation::NonBlockingLockExclusive, Duration::ZERO).await.ok()
    }

    async fn take_within(dir: &Path, ending: &str, how: FlockOperation, wait: Duration) -> Result<Self, GitError> {
        let path = beside(dir, ending);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = open(&path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| GitError::io("open the lock file", &path, errno))?;
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            match flock(&file, how) {
                Ok(()) => return Ok(Self { file, path }),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    return Err(GitError::Locked { path, said: format!("for more than {} s", wait.as_secs()) });
                }
                Err(errno) => return Err(GitError::io("lock", &path, errno)),
            }
        }
    }

    /// The open lock file, for a command that is to hold the lock too.
    pub(crate) fn share(&self) -> Result<OwnedFd, GitError> {
        self.file.try_clone().map_err(|error| GitError::io("duplicate the lock on", &self.path, error))
    }
}

/// A path beside a mirror, with the same name and an ending.
pub(crate) fn beside(dir: &Path, ending: &str) -> PathBuf {
    let mut path = dir.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_that_is_held_is_waited_for_and_then_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mirror = dir.path().join("m.git");
        let held = MirrorLock::take(&mirror).await.expect("a free lock");
        let inherited = held.share().expect("a second descriptor");
        drop(held);

        let soon = async || {
            let wait = Duration::from_millis(5);
            MirrorLock::take_within(&mirror, ".lock", FlockOperation::NonBlockingLockExclusive, wait).await
        };
        let refused = soon().await.expect_err("it is held");
        assert!(matches!(&refused, GitError::Locked { .. }), "{refused}");
        assert!(refused.retryable());

        drop(inherited);
        soon().await.expect("it is free");
    }

    #[tokio::test]
    async fn many_write_but_only_one_clears_away() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mirror = dir.path().join("m.git");
        let first = MirrorLock::writing(&mirror).await.expect("a shared lock");
        let second = MirrorLock::writing(&mirror).await.expect("a shared lock");
        assert!(MirrorLock::nobody_writes(&mirror).await.is_none());
        drop((first, second));
        assert!(MirrorLock::nobody_writes(&mirror).await.is_some());
    }
}

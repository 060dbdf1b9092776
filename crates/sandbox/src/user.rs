//! The unprivileged user ids that runs have where Damascus itself is root: one per run at a time, so that the kernel's limits per user are
//! limits per run, and no run can signal, trace or read another.
//!
//! Invariants: an id is in use by one run of the machine at a time, whatever number of Damascus processes there is (each holds an exclusive
//! lock on the id's file, which the kernel gives back when the process dies); no id belongs to an account: the range lies in what systemd
//! and Debian keep for ids that are handed out at run time.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::SandboxError;

/// The first id.
pub(crate) const FIRST: u32 = 65_024;

/// How many there are: more runs at a time than a machine holds.
pub(crate) const COUNT: u32 = 256;

/// Whether files of this user were made by a run.
pub(crate) fn is_of_a_run(uid: u32) -> bool {
    (FIRST..FIRST + COUNT).contains(&uid)
}

/// An id that belongs to one run until it is dropped. The group has the same number.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) uid: u32,
    _lock: File,
}

/// The folder with the locks.
#[derive(Debug, Clone)]
pub(crate) struct Users {
    folder: PathBuf,
}

impl Users {
    /// Where all processes of the machine look: below `/run`, else (where that is not writable) in the scratch folder.
    pub(crate) fn new(scratch: &Path) -> io::Result<Users> {
        let shared = PathBuf::from("/run/damascus-sandbox");
        match make_private(&shared) {
            Ok(()) => Ok(Users { folder: shared }),
            Err(error) if scratch.as_os_str().is_empty() => Err(error),
            Err(_) => {
                let folder = scratch.join("users");
                make_private(&folder)?;
                Ok(Users { folder })
            }
        }
    }

    /// Takes the first id that no run has.
    pub(crate) fn lend(&self) -> Result<Lent, SandboxError> {
        for uid in FIRST..FIRST + COUNT {
            let path = self.folder.join(uid.to_string());
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                .open(&path)
                .map_err(SandboxError::io(format!("open the lock {}", path.display())))?;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Lent { uid, _lock: lock });
            }
        }
        Err(SandboxError::NoUser { slots: COUNT })
    }
}

fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_lent_to_one_run_at_a_time_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users { folder: folder.path().to_owned() };

        let first = users.lend().unwrap();
        let second = users.lend().unwrap();
        assert_ne!(first.uid, second.uid);
        assert!(is_of_a_run(first.uid) && is_of_a_run(second.uid));

        let freed = first.uid;
        drop(first);
        assert_eq!(users.lend().unwrap().uid, freed);
    }

    #[test]
    fn when_all_are_lent_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let users = Users { folder: folder.path().to_owned() };
        let all: Vec<Lent> = (0..COUNT).map(|_| users.lend().unwrap()).collect();

        assert!(matches!(users.lend(), Err(SandboxError::NoUser { slots: COUNT })));
        drop(all);
    }
}

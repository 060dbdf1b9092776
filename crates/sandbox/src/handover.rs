//! Gives the directories that are mounted read-write to the run, and takes them back.
//!
//! Where Damascus is root the run has a user id of its own, so what it writes to must belong to that user while it runs.
//!
//! Invariants:
//! - A directory belongs to one run at a time, among all processes of the machine: the run holds an exclusive lock on the directory.
//! - A file that also has a name outside the directory (a hard link) is not given away.
//! - After the run no file in it belongs to a run's user, none is setuid or setgid, and the caller can enter every directory.
//! - Both ways can be repeated: what a killed process left is healed by the next run.

use std::{
    collections::HashMap,
    ffi::CStr,
    path::{Path, PathBuf},
};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, FlockOperation, Gid, Mode, Stat, Uid, chmodat, chownat, fchown, flock, fstat},
    io::Errno,
};

use crate::{
    SandboxError, user,
    user::Lent,
    walk::{self, Visitor, WalkError, file_type, open_root, walk},
};

const SET_ID_BITS: u32 = 0o6000;
const OWNER_ENTERS: u32 = 0o700;
const OWNER_READS: u32 = 0o400;

/// A directory that is mounted read-write, locked.
#[derive(Debug)]
struct Tree {
    path: PathBuf,
    root: OwnedFd,
}

/// The directories of a run, and its user. Dropping it takes them back too, later, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Held {
    trees: Vec<Tree>,
    lent: Option<Lent>,
    given_back: bool,
}

impl Held {
    /// Locks `paths` (resolved, without duplicates). [`SandboxError::Busy`] when another run has one of them.
    pub(crate) fn lock(paths: &[PathBuf]) -> Result<Held, SandboxError> {
        let mut trees = Vec::new();
        for path in paths {
            let root = open_root(path).map_err(|errno| refused(path, errno))?;
            match flock(&root, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => trees.push(Tree { path: path.clone(), root }),
                Err(Errno::WOULDBLOCK) => return Err(SandboxError::Busy { path: path.clone() }),
                Err(errno) => return Err(refused(path, errno)),
            }
        }
        Ok(Held { trees, lent: None, given_back: true })
    }

    /// Gives the directories to the run's user. Blocks.
    pub(crate) fn give_to(mut self, lent: Option<Lent>) -> Result<Held, SandboxError> {
        self.given_back = false;
        if let Some(lent) = &lent {
            for tree in &self.trees {
                give(tree, lent.uid)?;
            }
        }
        self.lent = lent;
        Ok(self)
    }

    /// The user of the run, where it has one of its own.
    pub(crate) fn uid(&self) -> Option<u32> {
        self.lent.as_ref().map(|lent| lent.uid)
    }

    /// The directories.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.trees.iter().map(|tree| tree.path.clone()).collect()
    }

    /// Takes the directories back. Blocks. True: one of them is too large or too deep to be walked to its end.
    pub(crate) fn give_back(mut self) -> Result<bool, SandboxError> {
        self.given_back = true;
        self.take_back()
    }

    fn take_back(&self) -> Result<bool, SandboxError> {
        let mut unbounded = false;
        for tree in &self.trees {
            match take(tree) {
                Ok(()) => {}
                Err(WalkError::System(errno)) => return Err(refused(&tree.path, errno)),
                Err(WalkError::Entries | WalkError::Depth) => unbounded = true,
            }
        }
        Ok(unbounded)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.given_back {
            return;
        }
        let trees = std::mem::take(&mut self.trees);
        let rest = Held { trees, lent: self.lent.take(), given_back: true };
        let late = move || {
            if let Err(error) = rest.take_back() {
                tracing::warn!(error = %error, "a directory of a run that was given up could not be taken back; the next run heals it");
            }
        };
        // The locks live in `rest`: until it is through, another run waits.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(late)),
            Err(_) => late(),
        }
    }
}

fn refused(path: &Path, why: impl std::fmt::Display) -> SandboxError {
    SandboxError::HandOver { path: path.to_owned(), reason: format!("{why}; check it, or remove it") }
}

fn give(tree: &Tree, uid: u32) -> Result<(), SandboxError> {
    let mut giving = Giving { uid, linked: HashMap::new() };
    walk(&tree.root, &mut giving).map_err(|error| refused(&tree.path, error))?;
    if !giving.linked.is_empty() {
        tracing::debug!(
            files = giving.linked.len(),
            "files with names outside of the run's directory stay with their owner"
        );
    }
    fchown(&tree.root, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))).map_err(|errno| refused(&tree.path, errno))
}

struct Giving {
    uid: u32,
    /// Files with several names: how many of them were not seen yet. Given away when the last one is seen.
    linked: HashMap<u64, u64>,
}

impl Visitor for Giving {
    fn visit(&mut self, at: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
        if stat.st_uid == self.uid {
            return Ok(());
        }
        match file_type(stat) {
            FileType::BlockDevice | FileType::CharacterDevice => return Ok(()),
            FileType::Directory => {}
            _ if stat.st_nlink > 1 && !user::is_of_a_run(stat.st_uid) => {
                let unseen = self.linked.entry(stat.st_ino).or_insert(stat.st_nlink);
                *unseen = unseen.saturating_sub(1);
                if *unseen > 0 {
                    return Ok(());
                }
                self.linked.remove(&stat.st_ino);
            }
            _ => {}
        }
        change_owner(at, name, self.uid, self.uid)
    }

    fn unreadable(&mut self, errno: Errno) -> Result<(), Errno> {
        Err(errno)
    }
}

fn take(tree: &Tree) -> Result<(), WalkError> {
    let me = rustix::process::geteuid();
    let group = rustix::process::getegid();
    let stat = fstat(&tree.root)?;
    if me.is_root() && user::is_of_a_run(stat.st_uid) {
        fchown(&tree.root, Some(me), Some(group))?;
    }
    if stat.st_mode & OWNER_ENTERS != OWNER_ENTERS && !me.is_root() {
        rustix::fs::fchmod(&tree.root, Mode::from_raw_mode(stat.st_mode & 0o7777 | OWNER_ENTERS))?;
    }
    walk(&tree.root, &mut Taking { me: me.as_raw(), group: group.as_raw() })
}

struct Taking {
    me: u32,
    group: u32,
}

impl Visitor for Taking {
    fn visit(&mut self, at: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
        let foreign = user::is_of_a_run(stat.st_uid) && self.me == 0;
        if !foreign && stat.st_uid != self.me {
            return Ok(());
        }
        let mode = stat.st_mode & 0o7777;
        let wanted = match file_type(stat) {
            FileType::Directory => mode & !SET_ID_BITS | OWNER_ENTERS,
            FileType::RegularFile => mode & !SET_ID_BITS | OWNER_READS,
            _ => mode,
        };
        // The mode first: a file never belongs to the caller while it has the bits. No process of the run is left to race with.
        if wanted != mode {
            chmodat(at, name, Mode::from_raw_mode(wanted), AtFlags::empty())?;
        }
        if foreign { change_owner(at, name, self.me, self.group) } else { Ok(()) }
    }

    fn unreadable(&mut self, errno: Errno) -> Result<(), Errno> {
        Err(errno)
    }
}

fn change_owner(at: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<(), Errno> {
    chownat(at, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether a tree is within what can be walked, and how much disk it takes: bytes of all entries, links counted once each.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Directories that could not be read: what is in them is not in `bytes`.
    pub(crate) unreadable: u64,
}

/// Bytes of one block in `stat`.
const BLOCK: u64 = 512;

impl Visitor for Measured {
    fn visit(&mut self, _at: BorrowedFd<'_>, _name: &CStr, stat: &Stat) -> Result<(), Errno> {
        let blocks = u64::try_from(stat.st_blocks).unwrap_or_default() * BLOCK;
        // A file with several names takes its space once; divided, so that no list of inodes has to be held.
        let links = if file_type(stat) == FileType::Directory { 1 } else { stat.st_nlink.max(1) };
        self.bytes = self.bytes.saturating_add(blocks / links);
        Ok(())
    }

    fn unreadable(&mut self, _errno: Errno) -> Result<(), Errno> {
        self.unreadable += 1;
        Ok(())
    }
}

/// Measures a tree that may change meanwhile. Blocks.
pub(crate) fn measure(path: &Path) -> Result<Measured, walk::WalkError> {
    let mut measured = Measured::default();
    walk(&open_root(path)?, &mut measured)?;
    Ok(measured)
}

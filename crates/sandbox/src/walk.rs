//! Walks a directory tree that a program wrote which is not trusted.
//!
//! Invariants: no symbolic link is followed, no other file system is entered, and the walk ends: it is bounded in entries and in depth,
//! and holds one open directory per level.

use std::{ffi::CStr, path::Path};

use rustix::{
    fd::{BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat},
    io::Errno,
};

/// Entries of one tree beyond which it is not walked.
pub(crate) const ENTRIES_MAX: u64 = 2_000_000;

/// Levels of directories beyond which a tree is not walked (each holds one open file).
pub(crate) const DEPTH_MAX: usize = 128;

/// Why a walk ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WalkError {
    #[error("it has more than {ENTRIES_MAX} entries")]
    Entries,
    #[error("its directories are nested deeper than {DEPTH_MAX}")]
    Depth,
    #[error("{0}")]
    System(#[from] Errno),
}

/// What a walk does at each entry, before it goes into it.
pub(crate) trait Visitor {
    /// Sees an entry `name` of the directory `at`.
    fn visit(&mut self, at: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno>;

    /// A directory or entry can't be read: `Ok` goes on without it.
    fn unreadable(&mut self, errno: Errno) -> Result<(), Errno>;
}

/// Opens a directory to walk it; the last component may not be a symbolic link.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, Errno> {
    openat(rustix::fs::CWD, path, directory_flags(), Mode::empty())
}

/// The type of file that a mode says.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Walks what is below `root`, not `root` itself. Entries that vanish meanwhile are passed over.
pub(crate) fn walk(root: &OwnedFd, visitor: &mut dyn Visitor) -> Result<(), WalkError> {
    let device = rustix::fs::fstat(root)?.st_dev;
    let mut entries: u64 = 0;
    let mut open = vec![Dir::read_from(root)?];
    while let Some(directory) = open.last_mut() {
        let entry = match directory.read() {
            None => {
                open.pop();
                continue;
            }
            Some(Err(errno)) => {
                visitor.unreadable(errno)?;
                open.pop();
                continue;
            }
            Some(Ok(entry)) => entry,
        };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        entries += 1;
        if entries > ENTRIES_MAX {
            return Err(WalkError::Entries);
        }
        let at = directory.fd()?;
        if let Some(below) = step(at, name, device, visitor)? {
            if open.len() >= DEPTH_MAX {
                return Err(WalkError::Depth);
            }
            open.push(below);
        }
    }
    Ok(())
}

/// Visits one entry; a directory to go into is returned.
fn step(at: BorrowedFd<'_>, name: &CStr, device: u64, visitor: &mut dyn Visitor) -> Result<Option<Dir>, Errno> {
    let stat = match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return visitor.unreadable(errno).map(|()| None),
        Ok(stat) => stat,
    };
    if stat.st_dev != device {
        return Ok(None);
    }
    visitor.visit(at, name, &stat)?;
    if file_type(&stat) != FileType::Directory {
        return Ok(None);
    }
    match openat(at, name, directory_flags(), Mode::empty()).and_then(Dir::new) {
        Ok(below) => Ok(Some(below)),
        // Gone, or no directory any more: the program runs while it is measured.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => visitor.unreadable(errno).map(|()| None),
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

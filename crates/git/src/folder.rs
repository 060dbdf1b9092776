//! Folders by open descriptor: entering, listing, removing and writing without ever following a symlink.
//!
//! Invariant: every step is taken from a folder that is already open, by a single name, with `O_NOFOLLOW`; so whatever an agent left in
//! a tree, nothing outside it is read, written or removed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmodat, fchmod, fstat, mkdirat, openat, readlinkat, statat,
    symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::error::GitError;

/// How deep folders may lie in each other; each level holds a descriptor.
pub(crate) const MAX_DEPTH: usize = 100;

/// How many names a folder may have.
const MAX_NAMES: usize = 1_000_000;

/// How long the target of a symlink may be, in bytes.
pub(crate) const MAX_TARGET_BYTES: u64 = 4_095;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
}

const ENTER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens the top of a tree; the path itself must not be a symlink.
    pub(crate) fn top(path: &Path) -> Result<Self, GitError> {
        let fd =
            openat(CWD, path, ENTER, Mode::empty()).map_err(|errno| GitError::io("open the folder", path, errno))?;
        Ok(Self { fd })
    }

    /// Enters a folder in this one; what can't be entered for want of permission is first made accessible to its owner.
    pub(crate) fn enter(&self, name: &[u8]) -> Result<Self, Errno> {
        match openat(&self.fd, name, ENTER, Mode::empty()) {
            Err(Errno::ACCESS) => {
                self.grant(name, FileType::Directory, Mode::RWXU)?;
                openat(&self.fd, name, ENTER, Mode::empty()).map(|fd| Self { fd })
            }
            opened => opened.map(|fd| Self { fd }),
        }
    }

    /// Opens a file for reading, with what it is; a fifo does not block.
    pub(crate) fn open_file(&self, name: &[u8]) -> Result<(File, Stat), Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Err(Errno::ACCESS) => {
                self.grant(name, FileType::RegularFile, Mode::RUSR)?;
                openat(&self.fd, name, flags, Mode::empty())?
            }
            opened => opened?,
        };
        let stat = fstat(&fd)?;
        Ok((File::from(fd), stat))
    }

    /// Gives the owner more rights on something of the expected kind. Nobody else changes the tree now, so it stays that kind.
    fn grant(&self, name: &[u8], kind: FileType, more: Mode) -> Result<(), Errno> {
        let stat = self.stat(name)?;
        if FileType::from_raw_mode(stat.st_mode) != kind {
            return Err(Errno::ACCESS);
        }
        chmodat(&self.fd, name, Mode::from_raw_mode(stat.st_mode) | more, AtFlags::empty())
    }

    /// What a name is, not followed.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<Stat, Errno> {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Where a symlink leads.
    pub(crate) fn target(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        readlinkat(&self.fd, name, Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// The names in it, in order.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                if names.len() == MAX_NAMES {
                    return Err(Errno::FBIG);
                }
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Removes whatever has this name: a folder with all in it, or anything else. Nothing there is no error.
    pub(crate) fn remove(&self, name: &[u8]) -> Result<(), Errno> {
        self.remove_at(name, MAX_DEPTH)
    }

    fn remove_at(&self, name: &[u8], depth: usize) -> Result<(), Errno> {
        let stat = match self.stat(name) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return self.with_write(|| unlinkat(&self.fd, name, AtFlags::empty()));
        }
        if depth == 0 {
            return Err(Errno::NAMETOOLONG);
        }
        let folder = self.enter(name)?;
        for inner in folder.names()? {
            folder.remove_at(&inner, depth - 1)?;
        }
        self.with_write(|| unlinkat(&self.fd, name, AtFlags::REMOVEDIR))
    }

    /// Does something that writes in this folder; when the folder lacks the right for it, its owner gets it first.
    fn with_write<T>(&self, mut act: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        match act() {
            Err(Errno::ACCESS) => {
                fchmod(&self.fd, Mode::from_raw_mode(fstat(&self.fd)?.st_mode) | Mode::RWXU)?;
                act()
            }
            done => done,
        }
    }

    /// Makes a folder and enters it; one that is there is entered.
    pub(crate) fn make_folder(&self, name: &[u8]) -> Result<Self, Errno> {
        let mode = Mode::from_raw_mode(0o755);
        match self.with_write(|| mkdirat(&self.fd, name, mode)) {
            // The mask of the process must not keep out a worker that runs as another user.
            Ok(()) => self.enter(name).and_then(|made| fchmod(&made.fd, mode).map(|()| made)),
            Err(Errno::EXIST) => self.enter(name),
            Err(errno) => Err(errno),
        }
    }

    /// Makes a new file; there must be nothing of its name.
    pub(crate) fn make_file(&self, name: &[u8], executable: bool) -> Result<File, Errno> {
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.with_write(|| openat(&self.fd, name, flags, mode))?;
        fchmod(&fd, mode)?;
        Ok(File::from(fd))
    }

    /// Makes a new symlink; there must be nothing of its name.
    pub(crate) fn make_link(&self, name: &[u8], target: &[u8]) -> Result<(), Errno> {
        self.with_write(|| symlinkat(target, &self.fd, name))
    }
}

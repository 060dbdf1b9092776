//! Reading below one folder, safely.
//!
//! Invariant: nothing outside the root is ever opened, only regular files are read, never more of one than its bound,
//! and no open blocks. Links are resolved first and the result must lie inside; it is then opened from the root
//! downwards, one name at a time and without following links, so that a link put there in between is refused as well.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::ScanError;

/// Why a path was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nothing there.
    Missing,
    /// It, or a link on the way, leads out of the root.
    Leaves,
    /// Links in a circle.
    Loop,
    /// A FIFO, a device, a socket, or a folder where a file is due.
    NotRegular,
    /// A file where a folder is due.
    NotDirectory,
    /// More bytes than allowed.
    TooLarge { size: u64 },
    /// More entries than allowed.
    TooMany,
    /// The system refused.
    Io(io::Error),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::Missing,
            Errno::LOOP => Self::Loop,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::NXIO => Self::NotRegular,
            _ => Self::Io(errno.into()),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Errno::from_raw_os_error(code).into(),
            None => Self::Io(error),
        }
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Its name; `None` if it is not UTF-8.
    pub(crate) name: Option<String>,
}

/// A folder's identity, to notice that links led back to it.
pub(crate) type FolderId = (u64, u64);

/// The root of a scan.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    folder: OwnedFd,
}

impl Root {
    /// Opens the root.
    pub(crate) fn open(path: &Path) -> Result<Self, ScanError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ScanError::RootMissing(path.to_owned()),
            io::ErrorKind::NotADirectory => ScanError::NotADirectory(path.to_owned()),
            _ => ScanError::Unreadable { path: path.to_owned(), source },
        };
        let canonical = path.canonicalize().map_err(failed)?;
        let folder =
            rustix::fs::open(&canonical, folder_flags(), Mode::empty()).map_err(|errno| failed(errno.into()))?;
        // A folder that may be entered but not listed opens and fails only later: find out now.
        Dir::read_from(&folder).map_err(|errno| failed(errno.into()))?;
        Ok(Self { path: canonical, folder })
    }

    /// The canonical path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What a relative path leads to, links followed.
    pub(crate) fn kind(&self, relative: &str) -> Result<Kind, Refused> {
        let resolved = self.resolve(relative)?;
        let Some((parent, name)) = self.parent(&resolved)? else { return Ok(Kind::Folder) };
        let stat = rustix::fs::statat(&parent, name.as_path(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            _ => Kind::Other,
        })
    }

    /// Reads a regular file of at most `max` bytes.
    pub(crate) fn read(&self, relative: &str, max: u64) -> Result<Vec<u8>, Refused> {
        let resolved = self.resolve(relative)?;
        let Some((parent, name)) = self.parent(&resolved)? else { return Err(Refused::NotRegular) };
        let before = rustix::fs::statat(&parent, name.as_path(), AtFlags::SYMLINK_NOFOLLOW)?;
        check_regular(&before, max)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = rustix::fs::openat(&parent, name.as_path(), flags, Mode::empty())?;
        check_regular(&rustix::fs::fstat(&file)?, max)?;
        let mut bytes = Vec::new();
        std::fs::File::from(file).take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(Refused::TooLarge { size: bytes.len() as u64 });
        }
        Ok(bytes)
    }

    /// Lists a folder, sorted by name; also returns its identity.
    pub(crate) fn list(&self, relative: &str, max: usize) -> Result<(Vec<Entry>, FolderId), Refused> {
        let resolved = self.resolve(relative)?;
        let folder = match self.parent(&resolved)? {
            None => rustix::fs::openat(&self.folder, c".", folder_flags(), Mode::empty())?,
            Some((parent, name)) => rustix::fs::openat(&parent, name.as_path(), folder_flags(), Mode::empty())?,
        };
        let stat = rustix::fs::fstat(&folder)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if bytes == b"." || bytes == b".." {
                continue;
            }
            if entries.len() >= max {
                return Err(Refused::TooMany);
            }
            entries.push(Entry { name: std::str::from_utf8(bytes).ok().map(str::to_owned) });
        }
        entries.sort();
        Ok((entries, (stat.st_dev, stat.st_ino)))
    }

    /// Follows links; the result is relative to the root.
    fn resolve(&self, relative: &str) -> Result<PathBuf, Refused> {
        if Path::new(relative).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(Refused::Leaves);
        }
        let resolved = self.path.join(relative).canonicalize()?;
        resolved.strip_prefix(&self.path).map(Path::to_owned).map_err(|_outside| Refused::Leaves)
    }

    /// Opens the folder that holds a resolved path, name by name; `None` for the root itself.
    fn parent(&self, resolved: &Path) -> Result<Option<(OwnedFd, PathBuf)>, Refused> {
        let Some(name) = resolved.file_name() else { return Ok(None) };
        let mut folder = rustix::fs::openat(&self.folder, c".", folder_flags(), Mode::empty())?;
        for part in resolved.parent().into_iter().flat_map(Path::components) {
            folder = rustix::fs::openat(&folder, Path::new(part.as_os_str()), folder_flags(), Mode::empty())?;
        }
        Ok(Some((folder, PathBuf::from(name))))
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn check_regular(stat: &rustix::fs::Stat, max: u64) -> Result<(), Refused> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Refused::NotRegular);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    if size > max { Err(Refused::TooLarge { size }) } else { Ok(()) }
}

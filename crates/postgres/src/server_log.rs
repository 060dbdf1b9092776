//! The server's log: one file, opened for appending, that the server holds as its standard error.
//!
//! Invariant: bounded. Whoever comes, looks after the server or leaves cuts it down to its last part once it is too long; since
//! the server appends, that is safe while it runs.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::layout::Layout;

/// How long the log may grow before it is cut, in bytes.
const MAX_LOG_BYTES: u64 = 8 * 1024 * 1024;
/// How much of it is kept in `server.log.old`, in bytes.
const KEPT_BYTES: u64 = 1024 * 1024;
/// The most of a log that goes into an error, in bytes and lines.
const MAX_TAIL_BYTES: u64 = 8 * 1024;
const MAX_TAIL_LINES: usize = 20;

/// The log of a cluster's server.
#[derive(Debug)]
pub(crate) struct ServerLog<'a> {
    layout: &'a Layout,
}

impl<'a> ServerLog<'a> {
    pub(crate) fn new(layout: &'a Layout) -> Self {
        Self { layout }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.layout.log_dir().join("server.log")
    }

    /// Opens it for the server, with its length at this moment.
    pub(crate) fn open(&self) -> Result<(File, u64), Error> {
        let path = self.path();
        let file = options().append(true).create(true).mode(0o600).open(&path).map_err(Error::io("open", &path))?;
        self.layout.hand_to_custodian(&file, &path)?;
        let length = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok((file, length))
    }

    /// Cuts a log that has grown too long. Only a convenience can fail here, so it never stops anybody.
    pub(crate) fn trim(&self) {
        if let Err(error) = self.try_trim() {
            tracing::warn!(%error, path = %self.path().display(), "the database's log could not be cut");
        }
    }

    fn try_trim(&self) -> io::Result<()> {
        let mut log = match options().read(true).write(true).open(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let length = log.metadata()?.len();
        if length <= MAX_LOG_BYTES {
            return Ok(());
        }
        let old = self.layout.log_dir().join("server.log.old");
        let mut kept = options().write(true).create(true).truncate(true).mode(0o600).open(old)?;
        log.seek(SeekFrom::Start(length - KEPT_BYTES))?;
        io::copy(&mut Read::by_ref(&mut log).take(KEPT_BYTES), &mut kept)?;
        kept.flush()?;
        // What the server writes between the copy and the cut is lost; it is a log.
        log.set_len(0)
    }

    /// The last lines that were written after `start`, fit to be shown.
    pub(crate) fn tail(&self, start: u64) -> String {
        let read = options().read(true).open(self.path()).and_then(|log| tail_of(log, start));
        read.unwrap_or_else(|error| format!("(the log could not be read: {error})"))
    }
}

/// The last lines of a file after `start`, fit to be shown.
pub(crate) fn tail_of(mut file: File, start: u64) -> io::Result<String> {
    let length = file.metadata()?.len();
    // A log that was cut since is shorter than where it began.
    let start = if start > length { 0 } else { start };
    file.seek(SeekFrom::Start(start.max(length.saturating_sub(MAX_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(MAX_TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(presentable(&String::from_utf8_lossy(&bytes)))
}

/// Strips control characters (a terminal would obey them) and keeps the last lines.
fn presentable(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.replace('\t', " ").chars().filter(|c| !c.is_control()).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return "(nothing)".to_owned();
    }
    lines[lines.len().saturating_sub(MAX_TAIL_LINES)..].join("\n")
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.custom_flags(libc::O_NOFOLLOW);
    options
}

/// Makes an empty file for a program's output; what was there goes.
pub(crate) fn fresh(layout: &Layout, path: &Path) -> Result<File, Error> {
    let file = options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("open", path))?;
    layout.hand_to_custodian(&file, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_tail_is_bounded_and_harmless() {
        let text: String = (0..100).map(|n| format!("line {n}\u{1b}[31m\u{7}\n\n")).collect();
        let shown = presentable(&text);
        assert_eq!(shown.lines().count(), MAX_TAIL_LINES);
        assert!(shown.ends_with("line 99[31m"), "{shown}");
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    }
}

//! The lock files that Postgres writes (`postmaster.pid`, and the same beside its socket), read strictly.
//!
//! Their lines: process id, data folder, start time, port, socket folder, address, shared memory, status.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The most that is read of any small file of the cluster, in bytes. A lock file has a few hundred.
const MAX_BYTES: u64 = 8 * 1024;

/// What a lock file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: u32,
    pub(crate) data: PathBuf,
    /// The server accepts connections.
    pub(crate) ready: bool,
}

/// What was found in place of a lock file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// Written by a server.
    Server(PidFile),
    /// Written by `postgres --single`, which is somebody's repair work.
    SingleUser,
    /// Empty, cut off or garbled: being written just now, or left by a crash of the machine.
    Unreadable,
}

/// Reads a lock file.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    match read_small(path) {
        Ok(Some(text)) => Ok(parse(&text)),
        Ok(None) => Ok(Found::Unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Removes a lock file that no server holds.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads a small text file of the cluster without following a link or waiting for a pipe: its folder belongs to the server's
/// user. `None` if it is not a small text file.
pub(crate) fn read_small(path: &Path) -> io::Result<Option<String>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}

fn parse(text: &str) -> Found {
    let mut lines = text.lines();
    let (Some(pid), Some(data), Some(started), Some(port)) = (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Found::Unreadable;
    };
    let (Ok(pid), Ok(_), Ok(_)) =
        (pid.trim().parse::<i32>(), started.trim().parse::<u64>(), port.trim().parse::<u16>())
    else {
        return Found::Unreadable;
    };
    if !data.starts_with('/') {
        return Found::Unreadable;
    }
    match u32::try_from(pid) {
        Ok(0) => Found::Unreadable,
        // Four lines are read, then socket folder, address and shared memory are skipped.
        Ok(pid) => {
            let ready = lines.nth(3).is_some_and(|status| status.trim_end() == "ready");
            Found::Server(PidFile { pid, data: PathBuf::from(data), ready })
        }
        Err(_) => Found::SingleUser,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "42\n/srv/h/postgres/data\n1700000000\n5432\n/srv/h/postgres/run\n\n  1234567   4\nready   \n";

    fn server(ready: bool) -> Found {
        Found::Server(PidFile { pid: 42, data: PathBuf::from("/srv/h/postgres/data"), ready })
    }

    #[test]
    fn a_server_is_ready_only_when_its_status_says_so() {
        assert_eq!(parse(FULL), server(true));
        assert_eq!(parse(&FULL.replace("ready   ", "starting")), server(false));
        assert_eq!(parse(&FULL.replace("ready   ", "stopping")), server(false));
        let early: String = FULL.split_inclusive('\n').take(5).collect();
        assert_eq!(parse(&early), server(false));
    }

    #[test]
    fn single_user_work_is_told_apart() {
        assert_eq!(parse(&FULL.replace("42", "-42")), Found::SingleUser);
    }

    #[test]
    fn anything_odd_is_unreadable() {
        for text in [
            "",
            "\n",
            "42",
            "42\n/d\n",
            "0\n/d\n1\n5432\n",
            "x\n/d\n1\n5432\n",
            "42\nd\n1\n5432\n",
            "42\n/d\nx\n5432\n",
            "\0\0\0\0",
        ] {
            assert_eq!(parse(text), Found::Unreadable, "{text:?}");
        }
    }
}

//! The data folder: made whole or not at all, and never used by a Postgres or in a mode that it was not made for.
//!
//! Invariant: `data` appears by a rename, after `initdb` has ended well and the marker is on disk. Whatever is called
//! `data.partial-*` was left by a crash and means nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::SUPERUSER;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::Error;
use crate::layout::{Layout, make_dir};
use crate::lock::SupervisorLock;
use crate::options::Durability;
use crate::pidfile::read_small;
use crate::process::Process;
use crate::server_log::{fresh, tail_of};
use crate::settings;

/// How long `initdb` may take. Seconds as a rule; a slow disk that syncs is allowed for.
const INITDB_WAIT: Duration = Duration::from_secs(180);
/// What the name of a cluster in the making starts with.
const PARTIAL: &str = "data.partial-";
/// The file inside the data folder that says what it was made for.
const MARKER: &str = "damascus.durability";

/// The major version that made the cluster; `None` if there is none yet.
pub(crate) fn major_of(layout: &Layout) -> Result<Option<u32>, Error> {
    let data = layout.data();
    match fs::metadata(&data) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(Error::NotACluster { data, what: "it is not a folder".to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", data)(error)),
    }
    let file = data.join("PG_VERSION");
    match read_small(&file) {
        Ok(text) => match text.as_deref().map(str::trim_end).map(str::parse) {
            Some(Ok(major)) => Ok(Some(major)),
            _ => Err(Error::NotACluster { data, what: "its file PG_VERSION holds no version".to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NotACluster { data, what: "it has no file PG_VERSION".to_owned() })
        }
        Err(error) => Err(Error::io("read", file)(error)),
    }
}

/// Checks an existing cluster against the programs and the mode that was asked for.
pub(crate) fn check(layout: &Layout, binaries: &Binaries, cluster: u32, asked: Durability) -> Result<(), Error> {
    let data = layout.data();
    if cluster != binaries.major {
        return Err(Error::WrongVersion { data, cluster, bin_dir: binaries.dir.clone(), binaries: binaries.major });
    }
    let marker = data.join(MARKER);
    let made = match read_small(&marker) {
        Ok(Some(text)) if text == name(Durability::Throwaway) => Durability::Throwaway,
        Ok(Some(text)) if text == name(Durability::Durable) => Durability::Durable,
        Ok(_) => return Err(Error::NotACluster { data, what: format!("its file {MARKER} is garbled") }),
        // Somebody else's cluster, moved here: its data is worth keeping.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Durability::Durable,
        Err(error) => return Err(Error::io("read", marker)(error)),
    };
    if made == asked { Ok(()) } else { Err(Error::DurabilityMismatch { data, made, asked }) }
}

/// Makes the cluster. On failure nothing of it is left.
pub(crate) fn make(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
    _held: &SupervisorLock,
) -> Result<(), Error> {
    let partial = layout.root().join(format!("{PARTIAL}{}", std::process::id()));
    let owner = account.step_down.then_some((account.uid, account.gid)).unzip();
    if !make_dir(&partial, 0o700, owner)? {
        return Err(Error::Io {
            action: "clear away",
            path: partial,
            source: io::Error::new(io::ErrorKind::AlreadyExists, "an unfinished cluster is still there"),
        });
    }
    let made = fill(layout, account, binaries, durability, &partial);
    if made.is_err()
        && let Err(error) = fs::remove_dir_all(&partial)
    {
        tracing::warn!(%error, path = %partial.display(), "an unfinished cluster stays until the next start");
    }
    made
}

fn fill(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
    partial: &Path,
) -> Result<(), Error> {
    initdb(layout, account, binaries, durability, partial)?;
    append(account, &partial.join("postgresql.conf"), &settings::suited(durability), false)?;
    append(account, &partial.join(MARKER), name(durability), true)?;
    sync_dir(partial)?;
    let data = layout.data();
    fs::rename(partial, &data).map_err(Error::io("put the new cluster at", &data))?;
    // The rename itself must survive a power cut, or the next start would make an empty cluster beside a used one.
    sync_dir(layout.root())?;
    tracing::info!(path = %data.display(), postgres.version = %binaries.version, "made a new Postgres cluster");
    Ok(())
}

/// Removes what crashed attempts left. What can't be removed now (an `initdb` that outlived its caller may still be writing)
/// stays for the next time.
pub(crate) fn remove_leftovers(layout: &Layout, _held: &SupervisorLock) -> Result<(), Error> {
    for path in leftovers(layout.root()).map_err(Error::io("list", layout.root()))? {
        tracing::warn!(path = %path.display(), "removing an unfinished cluster that a crash left behind");
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::warn!(%error, path = %path.display(), "it stays until the next start");
        }
    }
    Ok(())
}

fn leftovers(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(PARTIAL.as_bytes()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn initdb(
    layout: &Layout,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
    partial: &Path,
) -> Result<(), Error> {
    let log = layout.log_dir().join("initdb.log");
    let output = fresh(layout, &log)?;
    let copy = || output.try_clone().map_err(Error::io("open", &log));
    let program = binaries.initdb();
    let mut command = account.command(&program, layout.root());
    command
        .arg("--pgdata")
        .arg(partial)
        .args(["--username", SUPERUSER, "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"])
        // Sorting by bytes is fast and never changes under an index; letters are still known beyond ASCII.
        .args(["--locale=C", "--lc-ctype=C.UTF-8", "--data-checksums", "--no-instructions"])
        .stdin(Stdio::null())
        .stdout(copy()?)
        .stderr(copy()?);
    if durability == Durability::Throwaway {
        command.arg("--no-sync");
    }
    let failed = |why: String| Error::Program { program: program.clone(), why };
    let mut child = command.spawn().map_err(|error| failed(format!("could not be started: {error}")))?;
    let process = Process::open(child.id()).map_err(|error| failed(format!("could not be watched: {error}")))?;
    let in_time = process.as_ref().map_or(Ok(true), |process| process.wait_exit(INITDB_WAIT)).unwrap_or(false);
    if !in_time && let Err(error) = child.kill() {
        tracing::warn!(%error, "initdb could not be ended");
    }
    let status = child.wait().map_err(|error| failed(format!("could not be waited for: {error}")))?;
    if !in_time {
        return Err(failed(format!("did not end within {} s", INITDB_WAIT.as_secs())));
    }
    if status.success() {
        return Ok(());
    }
    let output = tail_of(output, 0).unwrap_or_else(|error| format!("(its output could not be read: {error})"));
    Err(Error::InitFailed { data: layout.data(), output })
}

/// Writes to a file of the new cluster and syncs it. Its folder belongs to the server's user, so no link is followed, and so
/// must the file: a backup by the server reads every one.
fn append(account: &Account, path: &Path, text: &str, new: bool) -> Result<(), Error> {
    let write = || {
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).create_new(new);
        let mut file = options.open(path)?;
        if account.step_down {
            fchown(&file, Some(account.uid), Some(account.gid))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(Error::io("write", path))
}

fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", path))
}

fn name(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "durable\n",
        Durability::Throwaway => "throwaway\n",
    }
}

//! Where everything lies, and who may reach it.
//!
//! ```text
//! <home>/postgres/            the caller's; 0700, or 0710 with the server's group when the caller is root
//!   data/                     the cluster; the server user's
//!   data.partial-*/           a cluster in the making; never used, removed by the next who comes
//!   run/                      the socket; the server user's, 0700
//!   log/                      the server's log; the caller's, 0700
//!   supervisor.lock users.lock
//! ```
//!
//! Invariant: the folder that names `data`, `run` and `log` belongs to the caller, so that a server which was taken over can't
//! make a caller that is root follow a link out of it. An existing folder above it is never changed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::PORT;
use crate::account::{Account, name_of};
use crate::error::Error;

/// Bytes in a Unix socket's address, the closing zero included (Linux).
const SUN_PATH_BYTES: usize = 108;
/// Bytes that Postgres can take for a path, less room for the files below it (MAXPGPATH is 1,024).
const MAX_ROOT_BYTES: usize = 800;
/// Where the socket's folder goes when the home path is too long for one. Fixed, not `TMPDIR`: every process must find the same.
const SHORT_PARENT: &str = "/tmp";

/// The paths of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    socket_dir: PathBuf,
    /// Who owns `root`, when the caller is root and must hand over what it makes there.
    custodian: Option<(u32, u32)>,
}

/// The absolute form of the home path, or why it can't be used. Nothing is touched.
pub(crate) fn absolute_home(home: &Path) -> Result<PathBuf, Error> {
    let bad = |why: &str| Error::BadHome { path: home.to_owned(), why: why.to_owned() };
    if home.as_os_str().is_empty() {
        return Err(bad("it is empty"));
    }
    let absolute = std::path::absolute(home).map_err(|error| bad(&format!("it can't be made absolute: {error}")))?;
    let text = absolute.to_str().ok_or_else(|| bad("it is not valid UTF-8, which a database URL needs"))?;
    if text.chars().any(char::is_control) {
        return Err(bad("it contains control characters, which Postgres' own files can't hold"));
    }
    if text.len() > MAX_ROOT_BYTES {
        return Err(bad(&format!("it is longer than {MAX_ROOT_BYTES} bytes, which is more than Postgres can take")));
    }
    Ok(absolute)
}

/// Who owns the cluster under `home`, if there is one.
pub(crate) fn cluster_owner(home: &Path) -> Option<u32> {
    fs::metadata(home.join("postgres/data")).ok().map(|meta| meta.uid())
}

impl Layout {
    /// Makes the folders that are missing and checks those that are there. `home` comes from [`absolute_home`].
    pub(crate) fn prepare(home: &Path, account: &Account) -> Result<Self, Error> {
        make_home(home, account)?;
        // One spelling for all processes: links resolved. Checked again, since a link may lead anywhere.
        let home = absolute_home(&home.canonicalize().map_err(Error::io("resolve", home))?)?;
        let root = home.join("postgres");
        make_private(&root, account)?;
        let meta = fs::metadata(&root).map_err(Error::io("read", &root))?;
        let caller = nix::unistd::geteuid().as_raw();
        if meta.uid() != caller && !account.step_down {
            return Err(Error::Unsafe {
                why: format!("belongs to {}, not to {}", name_of(meta.uid()), name_of(caller)),
                fix: "Run Damascus as that user (or as root), or set DAMASCUS_HOME to another folder".to_owned(),
                path: root,
            });
        }
        let custodian = (meta.uid() != caller).then_some((meta.uid(), meta.gid()));
        let layout = Self { socket_dir: choose_socket_dir(&root, account), root, custodian };
        layout.make_log_dir()?;
        layout.check_data_owner(account)?;
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn supervisor_lock(&self) -> PathBuf {
        self.root.join("supervisor.lock")
    }

    pub(crate) fn users_lock(&self) -> PathBuf {
        self.root.join("users.lock")
    }

    /// The folder of the server's socket, short enough for a socket's address.
    pub(crate) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// The server's lock file for its socket.
    pub(crate) fn socket_lock(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))
    }

    /// Removes a socket folder outside the home; one inside stays.
    pub(crate) fn forget_short_socket_dir(&self) {
        if !self.socket_dir.starts_with(&self.root)
            && let Err(error) = fs::remove_dir(&self.socket_dir)
        {
            tracing::debug!(%error, path = %self.socket_dir.display(), "the socket folder stays");
        }
    }

    /// Gives a file that root made in somebody else's folder to that somebody, who must still be able to open it.
    pub(crate) fn hand_to_custodian(&self, file: &File, path: &Path) -> Result<(), Error> {
        match self.custodian {
            Some((uid, gid)) => fchown(file, Some(uid), Some(gid)).map_err(Error::io("change the owner of", path)),
            None => Ok(()),
        }
    }

    fn make_log_dir(&self) -> Result<(), Error> {
        make_dir(&self.log_dir(), 0o700, self.custodian.unzip()).map(drop)
    }

    /// Makes the socket's folder if it is missing, and checks it. Again before every start: the last to leave removes a short one.
    pub(crate) fn make_socket_dir(&self, account: &Account) -> Result<(), Error> {
        let owner = account.step_down.then_some((account.uid, account.gid)).unzip();
        make_dir(&self.socket_dir, 0o700, owner)?;
        check_private(&self.socket_dir, account)
    }

    fn check_data_owner(&self, account: &Account) -> Result<(), Error> {
        let data = self.data();
        let owner = match fs::metadata(&data) {
            Ok(meta) => meta.uid(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("read", data)(error)),
        };
        if owner == account.uid {
            return Ok(());
        }
        Err(Error::Unsafe {
            why: format!("belongs to {}, but the server would run as user {:?}", name_of(owner), account.name),
            fix: format!(
                "Run Damascus as its owner, or hand it over with `chown -R {} {}`",
                account.name,
                data.display()
            ),
            path: data,
        })
    }
}

/// The folder of the socket: in the home if its path is short enough, else one that every process derives alike.
fn choose_socket_dir(root: &Path, account: &Account) -> PathBuf {
    let near = root.join("run");
    if near.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() < SUN_PATH_BYTES {
        return near;
    }
    Path::new(SHORT_PARENT).join(format!("damascus-{}-{:016x}", account.uid, fnv1a(root.as_os_str())))
}

/// Makes `home` and the folders above it that are missing: those above open to all, `home` itself to nobody else.
fn make_home(home: &Path, account: &Account) -> Result<(), Error> {
    if home.is_dir() {
        return Ok(());
    }
    let mut missing: Vec<&Path> = home.ancestors().skip(1).take_while(|path| !path.exists()).collect();
    missing.reverse();
    for parent in missing {
        make_dir(parent, 0o755, (None, None))?;
    }
    make_private(home, account)
}

/// Makes a folder for the caller alone; if the caller is root, the server's group may pass through, but not look.
fn make_private(dir: &Path, account: &Account) -> Result<(), Error> {
    let (mode, group) = if account.step_down { (0o710, Some(account.gid)) } else { (0o700, None) };
    make_dir(dir, mode, (None, group)).map(drop)
}

/// Makes a folder with exactly this mode and owner, whatever the umask; false if a folder was there, which is left as it is.
/// It appears by a rename, so that no other process sees it half-made, such as without its group. Owner and mode are set
/// through a descriptor: where others can write, a name may come to mean something else.
pub(crate) fn make_dir(dir: &Path, mode: u32, (uid, gid): (Option<u32>, Option<u32>)) -> Result<bool, Error> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    if dir.is_dir() {
        return Ok(false);
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let new = dir.with_file_name(format!(".{name}.new-{}-{number}", std::process::id()));
    // Left by a crash of a process with the same id, if at all. Only an empty folder is removed.
    let _ = fs::remove_dir(&new);
    DirBuilder::new().mode(mode).create(&new).map_err(Error::io("make the folder", dir))?;
    let finish = || {
        let made = open_dir(&new)?;
        made.set_permissions(Permissions::from_mode(mode)).map_err(Error::io("set the mode of", &new))?;
        if uid.is_some() || gid.is_some() {
            fchown(&made, uid, gid).map_err(Error::io("change the owner of", &new))?;
        }
        fs::rename(&new, dir).map_err(Error::io("make the folder", dir))
    };
    let finished = finish();
    if finished.is_err() {
        let _ = fs::remove_dir(&new);
        // Another process was quicker, and has put something into it.
        if dir.is_dir() {
            return Ok(false);
        }
    }
    finished.map(|()| true)
}

fn open_dir(dir: &Path) -> Result<File, Error> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(dir).map_err(Error::io("open the folder", dir))
}

/// Checks that a folder is a real one, open to nobody else, and belongs to the server's user; if it is the caller's own, left by
/// a crash before it was handed over, it is handed over now. Others can write where it may lie (`/tmp`), so anything else is
/// refused instead of repaired.
fn check_private(dir: &Path, account: &Account) -> Result<(), Error> {
    let meta = fs::symlink_metadata(dir).map_err(Error::io("read", dir))?;
    let caller = nix::unistd::geteuid().as_raw();
    let why = if !meta.is_dir() {
        "is not a folder".to_owned()
    } else if meta.uid() != account.uid && meta.uid() != caller {
        format!("belongs to {}", name_of(meta.uid()))
    } else if meta.mode() & 0o077 != 0 {
        format!("is open to others (mode {:o})", meta.mode() & 0o7777)
    } else if meta.uid() != account.uid {
        return fchown(open_dir(dir)?, Some(account.uid), Some(account.gid))
            .map_err(Error::io("change the owner of", dir));
    } else {
        return Ok(());
    };
    Err(Error::Unsafe {
        path: dir.to_owned(),
        why: format!("is to hold the database's socket, but {why}"),
        fix: "Find out who made it, remove it and try again, or set DAMASCUS_HOME to another, shorter path".to_owned(),
    })
}

/// FNV-1a with 64 bits: the same in every version of every program, which std's hasher does not promise. It only keeps homes
/// apart; owner and mode of the folder are what protects it.
fn fnv1a(text: &OsStr) -> u64 {
    text.as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_home_becomes_absolute() {
        let home = absolute_home(Path::new("some/../home")).unwrap();
        assert!(home.is_absolute(), "{}", home.display());
        assert!(home.starts_with(std::env::current_dir().unwrap()));
    }

    #[test]
    fn homes_are_kept_apart_and_the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(OsStr::new("")), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(OsStr::new("a")), 0xaf63_dc4c_8601_ec8c);
    }
}

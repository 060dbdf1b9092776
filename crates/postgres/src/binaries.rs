//! Finds the Postgres programs of this machine. None are downloaded.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::account::Account;
use crate::error::Error;
use crate::options::Options;
use crate::process::Process;

/// The oldest major version that the schema and the settings are written for.
pub(crate) const MIN_MAJOR: u32 = 15;
/// Where Debian and its relatives keep one folder per major version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";
/// How long a program may take to print its version or a path.
const PRINT_WAIT: Duration = Duration::from_secs(10);
/// The most that is read of such a line, in bytes.
const MAX_LINE_BYTES: u64 = 4 * 1024;
/// How many folders of a search path are looked at.
const MAX_SEARCH_DIRS: usize = 256;

/// The programs of one Postgres installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder that holds `initdb` and `postgres`.
    pub dir: PathBuf,
    /// The major version, at least 15.
    pub major: u32,
    /// The version as the program prints it, such as `15.14 (Debian 15.14-0+deb12u1)`.
    pub version: String,
}

impl Binaries {
    /// Finds what [`ManagedPostgres::acquire`](crate::ManagedPostgres::acquire) would use for a new cluster. Makes nothing.
    ///
    /// # Errors
    /// [`Error::NoBinaries`] with every place that was searched.
    pub fn find(options: &Options) -> Result<Self, Error> {
        let account = Account::resolve(options, None)?;
        find(options, &account, Path::new("/"), None)
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

/// Searches in order, and takes the first usable place; if a cluster exists, the first of its version, for a newer Postgres
/// installed beside the old one must not lock anybody out of the data. `folder` is where the programs will have to run.
pub(crate) fn find(
    options: &Options,
    account: &Account,
    folder: &Path,
    cluster: Option<u32>,
) -> Result<Binaries, Error> {
    let mut looked = Vec::new();
    let mut other: Option<Binaries> = None;
    for place in places(options) {
        match place.and_then(|dir| inspect(&dir, account, folder).map_err(|why| format!("{} ({why})", dir.display()))) {
            Ok(found) if cluster.is_none_or(|major| major == found.major) => return Ok(found),
            Ok(found) => other = other.or(Some(found)),
            Err(why) => {
                // No program runs where nobody may enter: the folder is to blame, whatever the program said.
                if let Some(dir) = account.step_down.then(|| account.first_closed(folder)).flatten() {
                    return Err(Error::Untraversable { dir, user: account.name.clone() });
                }
                looked.push(why);
            }
        }
    }
    other.ok_or_else(|| Error::NoBinaries { looked: looked.join("; ") })
}

/// The places to look in, best first; each is found only when the ones before it were no good. A place that does not exist says why.
fn places(options: &Options) -> Box<dyn Iterator<Item = Result<PathBuf, String>> + '_> {
    if let Some(dir) = &options.bin_dir {
        return Box::new(std::iter::once(Ok(dir.clone())));
    }
    let path = options.search_path.as_deref();
    Box::new(
        std::iter::once_with(move || pg_config(path))
            .chain(std::iter::once_with(debian).flatten())
            .chain(std::iter::once_with(move || on_path(path)).flatten()),
    )
}

fn pg_config(path: Option<&OsStr>) -> Result<PathBuf, String> {
    let program = dirs(path)
        .map(|dir| dir.join("pg_config"))
        .find(|program| program.is_file())
        .ok_or_else(|| "`pg_config --bindir` (not on PATH)".to_owned())?;
    let mut command = Command::new(&program);
    command.arg("--bindir").env_clear().env("PATH", path.unwrap_or_default());
    match first_line(&mut command) {
        Ok(line) if line.starts_with('/') => Ok(PathBuf::from(line)),
        Ok(line) => Err(format!("`{} --bindir` (printed {line:?}, which is no absolute path)", program.display())),
        Err(error) => Err(format!("`{} --bindir` ({error})", program.display())),
    }
}

fn debian() -> Vec<Result<PathBuf, String>> {
    let mut majors: Vec<u32> = fs::read_dir(DEBIAN_ROOT)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    if majors.is_empty() {
        return vec![Err(format!("{DEBIAN_ROOT}/*/bin (none)"))];
    }
    majors.into_iter().map(|major| Ok(Path::new(DEBIAN_ROOT).join(major.to_string()).join("bin"))).collect()
}

fn on_path(path: Option<&OsStr>) -> Vec<Result<PathBuf, String>> {
    let found: Vec<_> = dirs(path).filter(|dir| dir.join("postgres").is_file()).map(Ok).collect();
    if found.is_empty() { vec![Err("PATH (no `postgres` on it)".to_owned())] } else { found }
}

/// The absolute folders of a search path. A relative one would mean another program in every working directory.
fn dirs(path: Option<&OsStr>) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(path.unwrap_or_default()).filter(|dir| dir.is_absolute()).take(MAX_SEARCH_DIRS)
}

/// Checks that both programs are there, that the server's user can run them where they will have to run, and their version.
fn inspect(dir: &Path, account: &Account, folder: &Path) -> Result<Binaries, String> {
    for name in ["postgres", "initdb"] {
        if !dir.join(name).is_file() {
            return Err(format!("no `{name}` there"));
        }
    }
    let line = first_line(account.command(&dir.join("postgres"), folder).arg("--version")).map_err(|error| {
        match account.step_down.then(|| account.first_closed(dir)).flatten() {
            Some(closed) => format!("user {:?}, who runs the server, may not enter {}", account.name, closed.display()),
            None => format!("`postgres --version` failed: {error}"),
        }
    })?;
    let (major, version) = parse_version(&line).ok_or_else(|| format!("`postgres --version` printed {line:?}"))?;
    if major < MIN_MAJOR {
        return Err(format!("version {version} is too old"));
    }
    Ok(Binaries { dir: dir.to_owned(), major, version })
}

/// Reads `postgres (PostgreSQL) 15.14 (Debian …)` or `… 18beta1`.
fn parse_version(line: &str) -> Option<(u32, String)> {
    let version = line.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    Some((version[..digits].parse().ok()?, version.to_owned()))
}

/// Runs a program that prints one line and ends, and gives that line without control characters.
fn first_line(command: &mut Command) -> io::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    if let Some(process) = Process::open(child.id())?
        && !process.wait_exit(PRINT_WAIT)?
    {
        child.kill()?;
        child.wait()?;
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PRINT_WAIT.as_secs())));
    }
    let status = child.wait()?;
    let mut output = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        pipe.take(MAX_LINE_BYTES).read_to_end(&mut output)?;
    }
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_strictly() {
        let debian = "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)";
        assert_eq!(parse_version(debian), Some((15, "15.14 (Debian 15.14-0+deb12u1)".to_owned())));
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta1"), Some((18, "18beta1".to_owned())));
        for odd in ["", "postgres", "postgres (PostgreSQL) ", "postgres (PostgreSQL) devel", "pg_ctl (PostgreSQL) 15.1"]
        {
            assert_eq!(parse_version(odd), None, "{odd:?}");
        }
    }
}

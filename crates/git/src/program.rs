//! The git program, and the one place that builds a command of it.
//!
//! Invariant: every command has an absolute program path, an explicit git directory (or none at all), an environment built from nothing,
//! and settings from here only. What a repository's configuration, attributes or hooks name never runs on our side.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::error::GitError;
use crate::run::Call;

/// The oldest git that has `merge-tree --write-tree`.
const OLDEST: (u32, u32) = (2, 38);

/// How long `git --version` may take.
const VERSION_WAIT: Duration = Duration::from_secs(20);

/// Where git looks for the programs it needs (a shell to start the other side of a local remote). Git puts its own folder in front.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Settings that every command gets. They come from the command line, which no file overrides.
///
/// - `safe.directory=*`: git refuses repositories of other users, since it would read their configuration. The mirror is ours, and the
///   remote was named by the operator and may well belong to another user; no third repository is ever opened.
/// - `attr.tree` (git 2.43 and newer) is the empty tree and the mirror's HEAD has no commit, so that no `.gitattributes` is read.
/// - `core.fsync`: an object that the database tells of must be there after a power cut.
/// - `core.bigFileThreshold`: larger blobs are not compared by lines, which would take many times their size in memory.
/// - `transfer.fsckObjects` is left off: it refuses old, honest histories for long-forgiven slips (zero-padded modes, odd time zones),
///   while what it would protect, a check-out by git, never happens here. Names, modes and symlinks are checked where they are written.
const SETTINGS: [&str; 22] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "attr.tree=4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "core.autocrlf=false",
    "core.symlinks=true",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.quotePath=false",
    "core.bigFileThreshold=16m",
    "core.fsync=committed,loose-object",
    "core.fsyncMethod=batch",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "safe.directory=*",
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "fetch.recurseSubmodules=false",
    "transfer.credentialsInUrl=die",
    "advice.pushUpdateRejected=false",
];

/// The git program: its absolute path and version.
#[derive(Debug, Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    program: PathBuf,
    version: String,
    number: (u32, u32),
}

impl Git {
    /// Looks for git in the PATH of this process; it must be at least version 2.38.
    pub async fn find() -> Result<Self, GitError> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| SEARCH_PATH.into());
        // A relative folder would mean another program after a change of folder.
        let mut candidates =
            std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("git"));
        match candidates.find(|candidate| is_program(candidate)) {
            Some(program) => Self::at(program).await,
            None => Err(GitError::NotInstalled { looked: crate::name::shown(path.as_bytes()) }),
        }
    }

    /// Takes the git program at this absolute path; it must be at least version 2.38.
    pub async fn at(program: PathBuf) -> Result<Self, GitError> {
        if !program.is_absolute() {
            let name = crate::name::shown(program.as_os_str().as_bytes());
            return Err(GitError::BadName { what: "the git program", name, why: "it is not an absolute path" });
        }
        let unknown =
            Self { inner: Arc::new(Inner { program: program.clone(), version: String::new(), number: (0, 0) }) };
        let output = Call::new("--version", VERSION_WAIT).run(&unknown).await?.success()?;
        let answer = String::from_utf8_lossy(&output);
        let version = answer.trim().strip_prefix("git version ").unwrap_or_default();
        match number(version) {
            Some(number) if number >= OLDEST => {
                Ok(Self { inner: Arc::new(Inner { program, version: version.to_owned(), number }) })
            }
            _ => Err(GitError::TooOld { program, found: crate::name::shown(answer.trim().as_bytes()) }),
        }
    }

    /// What the program says its version is, such as `2.47.3`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// Whether the program is at least this version.
    pub(crate) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        self.inner.number >= (major, minor)
    }

    /// The absolute path of the program.
    pub(crate) fn program(&self) -> &Path {
        &self.inner.program
    }

    /// The one builder of commands. `git_dir` is None only for what needs no repository of ours.
    pub(crate) fn command(&self, git_dir: Option<&Path>, subcommand: &str, args: &[OsString]) -> Command {
        let mut command = Command::new(&self.inner.program);
        command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        for (name, value) in ENVIRONMENT {
            command.env(name, value);
        }
        if subcommand != "--version" {
            for setting in SETTINGS {
                command.arg("-c").arg(setting);
            }
        }
        if let Some(git_dir) = git_dir {
            command.arg(joined(OsStr::new("--git-dir="), git_dir.as_os_str()));
        }
        command.arg(subcommand).args(args);
        command
    }

    /// The command line, for a shell, of the other side of a local remote. Git drops our settings there, since it is another
    /// repository; only that it may be opened is passed on, so that its own hooks and protections hold.
    pub(crate) fn other_side(&self, service: &str) -> OsString {
        let mut line = b"'".to_vec();
        for byte in self.inner.program.as_os_str().as_bytes() {
            if *byte == b'\'' { line.extend(b"'\\''") } else { line.push(*byte) }
        }
        line.extend(b"' -c 'safe.directory=*' ");
        line.extend(service.as_bytes());
        OsString::from_vec(line)
    }
}

/// All that a command finds in its environment. The hooks of a local remote find it too.
///
/// `GIT_NO_LAZY_FETCH`: a partial clone as a remote must not make git run the program that its configuration names.
const ENVIRONMENT: [(&str, &str); 18] = [
    ("PATH", SEARCH_PATH),
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("TZ", "UTC"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "file"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
    ("GIT_ASKPASS", "/bin/false"),
    ("SSH_ASKPASS", "/bin/false"),
    ("GIT_EDITOR", "/bin/false"),
    ("GIT_PAGER", "cat"),
    ("GIT_ADVICE", "0"),
];

/// Puts a prefix before something that need not be UTF-8.
pub(crate) fn joined(prefix: &OsStr, rest: &OsStr) -> OsString {
    let mut whole = prefix.to_owned();
    whole.push(rest);
    whole
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// The first two parts of `2.47.3` or `2.39.5 (Apple Git-154)`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', ' ', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(number("2.39.5"), Some((2, 39)));
        assert_eq!(number("2.100.0-rc1"), Some((2, 100)));
        assert_eq!(number("2.39.3 (Apple Git-146)"), Some((2, 39)));
        assert_eq!(number("unknown"), None);
        assert!(number("2.9.9") < Some(OLDEST));
    }
}

//! Every way in which git can fail here. Each message says what to do next.
//!
//! Invariant: text that git or a remote wrote is bounded and safe to show before it gets into an error.

use std::io;
use std::path::{Path, PathBuf};

/// Why something with git was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git program.
    #[error(
        "no git program was found in PATH ({looked}). Install git (Debian, Ubuntu: `apt-get install git`) and see that PATH leads to it"
    )]
    NotInstalled {
        /// The folders that were searched.
        looked: String,
    },
    /// The git program is too old, or does not say what it is.
    #[error("{} says that it is \"{found}\", but git 2.38 or newer is needed (`git merge-tree --write-tree`). Install a newer git", program.display())]
    TooOld {
        /// The program.
        program: PathBuf,
        /// What it answered to `--version`.
        found: String,
    },
    /// The git program could not be started.
    #[error("{} could not be started; see that it is there and may be run", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A git command took too long and was killed with all that it had started.
    #[error(
        "`git {command}` was not done within {seconds} s and was stopped. It is tried again; if it happens often, the machine or the remote is too slow"
    )]
    TimedOut {
        /// The git command, such as `fetch`.
        command: &'static str,
        /// How long it was given, in seconds.
        seconds: u64,
    },
    /// A git command failed for a reason that has no variant of its own.
    #[error("`git {command}` failed ({status}): {said}")]
    Failed {
        /// The git command, such as `fetch`.
        command: &'static str,
        /// Its exit status.
        status: String,
        /// What it wrote to standard error: safe and bounded.
        said: String,
    },
    /// Git answered with something that this version of Damascus does not understand.
    #[error("`git {command}` answered something unexpected: {what}. Report it, with the output of `git --version`")]
    Unexpected {
        /// The git command.
        command: &'static str,
        /// What was wrong with the answer.
        what: String,
    },
    /// A disk is full, or a quota is used up.
    #[error("the disk is full (No space left on device) while {doing}: {said}. Free some space; it is tried again")]
    DiskFull {
        /// What was being done.
        doing: String,
        /// What the system or git said.
        said: String,
    },
    /// Another process held a lock for too long.
    #[error("{} is locked by another process ({said}). It is tried again; if it stays, look for a git or Damascus process that hangs", path.display())]
    Locked {
        /// The lock file, or the repository it is in.
        path: PathBuf,
        /// Who or what holds it, as far as known.
        said: String,
    },
    /// There is nothing at the path of the project's repository.
    #[error("there is no repository at {}: nothing is there. Check the project's repository path, or make one with `git init --bare {}`", path.display(), path.display())]
    RepositoryMissing {
        /// The path.
        path: PathBuf,
    },
    /// What is there is not a repository.
    #[error("{} is not a git repository ({what}). Check the path; move away what is there, or name the repository's own folder", path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// What is missing or odd.
        what: String,
    },
    /// The repository has no branch.
    #[error("the repository {remote} is empty: it has no branch. Push a first commit to `{branch}` and try again")]
    Empty {
        /// The remote.
        remote: String,
        /// The branch that was looked for.
        branch: String,
    },
    /// The repository has branches, but not this one.
    #[error(
        "the repository {remote} has no branch `{branch}`; it has: {has}. Push that branch, or set the project's base branch to one of these"
    )]
    BranchMissing {
        /// The remote.
        remote: String,
        /// The branch that was looked for.
        branch: String,
        /// Some of the branches that are there.
        has: String,
    },
    /// The repository names its objects by SHA-256.
    #[error(
        "{remote} is a SHA-256 repository, which Damascus does not support. Use a repository made with `git init --object-format=sha1`"
    )]
    UnsupportedFormat {
        /// The remote or the mirror.
        remote: String,
    },
    /// The remote did not answer, or broke off.
    #[error(
        "the repository {remote} can't be reached: {said}. It is tried again; check that it is there and may be read and written"
    )]
    Unreachable {
        /// The remote.
        remote: String,
        /// What git said.
        said: String,
    },
    /// A name that git or Damascus does not take.
    #[error("\"{name}\" can't be used as {what}: {why}")]
    BadName {
        /// What it was meant for, such as `a branch name`.
        what: &'static str,
        /// The name, safe to show.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// An object is not in the mirror, or is not of the kind asked for.
    #[error("{id} is not {wanted} in the mirror ({found}). Fetch first; if it stays, the remote no longer has it")]
    NoObject {
        /// The object's name.
        id: String,
        /// What was looked for, such as `a commit`.
        wanted: &'static str,
        /// What was found instead.
        found: String,
    },
    /// A push that says it goes forward, but does not.
    #[error("{commit} does not descend from {tip}: it can't be pushed as a fast-forward. Merge or rebase first")]
    NotFastForward {
        /// The commit to push.
        commit: String,
        /// The tip that it should descend from.
        tip: String,
    },
    /// More than a bound allows.
    #[error("{what} is more than the limit of {limit}. Make the change or the repository smaller")]
    TooMuch {
        /// What there was too much of.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// A tree that must not be written to disk, or can't be shown.
    #[error(
        "the tree has \"{path}\": {why}. Take it out of the branch (`git rm`, or a rewrite of the commit) and try again"
    )]
    BadTree {
        /// The path, escaped.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file system said no.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what, escaped.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Work of this crate ended before its result was there.
    #[error("work on {what} broke off; try again")]
    BrokenOff {
        /// What was being done.
        what: &'static str,
    },
}

impl GitError {
    /// Whether the same call may succeed later with nothing changed by a person: a remote that can't be reached, a lock, a full
    /// disk, a machine that is too slow or short of processes.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::TimedOut { .. }
            | Self::DiskFull { .. }
            | Self::Locked { .. }
            | Self::Unreachable { .. }
            | Self::BrokenOff { .. } => true,
            Self::Failed { status, said, .. } => {
                const PASSING: [&str; 4] = [
                    "Resource temporarily unavailable",
                    "Cannot allocate memory",
                    "Too many open files",
                    ".lock': File exists",
                ];
                // A signal came from outside: the machine is short of memory, or goes down.
                status.starts_with("signal") || PASSING.iter().any(|words| said.contains(words))
            }
            Self::Start { source, .. } | Self::Io { source, .. } => {
                const PASSING: [i32; 6] = [
                    rustix::io::Errno::AGAIN.raw_os_error(),
                    rustix::io::Errno::NOMEM.raw_os_error(),
                    rustix::io::Errno::MFILE.raw_os_error(),
                    rustix::io::Errno::NFILE.raw_os_error(),
                    rustix::io::Errno::TXTBSY.raw_os_error(),
                    rustix::io::Errno::INTR.raw_os_error(),
                ];
                source.raw_os_error().is_some_and(|code| PASSING.contains(&code))
            }
            _ => false,
        }
    }

    /// Makes the error of a failed system call; a full disk gets its own.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let (source, path) = (source.into(), crate::name::shown(path.as_ref().as_os_str().as_encoded_bytes()));
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::DiskFull { doing: format!("trying to {action} {path}"), said: source.to_string() };
        }
        Self::Io { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_tried_again() {
        let failed = |status: &str, said: &str| {
            GitError::Failed { command: "x", status: status.into(), said: said.into() }.retryable()
        };
        assert!(failed("signal: 9 (SIGKILL)", ""));
        assert!(failed("exit status: 128", "fatal: fork failed: Resource temporarily unavailable"));
        assert!(!failed("exit status: 128", "fatal: bad object"));
        let io = |code| GitError::io("write", "x", io::Error::from_raw_os_error(code));
        assert!(matches!(io(28), GitError::DiskFull { .. }) && io(28).retryable(), "ENOSPC");
        assert!(matches!(io(122), GitError::DiskFull { .. }), "EDQUOT");
        assert!(io(24).retryable(), "EMFILE");
        assert!(!io(13).retryable(), "EACCES");
        assert!(!GitError::RepositoryMissing { path: "/x".into() }.retryable());
    }
}

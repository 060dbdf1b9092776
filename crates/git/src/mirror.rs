//! A mirror: a bare repository of our own for one project's repository, with its refs.
//!
//! Invariants: a mirror appears whole or not at all (made beside its place, then renamed); its refs are written only under its lock;
//! `refs/forge/*` is what the remote's branches were when last fetched, `refs/damascus/*` is what we keep from collection. Nothing else
//! is a ref, and HEAD never has a commit.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use damascus_core::CommitId;
use damascus_core::display::one_line;

use crate::error::GitError;
use crate::lock::{MirrorLock, beside};
use crate::name::{check_branch, check_ref_part, shown};
use crate::program::Git;
use crate::run::{Call, Output};
use crate::types::Remote;

/// How long a command may take that only looks into the mirror.
pub(crate) const LOCAL_WAIT: Duration = Duration::from_secs(60);

/// How long a fetch may take: the first one brings the whole history.
const FETCH_WAIT: Duration = Duration::from_secs(900);

/// The unborn branch that HEAD names, so that no attributes are read from it.
const NO_BRANCH: &str = "damascus/none";

/// How deep and how many files the search for left-over lock files looks, so that it ends on any folder.
const MAX_STALE_SEARCH: usize = 200_000;

/// How many folders of objects there are: 256 by their first byte, and a few of git's own.
const MAX_OBJECT_FOLDERS: usize = 300;

/// How many of a remote's branches a message names.
const NAMED_BRANCHES: usize = 10;

/// A bare repository of our own that mirrors a project's: one per project.
///
/// Object names must be those of SHA-1 repositories.
#[derive(Debug, Clone)]
pub struct Mirror {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    git: Git,
    dir: PathBuf,
    remote: Remote,
}

impl Mirror {
    /// Makes the mirror when it isn't there, and takes up one that is. `dir` is absolute; its parent is made if need be.
    ///
    /// Safe when many processes do it at once, and after one that was killed while it did. The remote is not looked at.
    pub async fn open(git: Git, dir: PathBuf, remote: Remote) -> Result<Self, GitError> {
        let Remote::Local(path) = &remote;
        for path in [&dir, path] {
            if !path.is_absolute() || path.file_name().is_none() {
                let name = shown(path.as_os_str().as_encoded_bytes());
                return Err(GitError::BadName { what: "a repository's path", name, why: "it is not absolute" });
            }
        }
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(|error| GitError::io("make the folder", parent, error))?;
        }
        let lock = MirrorLock::take(&dir).await?;
        let mirror = Self { inner: Arc::new(Inner { git, dir, remote }) };
        mirror.make_if_absent(&lock).await?;
        mirror.check_is_ours().await?;
        drop(lock);
        mirror.clear_leavings().await;
        Ok(mirror)
    }

    async fn make_if_absent(&self, lock: &MirrorLock) -> Result<(), GitError> {
        let dir = self.dir();
        match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(GitError::io("read the folder", dir, error)),
        }
        // Only the holder of the lock uses this name, so what is there was left by one that was killed.
        let making = beside(dir, ".making");
        match fs::remove_dir_all(&making) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(GitError::io("remove the half-made mirror", &making, error));
            }
            _ => {}
        }
        let branch = format!("--initial-branch={NO_BRANCH}");
        let call = Call::new("init", LOCAL_WAIT).holding(lock.share()?);
        let call = call.args(["--quiet", "--bare", "--template=", "--object-format=sha1", &branch]);
        call.run_in(self.git(), Some(&making)).await?.success()?;
        fs::rename(&making, dir).map_err(|error| GitError::io("put the new mirror at", dir, error))
    }

    async fn check_is_ours(&self) -> Result<(), GitError> {
        let call = Call::new("rev-parse", LOCAL_WAIT).args(["--is-bare-repository", "--show-object-format"]);
        let output = call.run_in(self.git(), Some(self.dir())).await?;
        if output.status.code() == Some(128) {
            let what =
                if output.said.is_empty() { "git does not open it".to_owned() } else { one_line(&output.said, 300) };
            return Err(GitError::NotARepository { path: self.dir().to_owned(), what });
        }
        match output.text()?.trim() {
            "true\nsha1" => Ok(()),
            "true\nsha256" => {
                Err(GitError::UnsupportedFormat { remote: shown(self.dir().as_os_str().as_encoded_bytes()) })
            }
            _ => Err(GitError::NotARepository { path: self.dir().to_owned(), what: "not a bare one".to_owned() }),
        }
    }

    /// Brings `refs/forge/*` up to the remote's branches; those that are gone there go here. Tags and other refs are not fetched.
    ///
    /// One fetch runs at a time over all processes. A remote that is not there, is no repository, or is a SHA-256 one, is a distinct
    /// error; an empty one is not an error here: see [`Self::base_tip`].
    pub async fn fetch(&self) -> Result<(), GitError> {
        self.check_remote()?;
        let lock = MirrorLock::take(self.dir()).await?;
        self.remove_stale_locks()?;
        let pack = joined_option("--upload-pack=", self.git().other_side("upload-pack"));
        let call = Call::new("fetch", FETCH_WAIT)
            .holding(lock.share()?)
            .args(["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--refmap="])
            .args(["--no-recurse-submodules", "--no-show-forced-updates", "--no-write-commit-graph"])
            .args([pack, "--".into(), self.remote_arg(), "+refs/heads/*:refs/forge/*".into()]);
        let output = self.write(call).await?;
        if output.status.success() { Ok(()) } else { Err(self.remote_failure(output)) }
    }

    /// Runs a command that writes objects. When it fails, what it left half-written is removed: on a full disk that is what makes
    /// another try worth while.
    pub(crate) async fn write(&self, call: Call) -> Result<Output, GitError> {
        let writing = MirrorLock::writing(self.dir()).await?;
        let result = call.run_in(self.git(), Some(self.dir())).await;
        drop(writing);
        // 1 is the answer of a merge that has conflicts.
        if !result.as_ref().is_ok_and(|output| output.status.success() || output.is_code(1)) {
            self.clear_leavings().await;
        }
        result
    }

    /// Removes half-written objects of commands that failed or were killed, unless somebody is writing now. No git command would:
    /// the mirror is never collected.
    async fn clear_leavings(&self) {
        let Some(_alone) = MirrorLock::nobody_writes(self.dir()).await else { return };
        let (dir, objects) = (self.dir().to_owned(), self.dir().join("objects"));
        let loose = fs::read_dir(&objects).into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in loose.take(MAX_OBJECT_FOLDERS).chain([dir, objects.clone()]) {
            let inside = fs::read_dir(&folder).into_iter().flatten().flatten().take(MAX_STALE_SEARCH);
            for entry in inside.filter(|entry| is_leaving(entry.file_name().as_encoded_bytes())) {
                match fs::remove_file(entry.path()) {
                    Ok(()) => tracing::info!(path = %entry.path().display(), "removed what a broken write of git left"),
                    Err(error) => {
                        tracing::warn!(%error, path = %entry.path().display(), "could not remove what a broken write of git left")
                    }
                }
            }
        }
    }

    /// Removes the lock files of git commands that were killed. Under the mirror's lock no command of ours writes refs.
    fn remove_stale_locks(&self) -> Result<(), GitError> {
        let mut found =
            vec![self.dir().join("packed-refs.lock"), self.dir().join("config.lock"), self.dir().join("HEAD.lock")];
        found.push(self.dir().join("shallow.lock"));
        let mut folders = vec![self.dir().join("refs")];
        let mut left = MAX_STALE_SEARCH;
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten().take(left) {
                left = left.saturating_sub(1);
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "lock") {
                    found.push(path);
                }
            }
        }
        for path in found {
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed the lock of a git command that was killed"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(GitError::io("remove the stale lock", &path, error)),
            }
        }
        Ok(())
    }

    /// The tip of a branch as last fetched.
    pub async fn tip(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        check_branch(branch)?;
        self.read_ref(&format!("refs/forge/{branch}")).await
    }

    /// The tip of a branch that must be there, as last fetched; without it, an error that says whether the repository is empty, or
    /// which branches it has.
    pub async fn base_tip(&self, branch: &str) -> Result<CommitId, GitError> {
        if let Some(tip) = self.tip(branch).await? {
            return Ok(tip);
        }
        let branches = self.remote_branches().await?;
        let (remote, branch) = (self.remote_name(), branch.to_owned());
        if branches.is_empty() {
            return Err(GitError::Empty { remote, branch });
        }
        let more = if branches.len() > NAMED_BRANCHES { ", …" } else { "" };
        let has =
            branches.iter().take(NAMED_BRANCHES).map(|name| shown(name.as_bytes())).collect::<Vec<_>>().join(", ");
        Err(GitError::BranchMissing { remote, branch, has: format!("{has}{more}") })
    }

    /// Keeps a commit under `refs/damascus/<name>`, so that nothing of ours is ever collected. Doing it again is no change; a name
    /// that is there moves.
    ///
    /// As for branches, there can't be both a name `a` and a name `a/b`.
    pub async fn keep(&self, name: &str, commit: &CommitId) -> Result<(), GitError> {
        check_ref_part("a name to keep", name)?;
        if self.kept(name).await?.as_ref() == Some(commit) {
            return Ok(());
        }
        self.commit_text(commit).await?;
        let lock = MirrorLock::take(self.dir()).await?;
        self.remove_stale_locks()?;
        let call = Call::new("update-ref", LOCAL_WAIT).holding(lock.share()?);
        let call = call.args(["--no-deref", &format!("refs/damascus/{name}"), commit.as_str()]);
        call.run_in(self.git(), Some(self.dir())).await?.success().map(drop)
    }

    /// The commit kept under a name.
    pub async fn kept(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        check_ref_part("a name to keep", name)?;
        self.read_ref(&format!("refs/damascus/{name}")).await
    }

    async fn read_ref(&self, name: &str) -> Result<Option<CommitId>, GitError> {
        let call = Call::new("for-each-ref", LOCAL_WAIT).args(["--format=%(objectname) %(refname)", "--", name]);
        let text = call.run_in(self.git(), Some(self.dir())).await?.text()?;
        // Git matches folders of refs too.
        let found = text.lines().filter_map(|line| line.split_once(' ')).find(|(_, found)| *found == name);
        found.map(|(id, _)| parse_id("for-each-ref", id)).transpose()
    }

    pub(crate) fn git(&self) -> &Git {
        &self.inner.git
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.inner.remote
    }
}

/// Whether a file in the mirror is half-written, or a report of a crash.
fn is_leaving(name: &[u8]) -> bool {
    name.starts_with(b"tmp_") || name.starts_with(b"fast_import_crash_")
}

/// An object name that git wrote.
pub(crate) fn parse_id(command: &'static str, text: &str) -> Result<CommitId, GitError> {
    let bad = || GitError::Unexpected { command, what: format!("no object name: \"{}\"", one_line(text, 80)) };
    text.parse().map_err(|_| bad())
}

/// An option with a value that need not be UTF-8.
pub(crate) fn joined_option(option: &str, value: OsString) -> OsString {
    crate::program::joined(option.as_ref(), &value)
}

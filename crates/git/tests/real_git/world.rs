//! A remote, a mirror and a work folder for a test, once for every git version on the machine.
//!
//! Invariant: everything lies in one temporary folder; plain git commands, which stand for people and for careless tools, get an
//! environment of their own.

#![expect(clippy::expect_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use damascus_core::CommitId;
use damascus_git::{Git, Mirror, Remote, Snapshot, SnapshotLimits};
use tempfile::TempDir;

/// Where another git may be, besides the first one in PATH.
const PLACES: [&str; 2] = ["/usr/bin/git", "/usr/local/bin/git"];

/// When every commit of a test is made, in Unix seconds.
pub(crate) const AT: i64 = 1_700_000_000;

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) git: Git,
    pub(crate) program: PathBuf,
    pub(crate) mirror: Mirror,
}

/// Every git on this machine that Damascus takes, each version once.
pub(crate) async fn gits() -> Vec<(PathBuf, Git)> {
    let mut found: Vec<(PathBuf, Git)> = Vec::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("git"));
    for program in in_path.chain(PLACES.iter().map(PathBuf::from)) {
        if let Ok(git) = Git::at(program.clone()).await
            && found.iter().all(|(_, other)| other.version() != git.version())
        {
            found.push((program, git));
        }
    }
    assert!(!found.is_empty(), "these tests need git 2.38 or newer");
    found
}

impl World {
    /// A world for every git, with a bare remote that has one commit on `main`.
    pub(crate) async fn all() -> Vec<Self> {
        let mut worlds = Vec::new();
        for (program, git) in gits().await {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let remote = folder.path().join("remote.git");
            let dir = folder.path().join("mirrors/project.git");
            plain(&program, folder.path(), &["init", "-q", "--bare", "-b", "main", "remote.git"]);
            let mirror = Mirror::open(git.clone(), dir, Remote::Local(remote)).await.expect("a mirror");
            let world = Self { folder, git, program, mirror };
            world.people_push("main", &[("README.md", "hello\n"), ("src/lib.rs", "pub fn a() {}\n")]);
            world.mirror.fetch().await.expect("a fetch");
            worlds.push(world);
        }
        worlds
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn remote(&self) -> PathBuf {
        self.path("remote.git")
    }

    /// Runs plain git; it must succeed. Its standard output.
    pub(crate) fn plain(&self, dir: &Path, args: &[&str]) -> String {
        plain(&self.program, dir, args)
    }

    /// A person's own clone, on a branch; a new history when the remote has none.
    pub(crate) fn clone_of(&self, branch: &str) -> PathBuf {
        let clone = tempfile::tempdir_in(self.folder.path()).expect("a folder").keep();
        self.plain(&clone, &["clone", "-q", "--no-checkout", &self.remote().display().to_string(), "."]);
        let there = self.plain(&clone, &["branch", "-r", "--list", &format!("origin/{branch}")]);
        if there.trim().is_empty() {
            self.plain(&clone, &["checkout", "-q", "--orphan", branch]);
        } else {
            self.plain(&clone, &["checkout", "-q", "-B", branch, &format!("origin/{branch}")]);
        }
        clone
    }

    /// Somebody else changes files on a branch of the remote.
    pub(crate) fn people_push(&self, branch: &str, files: &[(&str, &str)]) -> CommitId {
        let clone = self.clone_of(branch);
        for (path, text) in files {
            write(&clone.join(path), text);
        }
        self.push_all(&clone, branch)
    }

    /// Commits everything in a clone and pushes it.
    pub(crate) fn push_all(&self, clone: &Path, branch: &str) -> CommitId {
        self.plain(clone, &["add", "-A", "-f"]);
        self.plain(clone, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
        self.plain(clone, &["push", "-q", "origin", &format!("HEAD:refs/heads/{branch}")]);
        id(&self.plain(clone, &["rev-parse", "HEAD"]))
    }

    pub(crate) async fn main(&self) -> CommitId {
        self.mirror.tip("main").await.expect("a look").expect("a tip of main")
    }

    /// A fresh folder with the files of a commit.
    pub(crate) async fn work(&self, commit: &CommitId) -> PathBuf {
        let dir = tempfile::tempdir_in(self.folder.path()).expect("a folder").keep();
        self.mirror.checkout(commit, &dir).await.expect("a check-out");
        dir
    }

    /// A snapshot that must not be refused.
    pub(crate) async fn tree(&self, dir: &Path, base: &CommitId) -> CommitId {
        match self.mirror.snapshot(dir, base, SnapshotLimits::default()).await.expect("a snapshot") {
            Snapshot::Tree(tree) => tree,
            Snapshot::Refused(why) => unreachable!("refused: {why:?}"),
        }
    }

    /// Why a snapshot is refused: `path: reason`.
    pub(crate) async fn refusals(&self, dir: &Path, base: &CommitId) -> Vec<String> {
        match self.mirror.snapshot(dir, base, SnapshotLimits::default()).await.expect("a snapshot") {
            Snapshot::Tree(_) => Vec::new(),
            Snapshot::Refused(why) => why.into_iter().map(|one| format!("{}: {}", one.path, one.reason)).collect(),
        }
    }

    /// A commit of what files a worker changed on top of a commit.
    pub(crate) async fn change(&self, base: &CommitId, files: &[(&str, &str)], message: &str) -> CommitId {
        let dir = self.work(base).await;
        for (path, text) in files {
            write(&dir.join(path), text);
        }
        let tree = self.tree(&dir, base).await;
        self.mirror.commit(&tree, std::slice::from_ref(base), message, AT).await.expect("a commit")
    }

    /// A program that leaves a mark when it runs, and passes its input on; the path of the mark.
    pub(crate) fn attacker(&self) -> (PathBuf, PathBuf) {
        let (program, mark) = (self.path("attack.sh"), self.path("mark"));
        write(&program, &format!("#!/bin/sh\necho ran >> {}\ncat\n", mark.display()));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        (program, mark)
    }
}

pub(crate) fn id(text: &str) -> CommitId {
    text.trim().parse().expect("an object name")
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

pub(crate) fn link(target: &str, path: &Path) {
    symlink(target, path).expect("a symlink");
}

/// Runs plain git as a person would, without looking whether it succeeds.
pub(crate) fn try_plain(program: &Path, dir: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_ALLOW_PROTOCOL", "file")
        .envs([("GIT_AUTHOR_NAME", "A Person"), ("GIT_AUTHOR_EMAIL", "person@example.org")])
        .envs([("GIT_COMMITTER_NAME", "A Person"), ("GIT_COMMITTER_EMAIL", "person@example.org")])
        .output()
        .expect("git starts")
}

pub(crate) fn plain(program: &Path, dir: &Path, args: &[&str]) -> String {
    let output = try_plain(program, dir, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Everything below a folder, as `path kind content`, in order.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("a path below").display().to_string();
            let stat = path.symlink_metadata().expect("a look");
            if stat.is_dir() {
                found.push(format!("{name}/"));
                folders.push(path);
            } else if stat.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).expect("a target").display()));
            } else {
                let content = String::from_utf8_lossy(&fs::read(&path).expect("content")).into_owned();
                found.push(format!("{name} {:o} {content:?}", stat.permissions().mode() & 0o7777));
            }
        }
    }
    found.sort();
    found
}

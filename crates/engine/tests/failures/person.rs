//! A person with a clone of the project's repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use damascus_core::CommitId;
use damascus_testkit::LoopScene;

/// Somebody who pushes.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    repository: PathBuf,
    folder: PathBuf,
}

impl Person {
    pub(crate) fn of(scene: &LoopScene) -> Self {
        Self { repository: scene.repository.clone(), folder: scene.folder.path().to_owned() }
    }

    /// Pushes a commit on top of main that changes files; none for a file takes it away.
    pub(crate) fn pushes(&self, files: &[(&str, Option<&str>)]) -> CommitId {
        self.pushes_to("main", files)
    }

    /// The same on another branch, made from main when it is not there.
    pub(crate) fn pushes_to(&self, branch: &str, files: &[(&str, Option<&str>)]) -> CommitId {
        let clone = tempfile::tempdir_in(&self.folder).expect("a folder");
        git(clone.path(), &["clone", "-q", "-b", "main", &self.repository.display().to_string(), "."]);
        for (path, text) in files {
            let file = clone.path().join(path);
            match text {
                Some(text) => std::fs::write(file, text).expect("a file"),
                None => std::fs::remove_file(file).expect("a file that is there"),
            }
        }
        git(clone.path(), &["add", "-A"]);
        git(clone.path(), &["commit", "-q", "-m", "By a person"]);
        git(clone.path(), &["push", "-q", "--force", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(clone.path(), &["rev-parse", "HEAD"]).trim().parse().expect("a commit")
    }

    /// Moves a branch, wherever it is.
    pub(crate) fn moves(&self, branch: &str, to: &CommitId) {
        git(&self.repository, &["update-ref", &format!("refs/heads/{branch}"), to.as_str()]);
    }

    /// Takes a branch away.
    pub(crate) fn removes(&self, branch: &str) {
        git(&self.repository, &["update-ref", "-d", &format!("refs/heads/{branch}")]);
    }

    /// Lets the repository refuse pushes by a hook.
    pub(crate) fn installs_hook(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let hooks = self.repository.join("hooks");
        std::fs::create_dir_all(&hooks).expect("a folder");
        std::fs::write(hooks.join(name), text).expect("a hook");
        std::fs::set_permissions(hooks.join(name), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    pub(crate) fn removes_hook(&self, name: &str) {
        std::fs::remove_file(self.repository.join("hooks").join(name)).expect("a hook");
    }
}

/// Runs git as a person does, with a name and nothing of this machine's settings.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_NAME", "A person"), ("GIT_AUTHOR_EMAIL", "person@example.com")])
        .envs([("GIT_COMMITTER_NAME", "A person"), ("GIT_COMMITTER_EMAIL", "person@example.com")])
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

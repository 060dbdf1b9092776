//! The remote: what it has, and pushes to it.
//!
//! Invariants: a push changes a branch only from exactly where the caller expects it, checked by the remote itself as one step with the
//! change; a refusal is told from a branch that moved by reading the remote again; nothing is forced without a lease.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use damascus_core::CommitId;
use damascus_core::display::{many_lines, one_line};

use crate::error::GitError;
use crate::mirror::{Mirror, joined_option, parse_id};
use crate::name::{check_branch, shown};
use crate::run::{Call, MAX_SAID_CHARS, Output, is_disk_full};
use crate::types::{Expect, Pushed, Remote};

/// How long a look at the remote's branches may take.
const LOOK_WAIT: Duration = Duration::from_secs(120);

/// How long a push may take, with what the remote's hooks do.
const PUSH_WAIT: Duration = Duration::from_secs(600);

/// How many branches of a remote are listed.
const MAX_BRANCHES: usize = 10_000;

impl Mirror {
    /// The tip of a branch as the remote has it now.
    pub async fn remote_tip(&self, branch: &str) -> Result<Option<CommitId>, GitError> {
        check_branch(branch)?;
        let wanted = format!("refs/heads/{branch}");
        let text = self.look(Some(&wanted)).await?;
        let found = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == wanted);
        found.map(|(id, _)| parse_id("ls-remote", id)).transpose()
    }

    /// The remote's branches as they are now, at most 10,000, in order. They are from outside: make them safe before showing them.
    pub async fn remote_branches(&self) -> Result<Vec<String>, GitError> {
        let text = self.look(None).await?;
        let names = text.lines().filter_map(|line| line.split_once("\trefs/heads/"));
        Ok(names.map(|(_, name)| name.to_owned()).take(MAX_BRANCHES).collect())
    }

    async fn look(&self, name: Option<&str>) -> Result<String, GitError> {
        self.check_remote()?;
        // The older name of the option goes away some day, the newer one came with 2.46.
        let heads = if self.git().is_at_least(2, 46) { "--branches" } else { "--heads" };
        let pack = joined_option("--upload-pack=", self.git().other_side("upload-pack"));
        let call =
            Call::new("ls-remote", LOOK_WAIT).args([heads, "--quiet"]).args([pack, "--".into(), self.remote_arg()]);
        let output = call.args(name).run_in(self.git(), Some(self.dir())).await?;
        if !output.status.success() {
            return Err(self.remote_failure(output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Pushes a commit to a branch of the remote.
    ///
    /// When the remote's branch is already at `commit`, that is [`Pushed::Done`], whatever was expected: a push that was cut off before
    /// it could be noted is found done.
    ///
    /// # Errors
    /// [`GitError::NotFastForward`] when `commit` does not descend from the tip it is to go forward from; that tip must be in the mirror.
    pub async fn push(&self, commit: &CommitId, branch: &str, expect: Expect) -> Result<Pushed, GitError> {
        check_branch(branch)?;
        self.commit_text(commit).await?;
        let at = match &expect {
            Expect::Absent => None,
            Expect::At(tip) => Some(tip),
            Expect::FastForwardOf(tip) if self.contains(commit, tip).await? => Some(tip),
            Expect::FastForwardOf(tip) => {
                return Err(GitError::NotFastForward { commit: commit.to_string(), tip: tip.to_string() });
            }
        };
        self.update_branch(branch, at, Some(commit)).await
    }

    /// Deletes a branch of the remote if it is still there and at `at`. A branch that is gone already is [`Pushed::Done`].
    pub async fn delete_branch(&self, branch: &str, at: &CommitId) -> Result<Pushed, GitError> {
        check_branch(branch)?;
        self.update_branch(branch, Some(at), None).await
    }

    /// Moves a branch of the remote from exactly `from` (None: not there) to `to` (None: gone).
    async fn update_branch(
        &self,
        branch: &str,
        from: Option<&CommitId>,
        to: Option<&CommitId>,
    ) -> Result<Pushed, GitError> {
        self.check_remote()?;
        let name = format!("refs/heads/{branch}");
        // The remote compares what it has with this as it changes the branch, so a move in between is seen.
        let lease = format!("--force-with-lease={name}:{}", from.map_or("", |id| id.as_str()));
        let pack = joined_option("--receive-pack=", self.git().other_side("receive-pack"));
        let refspec = format!("{}:{name}", to.map_or("", |id| id.as_str()));
        let call = Call::new("push", PUSH_WAIT)
            .args([
                "--porcelain",
                "--no-verify",
                "--no-follow-tags",
                "--no-signed",
                "--recurse-submodules=no",
                "--no-progress",
            ])
            .args([OsString::from(lease), pack, "--".into(), self.remote_arg(), refspec.into()]);
        let output = call.run_in(self.git(), Some(self.dir())).await?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(answer) = answer_for(&stdout, &name) else { return Err(self.remote_failure(output)) };
        if !answer.refused && output.status.success() {
            return Ok(Pushed::Done);
        }
        // A refusal may be due to a move: the remote's own words differ by version, its branch does not.
        let found = self.remote_tip(branch).await?;
        if found.as_ref() == to {
            return Ok(Pushed::Done);
        }
        if found.as_ref() != from {
            return Ok(Pushed::Moved { found });
        }
        self.refusal(&answer, output)
    }

    /// What a refusal means although the branch is where it was expected.
    fn refusal(&self, answer: &Answer, output: Output) -> Result<Pushed, GitError> {
        let both = format!("{}\n{}", answer.summary, output.said);
        if is_disk_full(&both) {
            return Err(GitError::DiskFull {
                doing: format!("pushing to {}", self.remote_name()),
                said: many_lines(&both, MAX_SAID_CHARS),
            });
        }
        let held = both.contains(".lock': File exists") || both.contains("reference already locked");
        if held || !answer.summary.contains("remote rejected") {
            // Either another push holds the branch right now, or it moved away and back between the push and the look.
            let Remote::Local(path) = self.remote();
            return Err(GitError::Locked { path: path.clone(), said: one_line(&both, MAX_SAID_CHARS) });
        }
        Ok(Pushed::Rejected(many_lines(both.trim(), MAX_SAID_CHARS)))
    }

    /// Looks whether a local remote is there at all, for a clear answer before git's own.
    pub(crate) fn check_remote(&self) -> Result<(), GitError> {
        let Remote::Local(path) = self.remote();
        let missing = |what: &str| GitError::NotARepository { path: path.clone(), what: what.to_owned() };
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => Err(missing("it is not a folder")),
            // Git would pass over the branches of such a repository without a word.
            Ok(_) if path.join("shallow").exists() || path.join(".git/shallow").exists() => {
                Err(missing("it is a shallow clone, without its history; run `git fetch --unshallow` there"))
            }
            Ok(_) if is_repository(path) || path.join(".git").exists() => Ok(()),
            Ok(_) => Err(missing("it has neither a `.git` nor HEAD, objects and refs")),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(GitError::RepositoryMissing { path: path.clone() })
            }
            Err(error) => Err(GitError::Unreachable { remote: self.remote_name(), said: error.to_string() }),
        }
    }

    /// The remote as git's argument. A path is absolute, so that it is neither an option nor the name of a host.
    pub(crate) fn remote_arg(&self) -> OsString {
        let Remote::Local(path) = self.remote();
        path.as_os_str().to_owned()
    }

    /// The remote as messages name it.
    pub(crate) fn remote_name(&self) -> String {
        let Remote::Local(path) = self.remote();
        shown(path.as_os_str().as_encoded_bytes())
    }

    /// What the failure of a command that talks to the remote means.
    pub(crate) fn remote_failure(&self, output: Output) -> GitError {
        let said = &output.said;
        if is_disk_full(said) {
            return output.failure();
        }
        if said.contains("mismatched algorithms")
            || said.contains("the receiving end does not support this repository's hash algorithm")
        {
            return GitError::UnsupportedFormat { remote: self.remote_name() };
        }
        if said.contains("does not appear to be a git repository") {
            let Remote::Local(path) = self.remote();
            return GitError::NotARepository { path: path.clone(), what: one_line(said, 300) };
        }
        let broken = [
            "Could not read from remote repository",
            "early EOF",
            "the remote end hung up",
            "fetch-pack",
            "index-pack",
        ];
        if broken.iter().any(|words| said.contains(words)) {
            return GitError::Unreachable { remote: self.remote_name(), said: said.clone() };
        }
        output.failure()
    }
}

fn is_repository(path: &Path) -> bool {
    // HEAD may be a symlink that leads nowhere in an empty repository of old.
    fs::symlink_metadata(path.join("HEAD")).is_ok() && path.join("objects").is_dir() && path.join("refs").is_dir()
}

/// What git said of one branch.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    refused: bool,
    summary: String,
}

/// Reads the line of a branch out of `push --porcelain`: a flag, a tab, `from:to`, a tab, a summary.
fn answer_for(stdout: &str, name: &str) -> Option<Answer> {
    stdout.lines().find_map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (flag, refs, summary) = (parts.next()?, parts.next()?, parts.next()?);
        let (_, to) = refs.rsplit_once(':')?;
        let known = matches!(flag, " " | "+" | "*" | "=" | "-" | "!");
        (known && to == name).then(|| Answer { refused: flag == "!", summary: one_line(summary, 300) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn porcelain_lines_are_read() {
        let stdout = "To /x\n!\tabc:refs/heads/a\t[rejected] (stale info)\n*\tabc:refs/heads/b\t[new branch]\nDone\n";
        let refused = Answer { refused: true, summary: "[rejected] (stale info)".to_owned() };
        assert_eq!(answer_for(stdout, "refs/heads/a"), Some(refused));
        assert_eq!(answer_for(stdout, "refs/heads/b").map(|answer| answer.refused), Some(false));
        assert_eq!(answer_for(stdout, "refs/heads/c"), None);
    }
}

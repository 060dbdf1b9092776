//! Comparing, merging and making commits.
//!
//! Invariant: no external diff, text conversion, attribute or merge driver plays: what comes out depends on the objects alone.

use std::time::Duration;

use damascus_core::CommitId;

use crate::error::GitError;
use crate::mirror::{LOCAL_WAIT, Mirror, parse_id};
use crate::name::shown;
use crate::objects::utf8_path;
use crate::run::Call;
use crate::types::{Change, ChangeKind, Merged};

/// How long a comparison or a merge may take.
const COMPARE_WAIT: Duration = Duration::from_secs(120);

/// How many changes between two commits are listed.
const MAX_CHANGES: usize = 100_000;

/// Who Damascus says it is in a commit.
const WHO: (&str, &str) = ("Damascus", "damascus@localhost");

impl Mirror {
    /// Whether `ancestor` is reachable from `descendant`; a commit is its own ancestor.
    pub async fn contains(&self, descendant: &CommitId, ancestor: &CommitId) -> Result<bool, GitError> {
        self.both(descendant, ancestor).await?;
        let call =
            Call::new("merge-base", COMPARE_WAIT).args(["--is-ancestor", ancestor.as_str(), descendant.as_str()]);
        let output = call.run_in(self.git(), Some(self.dir())).await?;
        if output.is_code(1) { Ok(false) } else { output.success().map(|_| true) }
    }

    /// The best common ancestor, if there is one.
    pub async fn merge_base(&self, a: &CommitId, b: &CommitId) -> Result<Option<CommitId>, GitError> {
        self.both(a, b).await?;
        let call = Call::new("merge-base", COMPARE_WAIT).args([a.as_str(), b.as_str()]);
        let output = call.run_in(self.git(), Some(self.dir())).await?;
        if output.is_code(1) {
            return Ok(None);
        }
        output.text()?.lines().next().map(|line| parse_id("merge-base", line)).transpose()
    }

    /// What differs, without renames, in path order.
    ///
    /// # Errors
    /// [`GitError::TooMuch`] beyond 100,000 paths; [`GitError::BadTree`] for a path that is not UTF-8.
    pub async fn changes(&self, from: &CommitId, to: &CommitId) -> Result<Vec<Change>, GitError> {
        self.both(from, to).await?;
        let call = Call::new("diff-tree", COMPARE_WAIT)
            .args(["-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=none", "--no-ext-diff"])
            .args([from.as_str(), to.as_str()]);
        let output = call.run_in(self.git(), Some(self.dir())).await?.success()?;
        let mut fields = output.split(|byte| *byte == 0);
        let mut changes = Vec::new();
        while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
            if changes.len() == MAX_CHANGES {
                return Err(GitError::TooMuch {
                    what: "the number of changed paths".to_owned(),
                    limit: format!("{MAX_CHANGES} paths"),
                });
            }
            let path = fields.next().unwrap_or_default().to_owned();
            changes.push(parse_change(&String::from_utf8_lossy(head), utf8_path(path)?)?);
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    /// The difference as text (unified, no external diff, no text conversion, no color), at most `max_bytes`, cut at the end of a line;
    /// and whether it was cut. Bytes that are not UTF-8 are replaced. It is text from outside: make it safe before showing it.
    pub async fn diff(&self, from: &CommitId, to: &CommitId, max_bytes: usize) -> Result<(String, bool), GitError> {
        self.both(from, to).await?;
        let call = Call::new("diff-tree", COMPARE_WAIT)
            .args([
                "-r",
                "-p",
                "--no-renames",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--ignore-submodules=none",
            ])
            .args([
                "--unified=3",
                "--diff-algorithm=myers",
                "--src-prefix=a/",
                "--dst-prefix=b/",
                from.as_str(),
                to.as_str(),
            ])
            .cut_at(max_bytes);
        let mut output = call.run_in(self.git(), Some(self.dir())).await?;
        if !output.cut {
            return Ok(fitted(&output.success()?, max_bytes));
        }
        let end = output.stdout.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        output.stdout.truncate(end);
        Ok((fitted(&output.stdout, max_bytes).0, true))
    }

    /// Merges two commits' trees without touching a file. Merge drivers and attributes do not play.
    ///
    /// A file that one side moved and the other changed is found by its likeness, as `git merge` does by default; no version of
    /// `merge-tree` so far lets that be set. Beyond 7,000 candidates git looks no more, and such a file becomes a conflict; so does a
    /// new file in a folder that the other side moved.
    pub async fn merge(&self, ours: &CommitId, theirs: &CommitId) -> Result<Merged, GitError> {
        self.both(ours, theirs).await?;
        let call = Call::new("merge-tree", COMPARE_WAIT).args([
            "--write-tree",
            "-z",
            "--name-only",
            "--no-messages",
            ours.as_str(),
            theirs.as_str(),
        ]);
        let output = self.write(call).await?;
        let conflicts = output.is_code(1);
        let stdout = if conflicts { output.stdout } else { output.success()? };
        let mut fields = stdout.split(|byte| *byte == 0);
        let tree = parse_id("merge-tree", String::from_utf8_lossy(fields.next().unwrap_or_default()).trim_end())?;
        if !conflicts {
            return Ok(Merged::Tree(tree));
        }
        let mut paths: Vec<String> = fields.filter(|path| !path.is_empty()).map(exact_or_shown).collect();
        paths.sort();
        paths.dedup();
        Ok(Merged::Conflict(paths))
    }

    /// Writes a commit object. Author and committer are Damascus' own, in UTC; the message is written exactly as given; the same
    /// arguments give the same name.
    ///
    /// # Errors
    /// [`GitError::BadName`] for a message with a zero byte, or a time before 1970.
    pub async fn commit(
        &self,
        tree: &CommitId,
        parents: &[CommitId],
        message: &str,
        at: i64,
    ) -> Result<CommitId, GitError> {
        if at < 0 || message.contains('\0') {
            let why = "its time is before 1970, or it has a zero byte";
            return Err(GitError::BadName {
                what: "a commit's message and time",
                name: shown(message.as_bytes()),
                why,
            });
        }
        let when = format!("@{at} +0000");
        let mut call =
            Call::new("commit-tree", LOCAL_WAIT).args([tree.as_str(), "-F", "-"]).input(message.as_bytes().to_vec());
        for parent in parents {
            call = call.args(["-p", parent.as_str()]);
        }
        for (name, value) in [
            ("GIT_AUTHOR_NAME", WHO.0),
            ("GIT_AUTHOR_EMAIL", WHO.1),
            ("GIT_AUTHOR_DATE", &when),
            ("GIT_COMMITTER_NAME", WHO.0),
            ("GIT_COMMITTER_EMAIL", WHO.1),
            ("GIT_COMMITTER_DATE", &when),
        ] {
            call = call.env(name, value);
        }
        let text = self.write(call).await?.text()?;
        parse_id("commit-tree", text.trim_end())
    }
}

/// Text of at most `max_bytes`, cut at the end of a line: a replaced byte takes more room than it had.
fn fitted(bytes: &[u8], max_bytes: usize) -> (String, bool) {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if text.len() <= max_bytes {
        return (text, false);
    }
    let end = text.as_bytes()[..max_bytes].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text.truncate(end);
    (text, true)
}

/// A path as it is, if it can be shown so.
fn exact_or_shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(path) if !path.chars().any(damascus_core::display::is_unsafe) => path.to_owned(),
        _ => shown(path),
    }
}

/// Reads `:<old mode> <new mode> <old id> <new id> <kind>`.
fn parse_change(head: &str, path: String) -> Result<Change, GitError> {
    let odd = || GitError::Unexpected { command: "diff-tree", what: format!("\"{}\"", shown(head.as_bytes())) };
    let parts: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
    let [old_mode, new_mode, old, new, kind] = parts[..] else { return Err(odd()) };
    let mode = |text| u32::from_str_radix(text, 8).map_err(|_| odd());
    let id = |text: &str| {
        if text.bytes().all(|byte| byte == b'0') { Ok(None) } else { parse_id("diff-tree", text).map(Some) }
    };
    let kind = match kind {
        "A" => ChangeKind::Added,
        "M" => ChangeKind::Modified,
        "D" => ChangeKind::Deleted,
        "T" => ChangeKind::TypeChanged,
        _ => return Err(odd()),
    };
    Ok(Change {
        path,
        kind,
        old_mode: mode(old_mode)?,
        new_mode: mode(new_mode)?,
        old_blob: id(old)?,
        new_blob: id(new)?,
    })
}

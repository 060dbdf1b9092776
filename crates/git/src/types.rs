//! What goes in and out of a mirror: plain data, without behaviour.
//!
//! Invariant: a `path` here is relative to the top of a tree, with `/` between its parts, and exact, unless it says that it is escaped.

use std::path::PathBuf;

use damascus_core::CommitId;

/// Where a project's repository is.
///
/// A local repository runs its own server-side hooks on a push, as the user that Damascus runs as: that is how it protects its
/// branches. So name only repositories whose owner may run programs as that user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remote {
    /// A repository on this machine, bare or not, by its absolute path.
    Local(PathBuf),
}

/// A commit with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// Its parents, first one first.
    pub parents: Vec<CommitId>,
    /// The full message as written; bytes that are not UTF-8 are replaced. Text from outside: make it safe before showing it.
    pub message: String,
}

/// A blob in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path.
    pub path: String,
    /// The mode: `0o100644`, `0o100755`, or `0o120000` for a symlink.
    pub mode: u32,
    /// The blob.
    pub blob: CommitId,
    /// The blob's size in bytes.
    pub size: u64,
}

/// How a path differs between two commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Only in the later one.
    Added,
    /// Another content or another executable bit.
    Modified,
    /// Only in the earlier one.
    Deleted,
    /// Another kind: file, symlink or submodule.
    TypeChanged,
}

/// One path that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: String,
    /// How it differs.
    pub kind: ChangeKind,
    /// The mode before; 0 when it was not there.
    pub old_mode: u32,
    /// The mode after; 0 when it is gone. `0o160000` is a submodule.
    pub new_mode: u32,
    /// The blob before (for a submodule, its commit).
    pub old_blob: Option<CommitId>,
    /// The blob after (for a submodule, its commit).
    pub new_blob: Option<CommitId>,
}

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// The merged tree.
    Tree(CommitId),
    /// The paths that need a decision, in order; a path that can't be shown is escaped.
    Conflict(Vec<String>),
}

/// What a push expects of the branch at the remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// The branch is not there.
    Absent,
    /// The branch is exactly there; it may be rewritten (`--force-with-lease`).
    At(CommitId),
    /// The branch is exactly there, and the pushed commit descends from it: nothing is rewritten.
    FastForwardOf(CommitId),
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The remote has it; also when it already had.
    Done,
    /// The branch is not where it was expected to be; nothing was changed.
    Moved {
        /// Where it is.
        found: Option<CommitId>,
    },
    /// The remote said no (a hook, a protected branch); nothing was changed. What it said, bounded and safe to show.
    Rejected(String),
}

/// What came of looking at a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// The tree.
    Tree(CommitId),
    /// Why there is none: at most [`crate::MAX_REFUSALS`] reasons, in path order.
    Refused(Vec<Refusal>),
}

/// Something in a directory that must not become part of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The path, escaped: safe to show, not to open.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How much may differ from the base in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// How many files may be new or changed.
    pub max_files: usize,
    /// How many bytes the new and changed files may have together.
    pub max_bytes: u64,
    /// How many bytes a new or changed file may have.
    pub max_file_bytes: u64,
}

impl Default for SnapshotLimits {
    /// 5,000 files, 64 MiB together, 16 MiB each: far beyond what a story needs.
    fn default() -> Self {
        Self { max_files: 5_000, max_bytes: 64 << 20, max_file_bytes: 16 << 20 }
    }
}

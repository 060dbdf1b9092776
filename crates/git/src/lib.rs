//! git, run on repositories that Damascus owns.
//!
//! Invariants: git never discovers a repository, reads no configuration but what is given on its command line, and runs no hook, filter,
//! driver or helper that a repository names; a tree that an agent wrote in is only ever a work tree, never a repository; whatever a tree or
//! a ref is called is data, checked before it reaches an argument.
//!
//! Git itself never sees a work tree: files are written from blobs and hashed into blobs here, so that no attribute, filter, line end
//! conversion, index or nested repository plays. Only SHA-1 repositories are supported; others are refused with a clear error. Linux only.

mod altered;
mod base;
mod compare;
mod error;
mod folder;
mod ignored;
mod link;
mod lock;
mod mirror;
mod name;
mod objects;
mod place;
mod program;
mod remote;
mod run;
mod snapshot;
mod tree;
mod types;
mod walk;

pub use error::GitError;
pub use mirror::Mirror;
pub use program::Git;
pub use types::{Change, ChangeKind, Commit, Entry, Expect, Merged, Pushed, Refusal, Remote, Snapshot, SnapshotLimits};

/// How many reasons a refused snapshot gives.
pub const MAX_REFUSALS: usize = 50;

//! Making a tree of a directory that a worker wrote in.
//!
//! Invariants: git never sees the directory; nothing in it is followed; what can't be read, or must not be in a tree, refuses the
//! snapshot and is never left out in silence; tracked files are never ignored.

use std::path::Path;

use damascus_core::CommitId;
use tokio::task::spawn_blocking;

use crate::error::GitError;
use crate::folder::Folder;
use crate::mirror::Mirror;
use crate::types::{Snapshot, SnapshotLimits};
use crate::walk::{Walk, Walked};

impl Mirror {
    /// Makes a tree of what is in `dir`, without what `base`'s own `.gitignore` files ignore: what a worker wrote into one neither hides
    /// nor shows anything. Files are taken byte by byte, with mode 755 if their owner may run them, else 644; empty folders vanish.
    /// The workers of the directory must have ended.
    ///
    /// Refused are: `.git` in any spelling; new or changed symlinks that are absolute or lead out of the tree; changed or removed
    /// submodules (an empty folder stands for one); fifos, sockets and devices; setuid and setgid files; new names that are not UTF-8 or
    /// can't be shown; what can't be read; more than the limits. Ignored folders are not looked into, unless they hold tracked files.
    pub async fn snapshot(&self, dir: &Path, base: &CommitId, limits: SnapshotLimits) -> Result<Snapshot, GitError> {
        let base = self.base(base).await?;
        let dir = dir.to_owned();
        let walked = spawn_blocking(move || {
            let top = Folder::top(&dir)?;
            let walked = Walk::new(&base, limits).run(&top)?;
            Ok::<_, GitError>((base, walked))
        });
        let (base, walked) = walked.await.map_err(|_| GitError::BrokenOff { what: "a snapshot" })??;
        match walked {
            Walked::Refused(refusals) => Ok(Snapshot::Refused(refusals)),
            Walked::Changed { changes, blobs } => {
                self.write_blobs(blobs).await?;
                Ok(Snapshot::Tree(self.write_tree(&base, changes).await?))
            }
        }
    }
}

//! What a snapshot compares with: everything in the tree of the commit that the work began from.
//!
//! Invariant: paths are safe to join, and no two entries have the same path.

use std::collections::{BTreeMap, HashMap};

use damascus_core::CommitId;

use crate::error::GitError;
use crate::ignored::{self, Ignored};
use crate::mirror::Mirror;
use crate::name::shown;
use crate::objects::{RawEntry, TREE, is_regular};

/// The base of a snapshot.
#[derive(Debug)]
pub(crate) struct Base {
    /// Its tree.
    pub(crate) tree: CommitId,
    /// Its files, symlinks and submodules by path.
    pub(crate) entries: BTreeMap<Vec<u8>, RawEntry>,
    /// Its folders by path, without the top.
    pub(crate) folders: HashMap<Vec<u8>, CommitId>,
    /// What it ignores.
    pub(crate) ignored: Ignored,
}

impl Mirror {
    /// Reads all that a snapshot needs to know of its base.
    pub(crate) async fn base(&self, commit: &CommitId) -> Result<Base, GitError> {
        let (mut entries, mut folders) = (BTreeMap::new(), HashMap::new());
        for entry in self.raw_list(commit, true).await? {
            let (path, name) = (entry.path.clone(), shown(&entry.path));
            let taken = if entry.mode == TREE {
                folders.insert(path, entry.id).is_some()
            } else {
                entries.insert(path, entry).is_some()
            };
            if taken {
                let why = "the tree has it twice".to_owned();
                return Err(GitError::BadTree { path: name, why });
            }
        }
        let rules: Vec<&RawEntry> = entries.values().filter(|entry| is_rules(entry)).collect();
        let ids: Vec<CommitId> = rules.iter().map(|entry| entry.id.clone()).collect();
        let mut ignored = Ignored::default();
        for (entry, content) in rules.iter().zip(self.blobs(&ids, ignored::MAX_FILE_BYTES).await?) {
            let content = content.ok_or_else(|| GitError::TooMuch {
                what: format!("the file {}", shown(&entry.path)),
                limit: format!("{} bytes", ignored::MAX_FILE_BYTES),
            })?;
            ignored.add(parent(&entry.path).unwrap_or_default(), &content)?;
        }
        Ok(Base { tree: self.tree_of(commit).await?, entries, folders, ignored })
    }
}

fn is_rules(entry: &RawEntry) -> bool {
    is_regular(entry.mode) && name(&entry.path) == ignored::NAME
}

/// The folder that a path lies in; None for one at the top.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at])
}

/// The last part of a path.
pub(crate) fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(path, |at| &path[at + 1..])
}

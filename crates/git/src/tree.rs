//! Making a tree from another one and what changed.
//!
//! Invariants: only folders on the way to a change are written anew, the rest keeps its objects; git computes every name again and
//! checks that all that a tree names is there; no index is used, so that there is nothing to lock or to leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use damascus_core::CommitId;
use sha1::{Digest, Sha1};

use crate::base::{Base, name, parent};
use crate::error::GitError;
use crate::mirror::{Mirror, parse_id};
use crate::objects::{GITLINK, TREE};
use crate::run::Call;

/// How long the writing of all blobs or all trees of a snapshot may take.
const WRITE_WAIT: Duration = Duration::from_secs(120);

/// What became of paths: another mode and blob, or gone.
pub(crate) type Changes = BTreeMap<Vec<u8>, Option<(u32, CommitId)>>;

type Children = BTreeMap<Vec<u8>, (u32, CommitId)>;

/// The name that git gives to an object of this kind and content.
pub(crate) fn object_name(kind: &str, content: &[u8]) -> CommitId {
    let mut namer = Namer::new(kind, content.len() as u64);
    namer.take(content);
    namer.name()
}

/// Names an object that comes in pieces.
pub(crate) struct Namer(Sha1);

impl Namer {
    pub(crate) fn new(kind: &str, bytes: u64) -> Self {
        Self(Sha1::new_with_prefix(format!("{kind} {bytes}\0")))
    }

    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn name(self) -> CommitId {
        // Twenty bytes are forty lower-case digits, which is what a name is; the fallback is never taken.
        hex::encode(self.0.finalize()).parse().unwrap_or_else(|_| CommitId::filled(b'0'))
    }
}

/// Adds a blob to what `fast-import` reads.
pub(crate) fn add_blob(stream: &mut Vec<u8>, content: &[u8]) {
    stream.extend_from_slice(format!("blob\ndata {}\n", content.len()).as_bytes());
    stream.extend_from_slice(content);
    stream.push(b'\n');
}

impl Mirror {
    /// Writes blobs: `stream` is what [`add_blob`] made. Bytes are taken as they are: there is no path, so no attribute or filter.
    pub(crate) async fn write_blobs(&self, mut stream: Vec<u8>) -> Result<(), GitError> {
        if stream.is_empty() {
            return Ok(());
        }
        // With `--done` a stream that is cut off is an error.
        stream.extend_from_slice(b"done\n");
        let call = Call::new("fast-import", WRITE_WAIT).args(["--quiet", "--done"]).input(stream);
        self.write(call).await?.success().map(drop)
    }

    /// Writes the tree that is `base` with these changes. All blobs must be there.
    pub(crate) async fn write_tree(&self, base: &Base, changes: Changes) -> Result<CommitId, GitError> {
        if changes.is_empty() {
            return Ok(base.tree.clone());
        }
        let plan = Plan::new(base, changes);
        if plan.ids.is_empty() {
            return Ok(plan.top);
        }
        let call = Call::new("mktree", WRITE_WAIT).args(["-z", "--batch"]).input(plan.input);
        let text = self.write(call).await?.text()?;
        let written = text.lines().map(|line| parse_id("mktree", line)).collect::<Result<Vec<_>, _>>()?;
        if written != plan.ids {
            return Err(GitError::Unexpected {
                command: "mktree",
                what: "trees with other names than their content has".to_owned(),
            });
        }
        Ok(plan.top)
    }
}

/// The trees to write, deepest first, as `mktree` reads them.
struct Plan {
    input: Vec<u8>,
    ids: Vec<CommitId>,
    top: CommitId,
}

impl Plan {
    fn new(base: &Base, changes: Changes) -> Self {
        let mut folders = touched(base, &changes);
        // What goes, goes first: a file may have become a folder.
        for (path, change) in changes {
            let children = folders.entry(parent(&path).unwrap_or_default().to_owned()).or_default();
            match change {
                Some(entry) => children.insert(name(&path).to_owned(), entry),
                None => children.remove(name(&path)),
            };
        }
        let mut paths: Vec<Vec<u8>> = folders.keys().filter(|path| !path.is_empty()).cloned().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.iter().filter(|byte| **byte == b'/').count()));
        let mut plan = Self { input: Vec::new(), ids: Vec::new(), top: base.tree.clone() };
        for path in paths {
            let children = folders.remove(&path).unwrap_or_default();
            let above = folders.entry(parent(&path).unwrap_or_default().to_owned()).or_default();
            if !children.is_empty() {
                let id = plan.add(&children, base.folders.get(&path));
                above.insert(name(&path).to_owned(), (TREE, id));
            } else if above.get(name(&path)).is_some_and(|(mode, _)| *mode == TREE) {
                above.remove(name(&path));
            }
        }
        plan.top = plan.add(&folders.remove(&b""[..]).unwrap_or_default(), Some(&base.tree));
        plan
    }

    /// Adds a tree, unless it is what the base has.
    fn add(&mut self, children: &Children, before: Option<&CommitId>) -> CommitId {
        let id = object_name("tree", &content(children));
        if before == Some(&id) {
            return id;
        }
        for (name, (mode, child)) in children {
            let kind = match *mode {
                TREE => "tree",
                GITLINK => "commit",
                _ => "blob",
            };
            self.input.extend_from_slice(format!("{mode:06o} {kind} {child}\t").as_bytes());
            self.input.extend_from_slice(name);
            self.input.push(0);
        }
        self.input.push(0);
        self.ids.push(id.clone());
        id
    }
}

/// The folders on the way to a change, with what the base has in them.
fn touched(base: &Base, changes: &Changes) -> BTreeMap<Vec<u8>, Children> {
    let mut folders: BTreeSet<&[u8]> = BTreeSet::from([&b""[..]]);
    for path in changes.keys() {
        let mut at = parent(path);
        while let Some(folder) = at {
            if !folders.insert(folder) {
                break;
            }
            at = parent(folder);
        }
    }
    let mut found: BTreeMap<Vec<u8>, Children> =
        folders.iter().map(|folder| ((*folder).to_owned(), Children::new())).collect();
    let files = base.entries.values().map(|entry| (&entry.path, entry.mode, &entry.id));
    let trees = base.folders.iter().map(|(path, id)| (path, TREE, id));
    for (path, mode, id) in files.chain(trees) {
        if let Some(children) = found.get_mut(parent(path).unwrap_or_default()) {
            children.insert(name(path).to_owned(), (mode, id.clone()));
        }
    }
    found
}

/// The bytes of a tree object: git sorts a folder as if its name ended with a slash.
fn content(children: &Children) -> Vec<u8> {
    let key = |name: &Vec<u8>, mode: u32| if mode == TREE { [name, &b"/"[..]].concat() } else { name.clone() };
    let mut sorted: Vec<_> = children.iter().map(|(name, entry)| (key(name, entry.0), name, entry)).collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let mut bytes = Vec::new();
    for (_, name, (mode, id)) in sorted {
        bytes.extend_from_slice(format!("{mode:o} ").as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend(hex::decode(id.as_str()).unwrap_or_default());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gits_own() {
        assert_eq!(object_name("blob", b"").as_str(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
        assert_eq!(object_name("blob", b"hello\n").as_str(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(object_name("tree", b"").as_str(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }
}

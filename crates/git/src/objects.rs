//! Reading objects of the mirror: commits, trees, blobs.
//!
//! Invariant: what is read is bounded, and an object that is missing or of another kind is an error, never an empty answer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use damascus_core::CommitId;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::error::GitError;
use crate::mirror::{LOCAL_WAIT, Mirror, parse_id};
use crate::name::{shown, unsafe_path};
use crate::run::{Call, failure};
use crate::types::{Commit, Entry};

/// How long the reading of many blobs may take, with what is done with them.
pub(crate) const BLOBS_WAIT: Duration = Duration::from_secs(300);

/// How many blobs a tree may have.
const MAX_ENTRIES: usize = 500_000;

/// How many commits a log gives at most.
const MAX_LOG: usize = 100_000;

/// How many bytes a commit object may have.
const MAX_COMMIT_BYTES: u64 = 1 << 20;

/// How many bytes [`Mirror::blobs`] returns at most, all blobs together.
const MAX_BLOBS_BYTES: u64 = 256 << 20;

/// The longest line of git's that is read where lines are expected, in bytes.
const MAX_LINE_BYTES: u64 = 4_096;

/// The mode of a submodule.
pub(crate) const GITLINK: u32 = 0o160_000;

/// The mode of a symlink.
pub(crate) const SYMLINK: u32 = 0o120_000;

/// The mode of a tree.
pub(crate) const TREE: u32 = 0o040_000;

/// An entry of a tree as git lists it; the path need not be UTF-8.
#[derive(Debug, Clone)]
pub(crate) struct RawEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) id: CommitId,
    /// The size in bytes of a blob; None for trees and submodules.
    pub(crate) size: Option<u64>,
}

impl Mirror {
    /// The tree of a commit.
    pub async fn tree_of(&self, commit: &CommitId) -> Result<CommitId, GitError> {
        Ok(parse_commit(commit, &self.commit_text(commit).await?)?.0.tree)
    }

    /// The parents of a commit, first one first.
    pub async fn parents_of(&self, commit: &CommitId) -> Result<Vec<CommitId>, GitError> {
        Ok(parse_commit(commit, &self.commit_text(commit).await?)?.0.parents)
    }

    /// When a commit was made: the committer's date, in Unix seconds.
    pub async fn time_of(&self, commit: &CommitId) -> Result<i64, GitError> {
        let odd =
            || GitError::NoObject { id: commit.to_string(), wanted: "a commit", found: "it has no date".to_owned() };
        parse_commit(commit, &self.commit_text(commit).await?)?.1.ok_or_else(odd)
    }

    /// The first-parent history of `to` that is not in `from`, newest first, at most `max` commits.
    pub async fn log(&self, from: Option<&CommitId>, to: &CommitId, max: usize) -> Result<Vec<Commit>, GitError> {
        self.commit_text(to).await?;
        let count = format!("--max-count={}", max.min(MAX_LOG));
        let call = Call::new("rev-list", LOCAL_WAIT).args(["--first-parent", &count, to.as_str()]);
        let call = call.args(from.map(|id| format!("^{id}"))).arg("--");
        let text = call.run_in(self.git(), Some(self.dir())).await?.text()?;
        let ids = text.lines().map(|line| parse_id("rev-list", line)).collect::<Result<Vec<_>, _>>()?;
        let texts = self.batch(ids.clone(), "commit", MAX_COMMIT_BYTES).await?;
        ids.iter().zip(texts).map(|(id, text)| Ok(parse_commit(id, &text)?.0)).collect()
    }

    /// All blobs of a commit, symlinks too, in git's order; submodules have none. A path that is not UTF-8 is an error.
    pub async fn list(&self, commit: &CommitId) -> Result<Vec<Entry>, GitError> {
        let blobs =
            self.raw_list(commit, false).await?.into_iter().filter_map(|entry| entry.size.map(|size| (entry, size)));
        let entry =
            |(raw, size): (RawEntry, u64)| Ok(Entry { path: utf8_path(raw.path)?, mode: raw.mode, blob: raw.id, size });
        blobs.map(entry).collect()
    }

    /// The content of a path at a commit, if it is a regular file; None when it isn't there or is something else.
    ///
    /// # Errors
    /// [`GitError::TooMuch`] when it has more than `max` bytes.
    pub async fn read(&self, commit: &CommitId, path: &str, max: u64) -> Result<Option<Vec<u8>>, GitError> {
        if let Some(why) = unsafe_path(path.as_bytes()) {
            return Err(GitError::BadName { what: "a path in a tree", name: shown(path.as_bytes()), why });
        }
        self.commit_text(commit).await?;
        let call = Call::new("ls-tree", LOCAL_WAIT).args(["-z", "-l", "--full-tree", commit.as_str(), "--", path]);
        let call = call.env("GIT_LITERAL_PATHSPECS", "1");
        let output = call.run_in(self.git(), Some(self.dir())).await?.success()?;
        let found = parse_list(&output)?.into_iter().find(|entry| entry.path == path.as_bytes());
        let Some(entry) = found.filter(|entry| is_regular(entry.mode)) else { return Ok(None) };
        if entry.size.is_none_or(|size| size > max) {
            return Err(GitError::TooMuch {
                what: format!("the file {}", shown(path.as_bytes())),
                limit: format!("{max} bytes"),
            });
        }
        Ok(self.batch(vec![entry.id], "blob", max).await?.pop())
    }

    /// The contents of many blobs, in the order asked for; None for one that has more than `max_each` bytes. All together may have
    /// 256 MiB.
    pub async fn blobs(&self, ids: &[CommitId], max_each: u64) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = Call::new("cat-file", LOCAL_WAIT).arg("--batch-check").input(lines_of(ids));
        let text = call.run_in(self.git(), Some(self.dir())).await?.text()?;
        let mut sizes = Vec::with_capacity(ids.len());
        for (id, line) in ids.iter().zip(text.lines()) {
            sizes.push(parse_header(id, "blob", line)?);
        }
        let wanted: Vec<CommitId> =
            ids.iter().zip(&sizes).filter(|(_, size)| **size <= max_each).map(|(id, _)| id.clone()).collect();
        let mut found = self.batch(wanted, "blob", max_each).await?.into_iter();
        Ok(sizes.iter().map(|size| if *size <= max_each { found.next() } else { None }).collect())
    }

    /// The text of a commit object.
    pub(crate) async fn commit_text(&self, commit: &CommitId) -> Result<Vec<u8>, GitError> {
        let mut found = self.batch(vec![commit.clone()], "commit", MAX_COMMIT_BYTES).await?;
        found.pop().ok_or(GitError::BrokenOff { what: "reading a commit" })
    }

    /// Sees that both are commits that the mirror has.
    pub(crate) async fn both(&self, a: &CommitId, b: &CommitId) -> Result<(), GitError> {
        self.batch(vec![a.clone(), b.clone()], "commit", MAX_COMMIT_BYTES).await.map(drop)
    }

    /// Everything in the tree of a commit, recursively; with the folders themselves when `trees`. Paths are checked to be safe to write.
    pub(crate) async fn raw_list(&self, commit: &CommitId, trees: bool) -> Result<Vec<RawEntry>, GitError> {
        self.commit_text(commit).await?;
        let call = Call::new("ls-tree", LOCAL_WAIT).args(["-r", "-z", "-l", "--full-tree"]);
        let call = call.args(trees.then_some("-t")).arg(commit.as_str());
        let output = call.run_in(self.git(), Some(self.dir())).await?.success()?;
        parse_list(&output)
    }

    /// Reads objects of one kind with one `cat-file`, all together at most 256 MiB.
    async fn batch(&self, ids: Vec<CommitId>, kind: &'static str, max_each: u64) -> Result<Vec<Vec<u8>>, GitError> {
        self.each_object(ids, kind, move |objects| {
            let (mut found, mut room) = (Vec::with_capacity(objects.len()), MAX_BLOBS_BYTES);
            while let Some(size) = objects.next_size()? {
                let limit = max_each.min(room);
                if size > limit {
                    return Err(GitError::TooMuch {
                        what: format!("a {kind}, or all that was asked for,"),
                        limit: format!("{limit} bytes"),
                    });
                }
                room -= size;
                let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                objects.content(|chunk| {
                    content.extend_from_slice(chunk);
                    Ok(())
                })?;
                found.push(content);
            }
            Ok(found)
        })
        .await
    }

    /// Gives a thread of its own the objects, read with one `cat-file --batch`, in the order of `ids`.
    pub(crate) async fn each_object<T: Send + 'static>(
        &self,
        ids: Vec<CommitId>,
        kind: &'static str,
        work: impl FnOnce(&mut Objects) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let done = async {
            let call = Call::new("cat-file", BLOBS_WAIT).args(["--batch", "--buffer"]).input(lines_of(&ids));
            let mut running = call.start(self.git(), Some(self.dir()))?;
            let source = BufReader::with_capacity(READ_BYTES, running.output_file()?);
            let mut objects = Objects { source, ids: ids.into_iter(), kind, open: 0 };
            let result =
                spawn_blocking(move || work(&mut objects).and_then(|value| objects.end().map(|()| value))).await;
            let result = result.map_err(|_| GitError::BrokenOff { what: "reading objects" })?;
            // Git's own word goes first: a broken repository shows here as an answer that stops.
            if matches!(result, Ok(_) | Err(GitError::Unexpected { .. })) {
                let (status, said) = running.finish().await?;
                if !status.success() {
                    return Err(failure("cat-file", status, said));
                }
            }
            result
        };
        match timeout(BLOBS_WAIT, Box::pin(done)).await {
            Ok(result) => result,
            Err(_) => Err(GitError::TimedOut { command: "cat-file", seconds: BLOBS_WAIT.as_secs() }),
        }
    }
}

/// How much is read ahead from `cat-file`, in bytes.
const READ_BYTES: usize = 128 << 10;

/// The answers of `cat-file --batch`, one after the other.
#[derive(Debug)]
pub(crate) struct Objects {
    source: BufReader<File>,
    ids: std::vec::IntoIter<CommitId>,
    kind: &'static str,
    /// How many bytes of the present object are still to be read.
    open: u64,
}

impl Objects {
    /// How many objects are still to come.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Goes to the next object: its size in bytes; None after the last.
    pub(crate) fn next_size(&mut self) -> Result<Option<u64>, GitError> {
        let Some(id) = self.ids.next() else { return Ok(None) };
        let mut line = Vec::new();
        (&mut self.source)
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(|error| broken(&error.to_string()))?;
        let line = String::from_utf8_lossy(&line);
        self.open = parse_header(&id, self.kind, line.trim_end())?;
        Ok(Some(self.open))
    }

    /// Hands out the present object's content in pieces, all of it.
    pub(crate) fn content(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), GitError>) -> Result<(), GitError> {
        while self.open > 0 {
            let chunk = self.source.fill_buf().map_err(|error| broken(&error.to_string()))?;
            if chunk.is_empty() {
                return Err(broken("it ended within an object"));
            }
            let used = chunk.len().min(usize::try_from(self.open).unwrap_or(usize::MAX));
            take(&chunk[..used])?;
            self.source.consume(used);
            self.open -= used as u64;
        }
        let mut newline = [0];
        self.source.read_exact(&mut newline).map_err(|error| broken(&error.to_string()))?;
        if newline == *b"\n" { Ok(()) } else { Err(broken("an object is longer than it said")) }
    }

    /// Sees that nothing was left unread.
    fn end(&self) -> Result<(), GitError> {
        if self.ids.len() == 0 { Ok(()) } else { Err(broken("not all objects were read")) }
    }
}

fn broken(what: &str) -> GitError {
    GitError::Unexpected { command: "cat-file", what: what.to_owned() }
}

fn lines_of(ids: &[CommitId]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.as_str().bytes().chain(*b"\n")).collect()
}

/// Reads `<id> <kind> <size>`, or `<id> missing`.
fn parse_header(id: &CommitId, kind: &'static str, line: &str) -> Result<u64, GitError> {
    let wanted = match kind {
        "commit" => "a commit",
        _ => "a blob",
    };
    let mut parts = line.split(' ');
    match (parts.next(), parts.next(), parts.next().map(str::parse)) {
        (Some(found), Some(found_kind), Some(Ok(size))) if found == id.as_str() && found_kind == kind => Ok(size),
        (Some(found), Some(other), _) if found == id.as_str() => {
            let found = if other == "missing" {
                "it is missing".to_owned()
            } else {
                format!("it is a {}", shown(other.as_bytes()))
            };
            Err(GitError::NoObject { id: id.to_string(), wanted, found })
        }
        _ => Err(broken("no object header")),
    }
}

/// Whether a mode is that of a plain file.
pub(crate) const fn is_regular(mode: u32) -> bool {
    mode & 0o170_000 == 0o100_000
}

pub(crate) fn utf8_path(path: Vec<u8>) -> Result<String, GitError> {
    String::from_utf8(path).map_err(|error| {
        let why = "its name is not UTF-8, which Damascus does not support".to_owned();
        GitError::BadTree { path: shown(error.as_bytes()), why }
    })
}

/// Reads `ls-tree -z -l`: `<mode> <kind> <id> <size, padded>\t<path>\0`.
fn parse_list(output: &[u8]) -> Result<Vec<RawEntry>, GitError> {
    let odd = |what: &str| GitError::Unexpected { command: "ls-tree", what: what.to_owned() };
    let mut entries = Vec::new();
    for record in output.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        if entries.len() == MAX_ENTRIES {
            return Err(GitError::TooMuch {
                what: "the number of files in the tree".to_owned(),
                limit: format!("{MAX_ENTRIES} files"),
            });
        }
        let tab = record.iter().position(|byte| *byte == b'\t').ok_or_else(|| odd("no tab"))?;
        let (head, path) = (std::str::from_utf8(&record[..tab]).map_err(|_| odd("no text"))?, &record[tab + 1..]);
        let mut parts = head.split_ascii_whitespace();
        let mode = parts.next().and_then(|mode| u32::from_str_radix(mode, 8).ok()).ok_or_else(|| odd("no mode"))?;
        let id = parse_id("ls-tree", parts.nth(1).unwrap_or_default())?;
        let size = parts.next().and_then(|size| size.parse().ok());
        if let Some(why) = unsafe_path(path) {
            return Err(GitError::BadTree { path: shown(path), why: why.to_owned() });
        }
        entries.push(RawEntry { path: path.to_owned(), mode, id, size });
    }
    Ok(entries)
}

/// Reads a commit object: the commit, and the committer's date in Unix seconds.
fn parse_commit(id: &CommitId, text: &[u8]) -> Result<(Commit, Option<i64>), GitError> {
    let odd = |what: &str| GitError::NoObject { id: id.to_string(), wanted: "a commit", found: what.to_owned() };
    let end = text.windows(2).position(|pair| pair == b"\n\n").unwrap_or(text.len());
    let (head, message) = (String::from_utf8_lossy(&text[..end]), text.get(end + 2..).unwrap_or_default());
    let (mut tree, mut parents, mut time) = (None, Vec::new(), None);
    for line in head.lines() {
        match line.split_once(' ') {
            Some(("tree", id)) if tree.is_none() => tree = Some(parse_id("cat-file", id)?),
            Some(("parent", id)) => parents.push(parse_id("cat-file", id)?),
            Some(("committer", who)) if time.is_none() => {
                time = who.rsplit(' ').nth(1).and_then(|seconds| seconds.parse().ok())
            }
            _ => {}
        }
    }
    let tree = tree.ok_or_else(|| odd("it has no tree"))?;
    let message = String::from_utf8_lossy(message).into_owned();
    Ok((Commit { id: id.clone(), tree, parents, message }, time))
}

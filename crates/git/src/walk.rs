//! The walk through a directory that a worker wrote in: what changed against the base, and what must be refused.
//!
//! Invariants: nothing is followed; every entry that is neither ignored nor taken in is refused; memory is bounded by the limits.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use damascus_core::CommitId;
use damascus_core::display::is_unsafe;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::MAX_REFUSALS;
use crate::base::Base;
use crate::error::GitError;
use crate::folder::{Folder, MAX_DEPTH};
use crate::link::bad_target;
use crate::name::{shown, unsafe_part};
use crate::objects::{GITLINK, RawEntry, SYMLINK, is_regular};
use crate::tree::{Changes, Namer, add_blob, object_name};
use crate::types::{Refusal, SnapshotLimits};

/// How many entries are looked at, with the ignored ones whose names alone are read.
const MAX_SEEN: usize = 2_000_000;

/// How long a walk may take.
const WALK_WAIT: Duration = Duration::from_secs(180);

/// How much of a large file is read at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// What a walk found.
#[derive(Debug)]
pub(crate) enum Walked {
    /// What differs from the base, and the new blobs as `fast-import` reads them.
    Changed { changes: Changes, blobs: Vec<u8> },
    /// Why there is no tree.
    Refused(Vec<Refusal>),
}

/// A walk that is under way.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    base: &'a Base,
    limits: SnapshotLimits,
    began: Instant,
    seen: usize,
    tracked: BTreeSet<&'a [u8]>,
    changes: Changes,
    written: BTreeSet<CommitId>,
    blobs: Vec<u8>,
    bytes: u64,
    refusals: Vec<Refusal>,
    stopped: bool,
}

/// One entry of a folder that is looked at.
struct Found<'a, 'b> {
    folder: &'b Folder,
    name: &'b [u8],
    path: &'b [u8],
    stat: Stat,
    before: Option<&'a RawEntry>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(base: &'a Base, limits: SnapshotLimits) -> Self {
        Self {
            base,
            limits,
            began: Instant::now(),
            seen: 0,
            tracked: BTreeSet::new(),
            changes: Changes::new(),
            written: BTreeSet::new(),
            blobs: Vec::new(),
            bytes: 0,
            refusals: Vec::new(),
            stopped: false,
        }
    }

    /// Walks the whole tree below `top`.
    pub(crate) fn run(mut self, top: &Folder) -> Result<Walked, GitError> {
        self.folder(top, b"", 0, false)?;
        if !self.stopped {
            for entry in self.base.entries.values().filter(|entry| !self.tracked.contains(entry.path.as_slice())) {
                if entry.mode == GITLINK {
                    let reason = "a submodule was removed; keep an empty folder in its place";
                    self.refusals.push(Refusal { path: shown(&entry.path), reason: reason.to_owned() });
                } else {
                    self.changes.insert(entry.path.clone(), None);
                }
            }
        }
        if self.refusals.is_empty() {
            return Ok(Walked::Changed { changes: self.changes, blobs: self.blobs });
        }
        self.refusals.sort_by(|a, b| a.path.cmp(&b.path));
        self.refusals.truncate(MAX_REFUSALS);
        Ok(Walked::Refused(self.refusals))
    }

    fn refuse(&mut self, path: &[u8], reason: impl Into<String>) {
        self.refusals.push(Refusal { path: shown(path), reason: reason.into() });
        self.stopped |= self.refusals.len() >= MAX_REFUSALS;
    }

    /// Refuses, and looks no further: what a worker made without bound is not counted to its end.
    fn give_up(&mut self, path: &[u8], reason: String) {
        self.refuse(path, reason);
        self.stopped = true;
    }

    fn folder(&mut self, folder: &Folder, path: &[u8], depth: usize, ignored: bool) -> Result<(), GitError> {
        let names = match folder.names() {
            Ok(names) => names,
            Err(errno) => {
                self.refuse(path, format!("the folder can't be read: {errno}"));
                return Ok(());
            }
        };
        for name in names {
            let path = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            self.entry(folder, &name, &path, depth, ignored)?;
            if self.stopped {
                return Ok(());
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &Folder,
        name: &[u8],
        path: &[u8],
        depth: usize,
        ignored: bool,
    ) -> Result<(), GitError> {
        self.seen += 1;
        if self.seen > MAX_SEEN {
            self.give_up(path, format!("there are more than {MAX_SEEN} entries, with the ignored ones"));
            return Ok(());
        }
        if self.began.elapsed() > WALK_WAIT {
            return Err(GitError::TooMuch {
                what: "the time to read the directory".to_owned(),
                limit: format!("{} s", WALK_WAIT.as_secs()),
            });
        }
        if let Some(why) = unsafe_part(name) {
            self.refuse(path, why);
            return Ok(());
        }
        let stat = match folder.stat(name) {
            Ok(stat) => stat,
            Err(errno) => {
                self.refuse(path, format!("it can't be looked at: {errno}"));
                return Ok(());
            }
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = kind == FileType::Directory;
        let before = self.base.entries.get(path);
        let is_known = before.is_some() || (is_folder && self.base.folders.contains_key(path));
        let ignored = ignored || self.base.ignored.matches(path, is_folder);
        if ignored && !is_known {
            return Ok(());
        }
        if !is_known && std::str::from_utf8(name).map_or(true, |name| name.chars().any(is_unsafe)) {
            self.refuse(path, "a new name that is not UTF-8, or has control or invisible characters");
            return Ok(());
        }
        let found = Found { folder, name, path, stat, before };
        match kind {
            FileType::Directory => self.inner(&found, depth, ignored),
            FileType::Symlink => {
                self.link(&found, depth);
                Ok(())
            }
            FileType::RegularFile => {
                self.file(&found);
                Ok(())
            }
            _ => {
                self.refuse(path, "neither a file, a folder nor a symlink (a fifo, socket or device)");
                Ok(())
            }
        }
    }

    fn inner(&mut self, found: &Found<'a, '_>, depth: usize, ignored: bool) -> Result<(), GitError> {
        if depth + 1 >= MAX_DEPTH {
            self.refuse(found.path, format!("folders lie more than {MAX_DEPTH} deep"));
            return Ok(());
        }
        let inner = match found.folder.enter(found.name) {
            Ok(inner) => inner,
            Err(errno) => {
                self.refuse(found.path, format!("the folder can't be entered: {errno}"));
                return Ok(());
            }
        };
        match found.before.filter(|entry| entry.mode == GITLINK) {
            None => self.folder(&inner, found.path, depth + 1, ignored),
            Some(entry) => {
                self.tracked.insert(&entry.path);
                if inner.names().map_or(true, |names| !names.is_empty()) {
                    self.refuse(found.path, "a submodule has files in it; Damascus leaves submodules as they are");
                }
                Ok(())
            }
        }
    }

    fn link(&mut self, found: &Found<'a, '_>, depth: usize) {
        let target = match found.folder.target(found.name) {
            Ok(target) => target,
            Err(errno) => return self.refuse(found.path, format!("the symlink can't be read: {errno}")),
        };
        if self.refuses_submodule(found) {
            return;
        }
        let id = object_name("blob", &target);
        if found.before.is_some_and(|entry| entry.mode == SYMLINK && entry.id == id) {
            self.tracked.extend(found.before.map(|entry| entry.path.as_slice()));
            return;
        }
        match bad_target(found.name, &target, depth) {
            Some(why) => self.refuse(found.path, why),
            None => self.take(found, SYMLINK, id, &target),
        }
    }

    fn file(&mut self, found: &Found<'a, '_>) {
        if self.refuses_submodule(found) {
            return;
        }
        if found.stat.st_mode & 0o6000 != 0 {
            return self.refuse(found.path, "a setuid or setgid file");
        }
        let size = u64::try_from(found.stat.st_size).unwrap_or(u64::MAX);
        let before = found.before.filter(|entry| is_regular(entry.mode));
        // A file that has the committed size may be the committed one, however large; any other is not read beyond the limit.
        let may_be_same = before.is_some_and(|entry| entry.size == Some(size));
        let is_large = size > self.limits.max_file_bytes;
        if is_large && !may_be_same {
            return self.refuse(
                found.path,
                format!("a new or changed file of {size} bytes; the limit is {}", self.limits.max_file_bytes),
            );
        }
        let (id, content) = match read(found, size, !is_large) {
            Ok(read) => read,
            Err(why) => return self.refuse(found.path, format!("the file can't be read: {why}")),
        };
        let executable = found.stat.st_mode & 0o100 != 0;
        let mode = match before {
            Some(entry) if (entry.mode & 0o100 != 0) == executable => entry.mode,
            _ if executable => 0o100_755,
            _ => 0o100_644,
        };
        match before {
            Some(entry) if entry.id == id && entry.mode == mode => {
                self.tracked.insert(&entry.path);
            }
            Some(entry) if entry.id == id => {
                self.tracked.insert(&entry.path);
                self.count(found, mode, id);
            }
            _ if is_large => {
                self.refuse(
                    found.path,
                    format!("a changed file of {size} bytes; the limit is {}", self.limits.max_file_bytes),
                );
            }
            _ => self.take(found, mode, id, &content),
        }
    }

    fn refuses_submodule(&mut self, found: &Found<'a, '_>) -> bool {
        let Some(entry) = found.before.filter(|entry| entry.mode == GITLINK) else { return false };
        self.tracked.insert(&entry.path);
        self.refuse(found.path, "something else is in the place of a submodule");
        true
    }

    /// Takes in new content.
    fn take(&mut self, found: &Found<'a, '_>, mode: u32, id: CommitId, content: &[u8]) {
        self.tracked.extend(found.before.map(|entry| entry.path.as_slice()));
        self.bytes = self.bytes.saturating_add(content.len() as u64);
        if self.bytes > self.limits.max_bytes {
            let reason = format!("the new and changed files have more than {} bytes together", self.limits.max_bytes);
            return self.give_up(found.path, reason);
        }
        if self.written.insert(id.clone()) {
            add_blob(&mut self.blobs, content);
        }
        self.count(found, mode, id);
    }

    fn count(&mut self, found: &Found<'a, '_>, mode: u32, id: CommitId) {
        self.changes.insert(found.path.to_owned(), Some((mode, id)));
        if self.changes.len() > self.limits.max_files {
            let reason = format!("more than {} files are new or changed", self.limits.max_files);
            self.give_up(found.path, reason);
        }
    }
}

/// Reads a file that must have this size: its name as a blob, and its content if that is to be kept.
fn read(found: &Found<'_, '_>, size: u64, keep: bool) -> Result<(CommitId, Vec<u8>), String> {
    let (file, stat) = found.folder.open_file(found.name).map_err(|errno: Errno| errno.to_string())?;
    if (stat.st_dev, stat.st_ino) != (found.stat.st_dev, found.stat.st_ino) {
        return Err("it was replaced meanwhile".to_owned());
    }
    let (mut content, mut namer, mut left) = (Vec::new(), Namer::new("blob", size), size);
    // One byte more than it has, to see that it ends there.
    let mut file: std::io::Take<File> = file.take(size.saturating_add(1));
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(size).unwrap_or(CHUNK_BYTES) + 1)];
    loop {
        match file.read(&mut chunk).map_err(|error| error.to_string())? {
            0 if left == 0 => return Ok((namer.name(), content)),
            read if read > 0 && read as u64 <= left => {
                left -= read as u64;
                namer.take(&chunk[..read]);
                if keep {
                    content.extend_from_slice(&chunk[..read]);
                }
            }
            _ => return Err("its size changed meanwhile".to_owned()),
        }
    }
}

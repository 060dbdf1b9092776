//! Writing the files of a commit into a directory, whole or in part.
//!
//! Invariants: files have the committed bytes and mode 644 or 755, whatever attributes say; symlinks are made exactly as committed, also
//! those that lead out of the tree, and never followed (whoever reads the tree must not follow them either); no path is written
//! through a symlink; there is no `.git` in it, and where a submodule belongs is an empty folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use damascus_core::CommitId;
use rustix::io::Errno;

use crate::error::GitError;
use crate::folder::{Folder, MAX_DEPTH, MAX_TARGET_BYTES};
use crate::mirror::Mirror;
use crate::name::{shown, unsafe_path};
use crate::objects::{GITLINK, Objects, RawEntry, SYMLINK, is_regular};

impl Mirror {
    /// Writes the files of a commit into a new or empty directory: no `.git` in it, no index left, no attributes applied, nothing
    /// followed. A submodule becomes an empty folder. After an error the directory holds a part of the files: throw it away.
    ///
    /// # Errors
    /// [`GitError::BadTree`] for a tree that holds `.git` in any spelling, a path that leaves it, or two things in one place.
    pub async fn checkout(&self, commit: &CommitId, dir: &Path) -> Result<(), GitError> {
        let entries = self.raw_list(commit, false).await?;
        let dir = dir.to_owned();
        self.place(entries, move || {
            fs::create_dir_all(&dir).map_err(|error| GitError::io("make the folder", &dir, error))?;
            let top = Folder::top(&dir)?;
            let names = top.names().map_err(|errno| GitError::io("read the folder", &dir, errno))?;
            if !names.is_empty() {
                return Err(GitError::io("check out into, since it is not empty,", &dir, Errno::NOTEMPTY));
            }
            Ok(Placer { top, dir, open: Vec::new(), replace: false })
        })
        .await
    }

    /// Makes these paths in `dir` what they are at `commit`: written from it, removed when absent there. A path that is a folder at
    /// `commit` gets exactly what is in that folder. Parents that are symlinks or files in the way are replaced, never followed.
    pub async fn overlay(&self, commit: &CommitId, paths: &[String], dir: &Path) -> Result<(), GitError> {
        let paths: BTreeSet<Vec<u8>> = paths.iter().map(|path| path.clone().into_bytes()).collect();
        for path in &paths {
            if let Some(why) = unsafe_path(path) {
                return Err(GitError::BadName { what: "a path in a tree", name: shown(path), why });
            }
        }
        let mut entries = self.raw_list(commit, false).await?;
        entries.retain(|entry| within(&paths, &entry.path));
        let dir = dir.to_owned();
        self.place(entries, move || {
            let placer = Placer { top: Folder::top(&dir)?, dir, open: Vec::new(), replace: true };
            for path in &paths {
                placer.remove(path)?;
            }
            Ok(placer)
        })
        .await
    }

    async fn place(
        &self,
        entries: Vec<RawEntry>,
        begin: impl FnOnce() -> Result<Placer, GitError> + Send + 'static,
    ) -> Result<(), GitError> {
        let blobs = entries.iter().filter(|entry| entry.mode != GITLINK).map(|entry| entry.id.clone()).collect();
        self.each_object(blobs, "blob", move |objects| {
            let mut placer = begin()?;
            for entry in &entries {
                placer.write(entry, objects)?;
            }
            Ok(())
        })
        .await
    }
}

/// Whether a path is one of these or lies in one of these.
fn within(paths: &BTreeSet<Vec<u8>>, path: &[u8]) -> bool {
    let folders = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    paths.contains(path) || folders.into_iter().any(|folder| paths.contains(folder))
}

/// Writes one path after the other, and keeps open the folders that lead to the last one.
#[derive(Debug)]
struct Placer {
    top: Folder,
    dir: PathBuf,
    open: Vec<(Vec<u8>, Folder)>,
    replace: bool,
}

impl Placer {
    fn write(&mut self, entry: &RawEntry, objects: &mut Objects) -> Result<(), GitError> {
        let (folders, name) = split(&entry.path)?;
        self.go_to(&entry.path, &folders)?;
        let failed = |errno| clash(&entry.path, errno);
        let folder = self.open.last().map_or(&self.top, |(_, folder)| folder);
        if entry.mode == GITLINK {
            return folder.make_folder(name).map(drop).map_err(failed);
        }
        let size = objects.next_size()?.ok_or(GitError::BrokenOff { what: "writing files" })?;
        if entry.mode == SYMLINK {
            if size == 0 || size > MAX_TARGET_BYTES {
                return Err(bad(&entry.path, "a symlink that is empty or longer than 4,095 bytes"));
            }
            let mut target = Vec::new();
            objects.content(|chunk| {
                target.extend_from_slice(chunk);
                Ok(())
            })?;
            return folder.make_link(name, &target).map_err(failed);
        }
        if !is_regular(entry.mode) {
            return Err(bad(&entry.path, "neither a file, a symlink nor a submodule"));
        }
        let mut file = folder.make_file(name, entry.mode & 0o100 != 0).map_err(failed)?;
        objects.content(|chunk| file.write_all(chunk).map_err(|error| GitError::io("write", shown(&entry.path), error)))
    }

    /// Opens the folders that lead to a path, and makes those that are not there.
    fn go_to(&mut self, path: &[u8], folders: &[&[u8]]) -> Result<(), GitError> {
        let same = self.open.iter().zip(folders).take_while(|((name, _), wanted)| name == *wanted).count();
        self.open.truncate(same);
        for name in &folders[same..] {
            let parent = self.open.last().map_or(&self.top, |(_, folder)| folder);
            let made = match parent.make_folder(name) {
                Err(Errno::NOTDIR | Errno::LOOP) if self.replace => {
                    parent.remove(name).and_then(|()| parent.make_folder(name))
                }
                made => made,
            };
            let made = made.map_err(|errno| clash(path, errno))?;
            self.open.push(((*name).to_owned(), made));
        }
        Ok(())
    }

    /// Removes what is at a path. A parent that is not a folder has nothing in it.
    fn remove(&self, path: &[u8]) -> Result<(), GitError> {
        let (folders, name) = split(path)?;
        let failed = |errno: Errno| GitError::io("remove what is at", self.dir.join(shown(path)), errno);
        let mut open: Option<Folder> = None;
        for folder in folders {
            open = match open.as_ref().unwrap_or(&self.top).enter(folder) {
                Ok(next) => Some(next),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
                Err(errno) => return Err(failed(errno)),
            };
        }
        open.as_ref().unwrap_or(&self.top).remove(name).map_err(failed)
    }
}

/// The folders of a path and its name.
fn split(path: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), GitError> {
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    if parts.len() > MAX_DEPTH {
        return Err(bad(path, "it lies more than 100 folders deep"));
    }
    let name = parts.pop().unwrap_or_default();
    Ok((parts, name))
}

fn bad(path: &[u8], why: &str) -> GitError {
    GitError::BadTree { path: shown(path), why: why.to_owned() }
}

/// What a failed system call means: two things in one place are the tree's fault.
fn clash(path: &[u8], errno: Errno) -> GitError {
    match errno {
        Errno::EXIST | Errno::NOTDIR | Errno::LOOP => bad(path, "something else of the tree is in its place"),
        Errno::NAMETOOLONG => bad(path, "its name is too long for this file system"),
        errno => GitError::io("write", shown(path), errno),
    }
}

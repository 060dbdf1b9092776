//! Which files of a commit are no longer what was checked out.
//!
//! Invariants: git never sees the directory; nothing in it is followed; what can't be read counts as altered.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use damascus_core::CommitId;
use rustix::fs::FileType;
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use crate::error::GitError;
use crate::folder::Folder;
use crate::mirror::Mirror;
use crate::name::shown;
use crate::objects::{GITLINK, RawEntry, SYMLINK};
use crate::tree::{Namer, object_name};

/// How long looking may take.
const LOOK_WAIT: Duration = Duration::from_secs(180);
/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

impl Mirror {
    /// The paths of a commit whose file or symlink in `dir` is gone or has other content, safe to show and in order. What is there besides
    /// is not looked at, nor are modes and submodules. The workers of the directory must have ended.
    ///
    /// # Errors
    /// [`GitError::TooMuch`] when it takes too long.
    pub async fn altered(&self, commit: &CommitId, dir: &Path) -> Result<Vec<String>, GitError> {
        let entries = self.raw_list(commit, false).await?;
        let dir = dir.to_owned();
        let looked = spawn_blocking(move || {
            let top = Folder::top(&dir)?;
            let began = Instant::now();
            let mut altered = Vec::new();
            for entry in entries.iter().filter(|entry| entry.mode != GITLINK) {
                if began.elapsed() > LOOK_WAIT {
                    return Err(GitError::TooMuch {
                        what: "the time to compare the directory".to_owned(),
                        limit: format!("{} s", LOOK_WAIT.as_secs()),
                    });
                }
                if !is_as_committed(&top, entry).unwrap_or(false) {
                    altered.push(shown(&entry.path));
                }
            }
            Ok(altered)
        });
        looked.await.map_err(|_| GitError::BrokenOff { what: "a comparison" })?
    }
}

/// Whether what is at an entry's path is what the entry says. Read piece by piece, and no further than the size that it must have.
fn is_as_committed(top: &Folder, entry: &RawEntry) -> Result<bool, Errno> {
    let mut parts: Vec<&[u8]> = entry.path.split(|byte| *byte == b'/').collect();
    let name = parts.pop().unwrap_or_default();
    let mut open: Option<Folder> = None;
    for part in parts {
        open = Some(open.as_ref().unwrap_or(top).enter(part)?);
    }
    let folder = open.as_ref().unwrap_or(top);
    if entry.mode == SYMLINK {
        return Ok(object_name("blob", &folder.target(name)?) == entry.id);
    }
    let (mut file, stat) = folder.open_file(name)?;
    let size = entry.size.unwrap_or_default();
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || u64::try_from(stat.st_size) != Ok(size) {
        return Ok(false);
    }
    let mut namer = Namer::new("blob", size);
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(size).unwrap_or(CHUNK_BYTES) + 1)];
    let mut left = size;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(left == 0 && namer.name() == entry.id),
            Ok(read) if read as u64 <= left => {
                left -= read as u64;
                namer.take(&chunk[..read]);
            }
            Ok(_) | Err(_) => return Ok(false),
        }
    }
}

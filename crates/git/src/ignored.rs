//! Which untracked files a commit's own `.gitignore` files ignore.
//!
//! Invariant: only what is committed counts. What a worker wrote into a `.gitignore` neither hides nor shows anything until it has
//! landed; no other ignore file is read.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::GitError;
use crate::name::shown;

/// The name of the files.
pub(crate) const NAME: &[u8] = b".gitignore";

/// How many bytes such a file may have.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// How many patterns all of them may have together.
const MAX_PATTERNS: usize = 100_000;

/// The patterns of a commit, by the folder that they are for.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    by_folder: HashMap<Vec<u8>, Gitignore>,
    patterns: usize,
}

impl Ignored {
    /// Takes in the `.gitignore` of a folder (empty: the top). A line that is no pattern is passed over, as git does.
    pub(crate) fn add(&mut self, folder: &[u8], content: &[u8]) -> Result<(), GitError> {
        let mut builder = GitignoreBuilder::new("");
        let content = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content);
        for line in content.split(|byte| *byte == b'\n') {
            self.patterns += 1;
            if self.patterns > MAX_PATTERNS {
                let what = "the number of lines in .gitignore files".to_owned();
                return Err(GitError::TooMuch { what, limit: format!("{MAX_PATTERNS} lines") });
            }
            let Ok(line) = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) else { continue };
            if builder.add_line(None, line).is_err() {
                tracing::debug!(folder = %shown(folder), "a line of .gitignore is no pattern; git passes over it too");
            }
        }
        let why = |error: ignore::Error| GitError::BadTree {
            path: shown(&[folder, b"/", NAME].concat()),
            why: format!("its patterns can't be used: {}", shown(error.to_string().as_bytes())),
        };
        self.by_folder.insert(folder.to_owned(), builder.build().map_err(why)?);
        Ok(())
    }

    /// Whether a path is ignored, given that none of its folders is. The nearest folder's last matching pattern decides.
    pub(crate) fn matches(&self, path: &[u8], is_folder: bool) -> bool {
        let mut end = path.len();
        loop {
            let slash = path[..end].iter().rposition(|byte| *byte == b'/');
            let (folder, rest) = slash.map_or((&path[..0], path), |at| (&path[..at], &path[at + 1..]));
            if let Some(patterns) = self.by_folder.get(folder) {
                let found = patterns.matched(Path::new(OsStr::from_bytes(rest)), is_folder);
                if !found.is_none() {
                    return found.is_ignore();
                }
            }
            match slash {
                Some(at) => end = at,
                None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_and_its_last_pattern_decide() {
        let mut ignored = Ignored::default();
        ignored.add(b"", b"\xef\xbb\xbftarget/\r\n*.log\n!keep.log\n/only-top\nsub/*.tmp\n[bad\n").expect("patterns");
        ignored.add(b"sub", b"!again.log\n").expect("patterns");
        let yes = |path: &str, folder| assert!(ignored.matches(path.as_bytes(), folder), "{path}");
        let no = |path: &str, folder| assert!(!ignored.matches(path.as_bytes(), folder), "{path}");
        yes("target", true);
        no("target", false);
        yes("deep/down/target", true);
        yes("a.log", false);
        no("keep.log", false);
        yes("sub/a.log", false);
        no("sub/again.log", false);
        yes("only-top", false);
        no("sub/only-top", false);
        yes("sub/x.tmp", false);
        no("sub/sub2/x.tmp", false);
    }
}

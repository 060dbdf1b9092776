//! The files of the repository as git sees them: tracked ones, and new ones that are not ignored.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Files above this are not read, only measured; no source file comes near it.
const MAX_READ_BYTES: u64 = 8 * 1024 * 1024;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// UTF-8 without NUL.
    Text(String),
    /// Anything else, or too large to read.
    Binary,
    /// A symbolic link; its target is checked where it is a file of the tree.
    Symlink,
}

/// One file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the repository's root, with forward slashes.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// What it holds.
    pub content: Content,
}

impl SourceFile {
    /// A text file, as rules' tests make them.
    pub fn text_file(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), size: text.len() as u64, content: Content::Text(text.to_owned()) }
    }

    /// The text, unless it is binary or a link.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Binary | Content::Symlink => None,
        }
    }

    /// Whether the name ends in `.extension`.
    #[must_use]
    pub fn has_extension(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, e)| e == extension)
    }

    /// Fixtures show what others write, so rules of style do not hold for them.
    #[must_use]
    pub fn is_fixture(&self) -> bool {
        self.path.split('/').any(|part| part == "fixtures")
    }

    /// Recorded output (insta) and lock files: written by a tool.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.has_extension("snap") || self.has_extension("lock") || self.path.ends_with("package-lock.json")
    }

    /// A whole file of tests: below a `tests` folder, or a module named `tests` or `…_tests`.
    #[must_use]
    pub fn is_test_file(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|part| part == "tests") || name == "tests.rs" || name.ends_with("_tests.rs")
    }
}

/// Loads the tree below `root`.
///
/// # Errors
/// When git cannot list the files, or one that it lists cannot be read.
pub fn load(root: &Path) -> Result<Vec<SourceFile>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root)
        .output()
        .context("git could not be started; `make setup` installs it")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("a file name is not UTF-8; rename it")?;
    let mut paths: Vec<&str> = listing.split('\0').filter(|p| !p.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(file) = load_file(root, path)? {
            files.push(file);
        }
    }
    Ok(files)
}

/// `None` when the file is tracked but deleted in the working tree.
fn load_file(root: &Path, path: &str) -> Result<Option<SourceFile>> {
    let full = root.join(path);
    let Ok(metadata) = full.symlink_metadata() else { return Ok(None) };
    let content = if metadata.is_symlink() {
        Content::Symlink
    } else if metadata.len() > MAX_READ_BYTES {
        Content::Binary
    } else {
        let bytes = std::fs::read(&full).with_context(|| format!("{path} cannot be read"))?;
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Content::Text(text),
            Ok(_) | Err(_) => Content::Binary,
        }
    };
    Ok(Some(SourceFile { path: path.to_owned(), size: metadata.len(), content }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_kinds_of_files_by_their_path() {
        let file = |path| SourceFile::text_file(path, "");
        assert!(file("crates/bmad/tests/fixtures/v4/a.md").is_fixture());
        assert!(!file("crates/bmad/src/fixtures_of.rs").is_fixture());
        assert!(file("crates/store/tests/claim.rs").is_test_file());
        assert!(file("crates/store/src/apply/tests.rs").is_test_file());
        assert!(!file("crates/testkit/src/lib.rs").is_test_file());
        assert!(file("a/b.snap").is_generated());
    }

    #[test]
    fn lists_this_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = load(root).unwrap();
        assert!(files.iter().any(|f| f.path == "xtask/src/tree.rs" && f.text().is_some()));
        assert!(!files.iter().any(|f| f.path.starts_with("target/")));
    }
}

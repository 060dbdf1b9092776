//! Report files in a tree that is not trusted.
//!
//! Invariant: nothing outside the tree is opened or removed, whatever symlinks the tree holds; a file that is too large is no report.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};

/// How large a report may be, all of its files together, in bytes, and how many files it may consist of.
const REPORT_MAX_BYTES: u64 = 64 << 20;
const FILES_MAX: usize = 2_000;
/// How many names a report's folder may hold.
const NAMES_MAX: usize = 20_000;

/// Removes what is there under the report's name before a run: it can't be this run's.
pub(super) fn remove(tree: &Path, pattern: &str) -> std::io::Result<()> {
    for path in matching(tree, pattern)? {
        let (parent, name) = split(&path);
        match open_beneath(tree, parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(folder) => match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The report files that are there now, in the order of their names.
pub(super) fn read(tree: &Path, pattern: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let mut files = Vec::new();
    let mut room = REPORT_MAX_BYTES;
    for path in matching(tree, pattern)? {
        let opened = match open_beneath(tree, &path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(opened) => std::fs::File::from(opened),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let found = opened.metadata()?;
        // One that is left out could be the one that tells of failures.
        if !found.is_file() {
            return Err(rustix::io::Errno::ISDIR.into());
        }
        let mut bytes = Vec::new();
        opened.take(room + 1).read_to_end(&mut bytes)?;
        room = room.checked_sub(bytes.len() as u64).ok_or(rustix::io::Errno::FBIG)?;
        files.push(bytes);
    }
    Ok(files)
}

/// Why a report can't be read, where what lies in the tree is to blame and not the machine; any other error is given back.
pub(super) fn blame_the_tree(error: std::io::Error) -> std::io::Result<String> {
    use rustix::io::Errno;
    let of_the_tree = [
        Errno::FBIG,
        Errno::LOOP,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::ACCESS,
        Errno::PERM,
        Errno::NOTEMPTY,
        Errno::XDEV,
    ];
    match Errno::from_io_error(&error) {
        Some(errno) if of_the_tree.contains(&errno) => Ok(format!(
            "Something else is in the place of the test report or of its folder ({error}). Let only the test runner write there, and no \
             symlink lead there."
        )),
        _ => Err(error),
    }
}

/// The paths that a pattern means: itself, or the names in its folder when its last part has a `*`.
fn matching(tree: &Path, pattern: &str) -> std::io::Result<Vec<PathBuf>> {
    if !pattern.contains('*') {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let (parent, name) = split(Path::new(pattern));
    let glob = GlobBuilder::new(name).literal_separator(true).build().map_err(std::io::Error::other)?.compile_matcher();
    let folder = match open_beneath(tree, parent, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for (at, entry) in rustix::fs::Dir::read_from(&folder)?.enumerate() {
        let entry = entry?;
        if at >= NAMES_MAX || found.len() > FILES_MAX {
            return Err(rustix::io::Errno::FBIG.into());
        }
        if let Ok(name) = entry.file_name().to_str()
            && glob.is_match(name)
        {
            found.push(parent.join(name));
        }
    }
    found.sort();
    Ok(found)
}

fn split(path: &Path) -> (&Path, &str) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (parent, path.file_name().and_then(|name| name.to_str()).unwrap_or_default())
}

/// Opens a path below the tree: the kernel refuses what leaves it or goes through a symlink.
fn open_beneath(tree: &Path, path: &Path, flags: OFlags) -> std::io::Result<std::os::fd::OwnedFd> {
    let root = rustix::fs::open(tree, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_only_where_no_symlink_leads() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.xml"), "secret").unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir(tree.path().join("out")).unwrap();
        std::fs::write(tree.path().join("out/a.xml"), "a").unwrap();
        std::fs::write(tree.path().join("out/b.xml"), "b").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.xml"), tree.path().join("out/c.xml")).unwrap();
        std::os::unix::fs::symlink(outside.path(), tree.path().join("away")).unwrap();

        assert_eq!(read(tree.path(), "out/a.xml").unwrap(), [b"a"]);
        assert_eq!(read(tree.path(), "none/a.xml").unwrap(), Vec::<Vec<u8>>::new());
        assert!(read(tree.path(), "out/c.xml").is_err(), "a symlink to a file outside");
        assert!(read(tree.path(), "away/secret.xml").is_err(), "a folder that is a symlink");
        assert!(remove(tree.path(), "away/secret.xml").is_err());
        let linked = read(tree.path(), "out/c.xml").unwrap_err();
        assert!(blame_the_tree(linked).unwrap().contains("test report"), "the tree is to blame");
        assert!(blame_the_tree(std::io::Error::from(rustix::io::Errno::NOSPC)).is_err(), "the machine is to blame");
        assert!(outside.path().join("secret.xml").exists());

        remove(tree.path(), "out/*.xml").unwrap();
        assert_eq!(read(tree.path(), "out/*.xml").unwrap(), Vec::<Vec<u8>>::new());
        assert!(outside.path().join("secret.xml").exists(), "the symlink is removed, not what it points to");
    }
}

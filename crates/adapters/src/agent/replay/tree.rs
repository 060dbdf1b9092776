//! Writing into a tree that others may have prepared.
//!
//! Invariant: no component of a path is a link when it is used, since each is opened from the one before without following.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Writes a file, and makes the folders that it needs.
pub(super) fn write(tree: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    let (folder, name) = enter(tree, path, true)?;
    // A pipe that nobody reads must not hold us up.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&folder, name, flags, Mode::from_raw_mode(0o644))?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut file = File::from(file);
    file.set_len(0)?;
    file.write_all(content)
}

/// Removes a file or a link; never what a link leads to.
pub(super) fn remove(tree: &Path, path: &Path) -> std::io::Result<()> {
    let (folder, name) = enter(tree, path, false)?;
    Ok(unlinkat(&folder, name, AtFlags::empty())?)
}

/// The folder that a path is in, opened, and the path's last name.
fn enter<'a>(tree: &Path, path: &'a Path, make: bool) -> std::io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
    let name = path.file_name().ok_or_else(|| std::io::Error::other("it has no name"))?;
    let mut folder = open(tree, FOLDER, Mode::empty())?;
    for part in path.parent().into_iter().flat_map(Path::components) {
        if make {
            match mkdirat(&folder, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        folder = openat(&folder, part.as_os_str(), FOLDER, Mode::empty())?;
    }
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_replaced_and_removed() {
        let tree = tempfile::tempdir().expect("a folder");
        let path = Path::new("a/b/c.txt");
        write(tree.path(), path, b"longer").expect("written");
        write(tree.path(), path, b"short").expect("written");
        assert_eq!(std::fs::read(tree.path().join(path)).expect("a file"), b"short");
        remove(tree.path(), path).expect("removed");
        assert!(remove(tree.path(), path).is_err());
    }

    #[test]
    fn no_link_is_followed_in_the_middle_or_at_the_end() {
        let outside = tempfile::tempdir().expect("a folder");
        let tree = tempfile::tempdir().expect("a folder");
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "kept").expect("our folder");
        std::os::unix::fs::symlink(outside.path(), tree.path().join("folder")).expect("our folder");
        std::os::unix::fs::symlink(&secret, tree.path().join("file")).expect("our folder");

        assert!(write(tree.path(), Path::new("folder/secret"), b"x").is_err());
        assert!(write(tree.path(), Path::new("folder/new/deep"), b"x").is_err());
        assert!(write(tree.path(), Path::new("file"), b"x").is_err());
        assert!(remove(tree.path(), Path::new("folder/secret")).is_err());
        remove(tree.path(), Path::new("file")).expect("the link itself goes");

        assert_eq!(std::fs::read_to_string(&secret).expect("a file"), "kept");
        assert_eq!(std::fs::read_dir(outside.path()).expect("a folder").count(), 1);
    }
}

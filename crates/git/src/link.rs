//! Where a new symlink may lead.
//!
//! Invariant: a target that passes leads into the tree by any way of resolving it, given that all symlinks of the tree do.

use damascus_core::display::is_unsafe;

use crate::name::is_dot_git;

/// Names that git reads itself; as a symlink they would make it read something else.
const READ_BY_GIT: [&[u8]; 4] = [b".gitmodules", b".gitattributes", b".gitignore", b".mailmap"];

/// What is wrong with a symlink of this name that lies `depth` folders below the top, if it must not be taken in.
pub(crate) fn bad_target(name: &[u8], target: &[u8], depth: usize) -> Option<&'static str> {
    if READ_BY_GIT.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Some("a symlink with a name that git reads itself");
    }
    if target.starts_with(b"/") {
        return Some("a symlink to an absolute path");
    }
    if std::str::from_utf8(target).map_or(true, |target| target.chars().any(is_unsafe)) {
        return Some("a symlink whose target is not UTF-8, or has control or invisible characters");
    }
    let (mut ups, mut names) = (0, 0);
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            // After a name, `..` means the folder above wherever that name leads, which need not be above the name.
            b".." if names > 0 => return Some("a symlink whose target has `..` after a name"),
            b".." => ups += 1,
            part if is_dot_git(part) => return Some("a symlink to a repository's own files"),
            _ => names += 1,
        }
    }
    (ups > depth).then_some("a symlink that leads out of the tree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_targets_that_stay_in_the_tree_pass() {
        for (target, depth) in [("a", 0), ("./a/b", 0), ("../a", 1), ("../../a/b", 2), ("..", 1), (".", 0)] {
            assert_eq!(bad_target(b"link", target.as_bytes(), depth), None, "{target}");
        }
        for (target, depth) in [
            ("/etc/shadow", 0),
            ("..", 0),
            ("../a", 0),
            ("../../a", 1),
            ("a/../../b", 1),
            ("a/..", 5),
            (".git/config", 0),
            ("a\nb", 0),
        ] {
            assert!(bad_target(b"link", target.as_bytes(), depth).is_some(), "{target}");
        }
        assert!(bad_target(b".gitModules", b"a", 0).is_some());
        assert!(bad_target(b"link", b"\xff", 0).is_some());
    }
}

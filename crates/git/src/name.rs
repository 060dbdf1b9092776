//! Names from outside: branches, paths, and how they are shown.
//!
//! Invariant: a name that passed a check here can't be read as an option, leave its folder, or be taken for a repository.

use damascus_core::display;

use crate::error::GitError;

/// How many bytes a branch or ref name may have; a file system takes 255 per part.
const MAX_NAME_BYTES: usize = 200;

/// How many characters of a name are shown.
const MAX_SHOWN_CHARS: usize = 300;

/// Makes a path or a name safe to show: what is not printable is escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if display::is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    display::one_line(&out, MAX_SHOWN_CHARS)
}

/// Checks a branch name by the rules of `git check-ref-format --branch`, and refuses those that read as options.
pub(crate) fn check_branch(name: &str) -> Result<(), GitError> {
    check_ref_part("a branch name", name)
}

/// Checks what comes after a fixed prefix such as `refs/heads/`.
pub(crate) fn check_ref_part(what: &'static str, name: &str) -> Result<(), GitError> {
    let bad = |why| Err(GitError::BadName { what, name: shown(name.as_bytes()), why });
    if name.is_empty() {
        return bad("it is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return bad("it is longer than 200 bytes");
    }
    if name.starts_with('-') {
        return bad("it begins with `-` and could be read as an option");
    }
    if name == "@" || name == "HEAD" || name.contains("@{") {
        return bad("`@`, `HEAD` and `@{` mean something else to git");
    }
    if name.contains("..") || name.ends_with('.') {
        return bad("it has `..` or ends with a dot");
    }
    if name.chars().any(|c| c <= ' ' || c == '\u{7f}' || "~^:?*[\\".contains(c) || display::is_unsafe(c)) {
        return bad("it has a blank, a control character, or one of ~ ^ : ? * [ \\");
    }
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock")) {
        return bad("a part of it is empty, begins with a dot, or ends with `.lock`");
    }
    Ok(())
}

/// What is wrong with a path from a tree, if it must not be written to disk.
pub(crate) fn unsafe_path(path: &[u8]) -> Option<&'static str> {
    if path.is_empty() {
        return Some("an empty path");
    }
    if path.contains(&0) {
        return Some("a path with a zero byte");
    }
    path.split(|byte| *byte == b'/').find_map(unsafe_part)
}

/// What is wrong with one part of a path.
pub(crate) fn unsafe_part(part: &[u8]) -> Option<&'static str> {
    match part {
        b"" => Some("a path with an empty part, or an absolute one"),
        b"." | b".." => Some("a path that leaves its folder"),
        part if part.contains(&b'/') => Some("a name with a slash"),
        part if is_dot_git(part) => {
            Some("a name that some file system takes for `.git`: a repository inside the tree could run programs")
        }
        _ => None,
    }
}

/// Whether some file system takes this name for `.git`: any case, with what HFS+ ignores, or as NTFS shortens and trims it
/// (`git~1`, `.git.`, `.git::$INDEX_ALLOCATION`, also behind a backslash). The rules of git's own `core.protectHFS` and
/// `core.protectNTFS`.
pub(crate) fn is_dot_git(name: &[u8]) -> bool {
    let visible: String = String::from_utf8_lossy(name).chars().filter(|c| !ignored_by_hfs(*c)).collect();
    visible.eq_ignore_ascii_case(".git") || name.split(|byte| *byte == b'\\').any(is_ntfs_dot_git)
}

fn is_ntfs_dot_git(name: &[u8]) -> bool {
    [&b".git"[..], b"git~1"].into_iter().any(|start| {
        let Some((head, tail)) = name.split_at_checked(start.len()) else { return false };
        let until_stream = tail.split(|byte| *byte == b':').next().unwrap_or_default();
        head.eq_ignore_ascii_case(start) && until_stream.iter().all(|byte| matches!(byte, b'.' | b' '))
    })
}

fn ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_follow_gits_rules() {
        for good in ["main", "story/12-a", "feature/ünï", "a.b", "x@y"] {
            assert!(check_branch(good).is_ok(), "{good}");
        }
        let long = "a".repeat(201);
        for bad in [
            "",
            "-f",
            "--upload-pack=x",
            "a..b",
            "a/",
            "/a",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a b",
            "a\nb",
            "a~b",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "@",
            "a@{1}",
            "HEAD",
            "a.",
            "a\u{7f}",
            "a\u{202e}b",
            &long,
        ] {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_spelling_of_dot_git_is_known() {
        for bad in [
            ".git",
            ".GIT",
            ".gIt",
            ".git.",
            ".git ",
            ".git . .",
            "git~1",
            "GIT~1",
            "git~1.",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            ".git\u{feff}",
            "a\\.git",
            ".git\\config",
            "\u{202e}.GIT",
        ] {
            assert!(is_dot_git(bad.as_bytes()), "{bad:?}");
        }
        for good in [".gitignore", ".github", "git", "git~2", ".gitx", "a.git", ".gi", "", "\u{e9}.git"] {
            assert!(!is_dot_git(good.as_bytes()), "{good:?}");
        }
        assert!(!is_dot_git(b"\xff.git"));
    }

    #[test]
    fn paths_stay_in_their_folder() {
        for bad in ["", "/etc/passwd", "../a", "a/../b", "a/./b", "a//b", "a/", "a/.git/config", "a\0b"] {
            assert!(unsafe_path(bad.as_bytes()).is_some(), "{bad:?}");
        }
        assert_eq!(unsafe_path(b"src/.gitignore"), None);
    }

    #[test]
    fn names_are_shown_escaped() {
        assert_eq!(shown(b"a\n\x1b[31m\xff"), "a\\n\\u{1b}[31m\\xff");
    }
}

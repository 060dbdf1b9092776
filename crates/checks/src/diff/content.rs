//! What a change brings in, whatever it is called: sizes, modes, links, bytes, credentials.
//!
//! Invariant: a message never repeats what looks like a credential.

use std::collections::HashMap;

use super::{ChangedFile, Content, Rule, Scope, Violation, secrets};

/// Where a NUL makes a file binary, in bytes from its beginning.
const BINARY_LOOK_BYTES: usize = 8 * 1024;
/// Git's kinds of entries.
pub(super) const SYMLINK: u32 = 0o120_000;
pub(super) const SUBMODULE: u32 = 0o160_000;
const KIND_MASK: u32 = 0o170_000;
/// Any execute bit.
const EXECUTE: u32 = 0o111;
/// Endings of what is run by itself.
const SCRIPTS: [&str; 10] = [".sh", ".bash", ".zsh", ".fish", ".py", ".pl", ".rb", ".js", ".mjs", ".ps1"];

/// Whether a mode is that of `kind`.
pub(super) fn is(mode: u32, kind: u32) -> bool {
    mode & KIND_MASK == kind
}

/// The lines of `new` that `old` does not have, each as often as it has more.
pub(super) fn added_lines<'a>(old: &str, new: &'a str) -> Vec<&'a str> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for line in old.lines() {
        *known.entry(line).or_default() += 1;
    }
    new.lines()
        .filter(|line| match known.get_mut(line) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

/// How many bytes a change adds: the lines that were not there, or the whole of what is no text.
pub(super) fn added_bytes(change: &ChangedFile) -> u64 {
    let size = match &change.new {
        None => return 0,
        Some(new) if Some(new) == change.old.as_ref() => return 0,
        Some(Content::TooLarge(size)) => return *size,
        Some(Content::Bytes(bytes)) => bytes.len() as u64,
    };
    match (change.old_text(), change.new_text()) {
        (Some(old), Some(new)) => added_lines(old, new).iter().map(|line| line.len() as u64 + 1).sum(),
        _ => size,
    }
}

/// What is wrong with the content and the mode of one file.
pub(super) fn judge(scope: &Scope<'_>, change: &ChangedFile, found: &mut Vec<Violation>) {
    let named = scope.is_named(&change.path);
    let mut say = |rule: Rule, detail: &str| found.push(Violation::new(&change.path, rule, detail.to_owned()));
    if is(change.new_mode, SUBMODULE) || is(change.old_mode, SUBMODULE) {
        say(Rule::Submodule, "is a submodule, whose content is not part of the change; remove the change");
        return;
    }
    if is(change.new_mode, SYMLINK) {
        let safe = change.new_text().is_some_and(|target| stays_inside(&change.path, target));
        match (named, safe) {
            (true, true) => {}
            (true, false) => say(Rule::Symlink, "is a link out of the repository; link to a path inside it"),
            (false, _) => say(Rule::Symlink, "is a symbolic link; make it a file, or let the spec name this very path"),
        }
        return;
    }
    if is(change.old_mode, SYMLINK) && change.new.is_some() && !named {
        say(Rule::Symlink, "was a symbolic link and is no longer; put it back");
    }
    if let Some(Content::TooLarge(bytes)) = change.new {
        say(Rule::TooLarge, &format!("has {bytes} bytes, too many to be looked at; make it smaller or leave it out"));
    }
    let became_executable = change.new_mode & EXECUTE != 0 && change.old_mode & EXECUTE == 0;
    if became_executable && !named && !is_script(change) {
        say(Rule::FileMode, "became executable and is no script; take the execute bit off (chmod 644)");
    }
    let Some(Content::Bytes(new)) = &change.new else { return };
    if new != change.old_bytes() && is_binary(new) && !named {
        say(Rule::Binary, "is not text; leave it out, or let the spec name this very file");
    }
    let text = String::from_utf8_lossy(new);
    let old = String::from_utf8_lossy(change.old_bytes());
    let mut told = Vec::new();
    for line in added_lines(&old, &text) {
        if let Some(what) = secrets::found(line).filter(|what| !told.contains(what)) {
            told.push(what);
            say(Rule::Secret, &format!("adds what looks like {what}; take it out, and have it revoked if it is real"));
        }
    }
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(BINARY_LOOK_BYTES).any(|&byte| byte == 0)
}

fn is_script(change: &ChangedFile) -> bool {
    let path = change.path.to_ascii_lowercase();
    SCRIPTS.iter().any(|ending| path.ends_with(ending))
        || matches!(&change.new, Some(Content::Bytes(bytes)) if bytes.starts_with(b"#!"))
}

/// Whether a link at `path` leads to somewhere in the tree that is none of git's own.
fn stays_inside(path: &str, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains(['\\', '\0']) {
        return false;
    }
    let mut depth = path.split('/').count().saturating_sub(1);
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            part if part.eq_ignore_ascii_case(".git") => return false,
            _ => depth += 1,
        }
    }
    true
}

//! Existing tests in a language whose assertions are not read: shell and others.
//!
//! Invariant: where what a line does is not known, each line may be what asserts; so lines may be added to a test, but none may go, and none
//! that ends or skips it may come.

use super::ChangedFile;
use super::content::added_lines;
use super::conventions::{Language, language};

/// What a line begins with that ends a test early and well, or skips it.
const ENDS: &[&str] = &[
    "exit 0",
    "exit;",
    "exit(0)",
    "return 0",
    "return;",
    "exec true",
    "exec :",
    "set +e",
    "skip",
    "pending",
    "xit ",
    "xdescribe ",
    "xcontext ",
    "__END__",
    "#if 0",
    "#[Ignore",
    "[Ignore",
];
/// What does so wherever it stands on a line.
const ENDS_WELL: &str = "exit 0";
/// Lines that are one of these as a whole do so too.
const WHOLE: &[&str] = &["exit", "return", ":", "true"];
/// How much of a line is shown, in characters.
const SHOWN_MAX_CHARS: usize = 80;

/// What is wrong with a changed test of which nothing but its lines can be compared.
pub(super) fn weakened(change: &ChangedFile) -> Option<String> {
    let (old, new) = (change.old_text()?, change.new_text()?);
    let is_code = match language(&change.path) {
        Some(language) => language == Language::Other,
        None => old.starts_with("#!"),
    };
    if !is_code {
        return None;
    }
    let shown = |line: &str| format!("`{}`", damascus_core::display::one_line(line.trim(), SHOWN_MAX_CHARS));
    let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let (old, new) = (trimmed(old), trimmed(new));
    if let Some(gone) = added_lines(&new, &old).into_iter().find(|line| is_more_than_words(line)) {
        return Some(format!(
            "no longer has the line {}; put it back as it was and add new ones beside it, or let the spec name this very file",
            shown(gone)
        ));
    }
    let ends = |line: &&str| {
        WHOLE.contains(line) || line.contains(ENDS_WELL) || ENDS.iter().any(|start| line.starts_with(start))
    };
    added_lines(&old, &new).into_iter().find(ends).map(|line| {
        format!("adds {} to an existing test, which keeps what comes after it from failing; remove it", shown(line))
    })
}

/// Whether a line is neither empty nor a comment.
fn is_more_than_words(line: &str) -> bool {
    let comment =
        line.starts_with('#') && !line.starts_with("#!") && !line.starts_with("#if") && !line.starts_with("#[");
    !line.is_empty() && !comment && !line.starts_with("//")
}

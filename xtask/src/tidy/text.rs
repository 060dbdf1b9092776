//! Rules for every text file: white space, line ends, and paths that exist on one machine only.

use crate::finding::Finding;
use crate::tree::SourceFile;

/// Folders of one machine. Put together here so that this file does not hold them.
const MACHINE_FOLDERS: [&str; 2] = [concat!("/", "root/"), concat!("/", "work/")];

/// The folder beside the repository that its text must not lean on.
const OUTSIDE: &str = concat!("..", "/shared");

/// Checks white space; fixtures and generated files are exempt.
pub(crate) fn check_space(file: &SourceFile, text: &str, findings: &mut Vec<Finding>) {
    let mut fail = |line, rule, message: &str| findings.push(Finding::failure(&file.path, line, rule, message));
    for (index, line) in text.split('\n').enumerate() {
        let line_number = index + 1;
        let content = line.strip_suffix('\r').unwrap_or(line);
        if content.len() < line.len() {
            fail(line_number, "crlf", "ends with CR LF; save it with LF");
        }
        if content.ends_with([' ', '\t']) {
            fail(line_number, "trailing-space", "white space at the end of the line; remove it");
        }
        if file.has_extension("rs") && content.contains('\t') {
            fail(line_number, "tab", "a tab; run `cargo fmt`, or write \\t in a literal");
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        fail(text.lines().count(), "final-newline", "no newline at the end of the file; add one");
    }
}

/// Checks for paths of one machine.
pub(crate) fn check_paths(file: &SourceFile, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        if MACHINE_FOLDERS.iter().any(|folder| mentions(line, folder)) {
            let message = "a path of one machine; take it from the environment, or write it from the repository's root";
            findings.push(Finding::failure(&file.path, index + 1, "machine-path", message));
        }
        if line.contains(OUTSIDE) {
            let message = "points outside the repository; say here what a reader needs";
            findings.push(Finding::failure(&file.path, index + 1, "outside-path", message));
        }
    }
}

/// Whether `folder` stands at the beginning of a path, so not inside a longer path or an address.
fn mentions(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-./}>)]*~$%".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        let mut findings = Vec::new();
        check_space(&SourceFile::text_file(path, text), text, &mut findings);
        findings.iter().map(|f| (f.rule, f.line)).collect()
    }

    fn paths(text: &str) -> usize {
        let mut findings = Vec::new();
        check_paths(&SourceFile::text_file("docs/a.md", text), text, &mut findings);
        findings.len()
    }

    #[test]
    fn white_space_is_kept_clean() {
        assert_eq!(space("a.md", "a\n\nb\n"), []);
        assert_eq!(space("a.md", ""), []);
        assert_eq!(space("a.md", "a \nb\t\n"), [("trailing-space", 1), ("trailing-space", 2)]);
        assert_eq!(space("a.md", "a\r\nb\n"), [("crlf", 1)]);
        assert_eq!(space("a.md", "a\nb"), [("final-newline", 2)]);
    }

    #[test]
    fn tabs_are_for_makefiles() {
        assert_eq!(space("a.rs", "\tx\n"), [("tab", 1)]);
        assert_eq!(space("Makefile", "\tx\n"), []);
    }

    #[test]
    fn paths_of_a_machine_are_found() {
        for folder in MACHINE_FOLDERS {
            assert_eq!(paths(&format!("see {folder}main\n")), 1);
            assert_eq!(paths(&format!("\"{folder}\"")), 1);
            assert_eq!(paths(&format!("https://example.org{folder}a")), 0);
            assert_eq!(paths(&format!("$HOME{folder}a crates{folder}b")), 0);
        }
        assert_eq!(paths(&format!("see {OUTSIDE}/spec.md")), 1);
        assert_eq!(paths("a shared/folder"), 0);
    }
}

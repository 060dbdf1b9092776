//! Rules for the files themselves: names, sizes, and the order of migrations.

use crate::finding::Finding;
use crate::tree::{Content, SourceFile};

/// Largest binary file, in bytes: a picture for the docs fits, a program does not.
const MAX_BINARY_BYTES: u64 = 256 * 1024;

const MIGRATIONS: &str = "crates/store/migrations/";

/// Checks one file's name and size.
pub(crate) fn check(file: &SourceFile, findings: &mut Vec<Finding>) {
    if file.content == Content::Binary && file.size > MAX_BINARY_BYTES {
        let message =
            format!("a binary file of {} KiB, above {}; leave it out", file.size / 1024, MAX_BINARY_BYTES / 1024);
        findings.push(Finding::failure(&file.path, 1, "binary-size", message));
    }
    if !file.is_fixture() && file.path.contains(char::is_whitespace) {
        findings.push(Finding::failure(&file.path, 1, "file-name", "a space in the name; rename it"));
    }
}

/// Checks that migrations are `NNNN_words.sql`, counted from 0001 without a gap or a double.
pub(crate) fn check_migrations(files: &[SourceFile], findings: &mut Vec<Finding>) {
    let mut expected = 1;
    let names = files.iter().filter_map(|f| f.path.strip_prefix(MIGRATIONS).map(|name| (f, name)));
    for (file, name) in names.filter(|(f, name)| !name.contains('/') && f.has_extension("sql")) {
        match number(name) {
            Some(n) if n == expected => expected += 1,
            Some(n) => {
                let message =
                    format!("has number {n:04} where {expected:04} comes next; migrations go forward without a gap");
                findings.push(Finding::failure(&file.path, 1, "migration-order", message));
                expected = n + 1;
            }
            None => {
                let message = "is not named NNNN_words.sql in small letters; there are no down migrations";
                findings.push(Finding::failure(&file.path, 1, "migration-name", message));
            }
        }
    }
}

fn number(name: &str) -> Option<u32> {
    let (digits, words) = name.strip_suffix(".sql")?.split_once('_')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let well_formed = digits.len() == 4 && !words.is_empty() && words.chars().all(plain);
    well_formed.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, size: u64, content: Content) -> Vec<&'static str> {
        let mut findings = Vec::new();
        check(&SourceFile { path: path.to_owned(), size, content }, &mut findings);
        findings.iter().map(|f| f.rule).collect()
    }

    fn migrations(names: &[&str]) -> Vec<&'static str> {
        let files: Vec<_> = names.iter().map(|n| SourceFile::text_file(&format!("{MIGRATIONS}{n}"), "")).collect();
        let mut findings = Vec::new();
        check_migrations(&files, &mut findings);
        findings.iter().map(|f| f.rule).collect()
    }

    #[test]
    fn large_binaries_stay_out() {
        assert_eq!(found("docs/a.png", MAX_BINARY_BYTES + 1, Content::Binary), ["binary-size"]);
        assert_eq!(found("docs/a.png", MAX_BINARY_BYTES, Content::Binary), [""; 0]);
        assert_eq!(found("Cargo.lock", 9_000_000, Content::Text(String::new())), [""; 0]);
    }

    #[test]
    fn names_have_no_spaces() {
        assert_eq!(found("docs/a b.md", 1, Content::Binary), ["file-name"]);
        assert_eq!(found("crates/bmad/tests/fixtures/a b.md", 1, Content::Binary), [""; 0]);
    }

    #[test]
    fn migrations_count_up() {
        assert_eq!(migrations(&["0001_first.sql", "0002_more_words.sql"]), [""; 0]);
        assert_eq!(migrations(&["0001_first.sql", "0003_third.sql", "0004_fourth.sql"]), ["migration-order"]);
        assert_eq!(migrations(&["0001_first.sql", "0001_again.sql"]), ["migration-order"]);
        assert_eq!(migrations(&["0002_first.sql"]), ["migration-order"]);
        assert_eq!(migrations(&["1_first.sql"]), ["migration-name"]);
        assert_eq!(migrations(&["0001_first.sql", "0002_more.down.sql"]), ["migration-name"]);
        assert_eq!(migrations(&["samples/x.sql"]), [""; 0]);
    }
}

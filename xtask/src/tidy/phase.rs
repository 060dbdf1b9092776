//! The rule that only the store's `apply` writes an item's phase: its Rust side and the one database function that it calls. It has no
//! exception, not for tests either.

use super::scan::{Scan, has_word};
use super::sql_write::{PhaseWrite, phase_writes};
use crate::finding::Finding;
use crate::tree::SourceFile;

const RULE: &str = "phase-writer";

/// The one writer, the folder of its parts and tests, and the database function that it calls.
const WRITERS: [&str; 3] =
    ["crates/store/src/apply.rs", "crates/store/src/apply/", "crates/store/migrations/0009_apply_moves.sql"];

const SETTER: &str = "set_phase";

/// Checks one Rust file, taken apart.
pub(crate) fn check_rust(file: &SourceFile, scan: &Scan, findings: &mut Vec<Finding>) {
    for (index, code) in scan.code.iter().enumerate() {
        if has_word(code, SETTER) {
            findings.push(setter(file, index + 1));
        }
    }
    for (line, text) in &scan.strings {
        check_sql(file, *line, text, findings);
    }
}

/// Checks SQL that begins on `first_line` of `file`.
pub(crate) fn check_sql(file: &SourceFile, first_line: usize, sql: &str, findings: &mut Vec<Finding>) {
    for (index, line) in sql.lines().enumerate() {
        if has_word(line, SETTER) {
            findings.push(setter(file, first_line + index));
        }
    }
    if WRITERS.iter().any(|w| file.path == *w || (w.ends_with('/') && file.path.starts_with(w))) {
        return;
    }
    for (index, write) in phase_writes(sql) {
        let what = match write {
            PhaseWrite::Named => "writes work_items.phase",
            PhaseWrite::Unseen => "writes work_items without showing which columns, so its phase may be among them",
        };
        findings.push(Finding::failure(
            &file.path,
            first_line + index,
            RULE,
            format!(
                "{what}; only {} does that: give `apply` an event (a new item takes the column's default), \
                 and name the columns in one literal; a test of the database's own refusal belongs in {}",
                WRITERS[0], WRITERS[1]
            ),
        ));
    }
}

fn setter(file: &SourceFile, line: usize) -> Finding {
    Finding::failure(
        &file.path,
        line,
        RULE,
        format!("`{SETTER}` must not exist; a phase changes by an event to `apply`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scan::scan;

    fn lines(path: &str, source: &str) -> Vec<usize> {
        let file = SourceFile::text_file(path, source);
        let mut findings = Vec::new();
        check_rust(&file, &scan(source), &mut findings);
        findings.iter().map(|f| f.line).collect()
    }

    const WRITE: &str = "fn f() {\n    q(\"WITH a AS (SELECT 1)\n       UPDATE work_items SET phase = 'build'\");\n}\n";

    #[test]
    fn a_write_anywhere_else_is_found_on_its_line() {
        assert_eq!(lines("crates/store/src/claim.rs", WRITE), [3]);
        assert_eq!(lines("crates/store/tests/apply.rs", WRITE), [3]);
        assert_eq!(lines("crates/store/src/apply_more.rs", WRITE), [3]);
    }

    #[test]
    fn apply_may_write() {
        assert_eq!(lines("crates/store/src/apply.rs", WRITE), [0; 0]);
        assert_eq!(lines("crates/store/src/apply/batch.rs", WRITE), [0; 0]);
    }

    #[test]
    fn a_setter_is_found_even_in_apply() {
        assert_eq!(lines("crates/store/src/apply.rs", "fn set_phase() {}"), [1]);
        assert_eq!(lines("crates/store/src/apply.rs", "// set_phase would be wrong\nfn offset_phases() {}"), [0; 0]);
    }
}

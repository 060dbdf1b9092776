//! Checks of the tree against the house rules that neither the compiler nor clippy knows.
//!
//! Each rule is a function from one file, or from all of them, to findings; a finding says where and what to do.

mod docs;
mod layout;
mod phase;
mod scan;
mod source;
mod sql;
mod sql_write;
mod text;
mod waiver;

use crate::finding::Finding;
use crate::tree::SourceFile;

/// The rules' own sources, which hold samples of what they forbid in text; the rules on such text leave them alone.
const RULES: &str = "xtask/src/tidy";

/// Runs every rule; findings come in the order of files and lines.
#[must_use]
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let known = docs::targets(files);
    let mut all = Vec::new();
    for file in files {
        let mut findings = Vec::new();
        layout::check(file, &mut findings);
        if let Some(text) = file.text() {
            check_text(file, text, &mut findings);
            if file.has_extension("md") && !file.is_fixture() {
                docs::check(file, text, &known, &mut findings);
            }
            if !file.path.starts_with(RULES) && !file.has_extension("md") {
                waiver::apply(file, text, &mut findings);
            }
        }
        all.append(&mut findings);
    }
    layout::check_migrations(files, &mut all);
    all.sort_by(|a, b| (&a.path, a.line, a.rule).cmp(&(&b.path, b.line, b.rule)));
    all
}

fn check_text(file: &SourceFile, text: &str, findings: &mut Vec<Finding>) {
    let own_samples = file.path.starts_with(RULES);
    if !file.is_fixture() && !file.is_generated() {
        text::check_space(file, text, findings);
    }
    if !own_samples {
        text::check_paths(file, text, findings);
    }
    if file.has_extension("sql") && !file.is_fixture() {
        sql::check_sql_file(file, findings);
        phase::check_sql(file, 1, text, findings);
    }
    if file.has_extension("rs") && !file.is_fixture() {
        let scan = scan::scan(text);
        source::check(file, &scan, findings);
        if !own_samples {
            phase::check_rust(file, &scan, findings);
            sql::check_rust(file, &scan, findings);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_run_over_a_tree_and_answer_in_order() {
        let update = "UPDATE work_items SET phase = 'x'";
        let files = [
            SourceFile::text_file("crates/store/migrations/0001_first.sql", &format!("{update};\n")),
            SourceFile::text_file("crates/engine/src/a.rs", &format!("//! A.\nconst Q: &str = \"{update}\";\n")),
            SourceFile::text_file("docs/a.md", "[b](b.md) \n"),
        ];
        let found: Vec<_> = check(&files).iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.rule)).collect();
        let expected = [
            "crates/engine/src/a.rs:2: phase-writer",
            "crates/engine/src/a.rs:2: sql-outside-store",
            "crates/store/migrations/0001_first.sql:1: phase-writer",
            "docs/a.md:1: broken-link",
            "docs/a.md:1: trailing-space",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn fixtures_keep_their_style() {
        let text = "[a](gone.md) \r\n\t\nno newline";
        assert_eq!(check(&[SourceFile::text_file("crates/bmad/tests/fixtures/a b.md", text)]), []);
    }
}

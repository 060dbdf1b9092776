//! Rules of style for Rust files that clippy does not have.

use super::scan::{Scan, has_word, word_ends};
use crate::finding::Finding;
use crate::tree::SourceFile;

/// Lines of a file up to which nothing is said.
const AIM_LINES: usize = 400;

/// Lines of a file above which the run fails.
const MAX_LINES: usize = 500;

/// Names that say nothing of what a module is for.
const VAGUE: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "misc", "shared"];

/// Checks one Rust file, taken apart.
pub(crate) fn check(file: &SourceFile, scan: &Scan, findings: &mut Vec<Finding>) {
    length(file, findings);
    header(file, findings);
    names(file, scan, findings);
    let tests_from = if file.is_test_file() { Some(0) } else { first_test_line(scan) };
    for (index, code) in scan.code.iter().enumerate() {
        let in_tests = tests_from.is_some_and(|from| index >= from);
        if let Some((rule, message)) = line_rule(code, in_tests) {
            findings.push(Finding::failure(&file.path, index + 1, rule, message));
        }
    }
}

fn line_rule(code: &str, in_tests: bool) -> Option<(&'static str, &'static str)> {
    let attribute = code.contains("#[") || code.contains("#![");
    if attribute && word_ends(code, "allow").any(|after| after.starts_with('(')) {
        Some(("allow-attribute", "write #[expect(lint, reason = \"…\")], which tells when it is no longer needed"))
    } else if attribute && has_word(code, "ignore") {
        Some(("ignored-test", "a test runs or is not there; put what needs a server behind a cargo feature"))
    } else if ["todo", "unimplemented"].iter().any(|m| word_ends(code, m).any(|after| after.starts_with("!("))) {
        Some(("unfinished", "finish it, or return a typed error that says what is missing"))
    } else if in_tests && word_ends(code, "sleep").any(|after| after.starts_with('(')) {
        Some((
            "sleep-in-test",
            "wait for the condition with a limit, or move the controlled clock; see docs/testing.md",
        ))
    } else {
        None
    }
}

/// Where the module of unit tests begins: the line of its `#[cfg(test)]`, which stands last in a file.
fn first_test_line(scan: &Scan) -> Option<usize> {
    let marker = |line: &String| line.trim_start().starts_with("#[cfg(test)]");
    scan.code.iter().rposition(marker).filter(|at| {
        let next = scan.code[at + 1..].iter().find(|line| !line.trim().is_empty());
        next.is_some_and(|line| has_word(line, "mod") && line.contains('{'))
    })
}

fn length(file: &SourceFile, findings: &mut Vec<Finding>) {
    let lines = file.text().map_or(0, |text| text.lines().count());
    let say = |limit| format!("{lines} lines, above {limit}; split it by what its parts are for");
    if lines > MAX_LINES {
        findings.push(Finding::failure(&file.path, MAX_LINES, "file-length", say(MAX_LINES)));
    } else if lines > AIM_LINES {
        findings.push(Finding::note(&file.path, AIM_LINES, "file-length", say(AIM_LINES)));
    }
}

fn header(file: &SourceFile, findings: &mut Vec<Finding>) {
    let first = file.text().and_then(|text| text.lines().next()).unwrap_or_default();
    if !first.starts_with("//!") {
        let message = "begin with `//!`: the module's purpose and the invariant that it keeps";
        findings.push(Finding::failure(&file.path, 1, "module-doc", message));
    }
}

fn names(file: &SourceFile, scan: &Scan, findings: &mut Vec<Finding>) {
    let message = |name: &str| format!("a module named `{name}`; name it after what it is for");
    for part in file.path.split('/') {
        let name = part.strip_suffix(".rs").unwrap_or(part);
        if VAGUE.contains(&name) {
            findings.push(Finding::failure(&file.path, 1, "vague-name", message(name)));
        }
    }
    for (index, code) in scan.code.iter().enumerate() {
        for after in word_ends(code, "mod").filter(|after| after.contains('{')) {
            let name = after.split(|c: char| !(c.is_alphanumeric() || c == '_')).find(|n| !n.is_empty());
            if let Some(name) = name.filter(|n| VAGUE.contains(n)) {
                findings.push(Finding::failure(&file.path, index + 1, "vague-name", message(name)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::scan::scan;

    fn found(path: &str, source: &str) -> Vec<(&'static str, usize, bool)> {
        let mut findings = Vec::new();
        check(&SourceFile::text_file(path, source), &scan(source), &mut findings);
        findings.iter().map(|f| (f.rule, f.line, f.is_failure())).collect()
    }

    fn body(source: &str) -> Vec<(&'static str, usize, bool)> {
        found("crates/core/src/a.rs", &format!("//! A.\n{source}\n"))
    }

    #[test]
    fn long_files_are_noted_then_refused() {
        let lines = |n: usize| format!("//! A.\n{}", "fn a() {}\n".repeat(n - 1));
        assert_eq!(found("a.rs", &lines(400)), []);
        assert_eq!(found("a.rs", &lines(401)), [("file-length", 400, false)]);
        assert_eq!(found("a.rs", &lines(500)), [("file-length", 400, false)]);
        assert_eq!(found("a.rs", &lines(501)), [("file-length", 500, true)]);
    }

    #[test]
    fn a_file_begins_with_its_purpose() {
        assert_eq!(found("a.rs", "fn a() {}\n"), [("module-doc", 1, true)]);
        assert_eq!(found("a.rs", "//! A.\nfn a() {}\n"), []);
    }

    #[test]
    fn vague_names_are_refused() {
        assert_eq!(found("crates/core/src/utils.rs", "//! A.\n"), [("vague-name", 1, true)]);
        assert_eq!(found("crates/core/tests/common/mod.rs", "//! A.\n"), [("vague-name", 1, true)]);
        assert_eq!(body("mod helpers { }"), [("vague-name", 2, true)]);
        assert_eq!(body("mod claims { fn common() { } }"), []);
    }

    #[test]
    fn allow_is_refused_and_expect_is_not() {
        assert_eq!(body("#[allow(dead_code)]\nfn a() {}"), [("allow-attribute", 2, true)]);
        assert_eq!(body("#![allow(dead_code)]"), [("allow-attribute", 2, true)]);
        assert_eq!(body("#[cfg_attr(test, allow(dead_code))]"), [("allow-attribute", 2, true)]);
        assert_eq!(body("#[expect(dead_code, reason = \"#[allow(x)]\")]\nfn a() { self.allow(1) }"), []);
    }

    #[test]
    fn tests_are_never_ignored() {
        assert_eq!(body("#[ignore]\nfn a() {}"), [("ignored-test", 2, true)]);
        assert_eq!(body("#[ignore = \"slow\"]\nfn a() {}"), [("ignored-test", 2, true)]);
        assert_eq!(body("fn ignore() { ignore() }"), []);
    }

    #[test]
    fn unfinished_code_is_refused() {
        assert_eq!(body("fn a() { todo!() }"), [("unfinished", 2, true)]);
        assert_eq!(body("fn a() { unimplemented!(\"x\") }"), [("unfinished", 2, true)]);
        assert_eq!(body("// todo!()\nfn a() { my_todo!(); f(\"todo!()\") }"), []);
    }

    #[test]
    fn tests_do_not_sleep() {
        let sleeping = "//! A.\nfn a() { tokio::time::sleep(d).await }\n";
        assert_eq!(found("crates/engine/tests/a.rs", sleeping), [("sleep-in-test", 2, true)]);
        assert_eq!(found("crates/engine/src/a.rs", sleeping), []);
        assert_eq!(
            body("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { sleep(d) }\n}"),
            [("sleep-in-test", 5, true)]
        );
        assert_eq!(body("#[cfg(test)]\nmod tests;\nfn b() { sleep(d) }"), []);
        assert_eq!(found("crates/engine/tests/a.rs", "//! A.\nfn a() { run(\"sleep 9\"); asleep() }\n"), []);
    }
}

//! Exceptions, written where they hold: a comment `tidy-expect(rule): reason` on the line or on the one above.
//!
//! Like `#[expect]`: one that is no longer needed fails, and so does one without a reason. Some rules take none.
//! Markdown has none: prose can be worded otherwise.

use crate::finding::Finding;
use crate::tree::SourceFile;

const MARK: &str = "tidy-expect(";
const RULE: &str = "tidy-expect";

/// Rules that take an exception; the others are walls.
const WAIVABLE: [&str; 3] = ["machine-path", "sleep-in-test", "sql-outside-store"];

/// Takes out of `findings` (all of them of `file`) what its waivers expect, and adds what is wrong with the waivers.
pub(crate) fn apply(file: &SourceFile, text: &str, findings: &mut Vec<Finding>) {
    for (index, line) in text.lines().enumerate() {
        let Some((_, after)) = line.split_once(MARK) else { continue };
        let here = index + 1;
        let (rule, reason) = after.split_once(')').unwrap_or((after, ""));
        let mut fail = |message: String| findings.push(Finding::failure(&file.path, here, RULE, message));
        if !WAIVABLE.contains(&rule) {
            fail(format!("the rule `{rule}` takes no exception; {} do", WAIVABLE.join(", ")));
            continue;
        }
        if !reason.strip_prefix(':').is_some_and(|r| r.chars().any(char::is_alphabetic)) {
            fail("no reason; write it after a colon".to_owned());
            continue;
        }
        let before = findings.len();
        findings.retain(|f| f.rule != rule || !(f.line == here || f.line == here + 1));
        if findings.len() == before {
            let message = format!("`{rule}` finds nothing here any more; remove the exception");
            findings.push(Finding::failure(&file.path, here, RULE, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str, findings: &[(&'static str, usize)]) -> Vec<(&'static str, usize)> {
        let file = SourceFile::text_file("a.rs", text);
        let mut found = findings.iter().map(|(rule, line)| Finding::failure("a.rs", *line, rule, "x")).collect();
        apply(&file, text, &mut found);
        found.iter().map(|f| (f.rule, f.line)).collect()
    }

    #[test]
    fn a_reasoned_exception_holds_for_its_line_and_the_next() {
        let text = "a\n// tidy-expect(machine-path): the sandbox test wants it\nb\nc\n";
        assert_eq!(left(text, &[("machine-path", 3), ("machine-path", 4)]), [("machine-path", 4)]);
        assert_eq!(left(text, &[("machine-path", 2)]), []);
    }

    #[test]
    fn exceptions_are_needed_reasoned_and_permitted() {
        assert_eq!(left("// tidy-expect(machine-path): why\n", &[]), [(RULE, 1)]);
        assert_eq!(left("// tidy-expect(tab): why\n", &[("tab", 1)]), [("tab", 1), (RULE, 1)]);
        let bare = "// tidy-expect(machine-path)\n";
        assert_eq!(left(bare, &[("machine-path", 1)]), [("machine-path", 1), (RULE, 1)]);
    }
}

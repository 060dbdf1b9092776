//! The rule that every relative link in Markdown leads to something in the tree.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::tree::SourceFile;

const RULE: &str = "broken-link";

/// Paths that a link may lead to: files, and the folders that hold them.
pub(crate) fn targets(files: &[SourceFile]) -> BTreeSet<&str> {
    let mut known = BTreeSet::from([""]);
    for file in files {
        known.insert(&file.path);
        known.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    known
}

/// Checks the links of one Markdown file.
pub(crate) fn check(file: &SourceFile, text: &str, known: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    for (line, link) in links(text) {
        let target = link.split(['#', '?']).next().unwrap_or_default();
        if target.is_empty() || has_scheme(target) {
            continue;
        }
        let problem = match resolve(&file.path, target) {
            None => "leads out of the repository",
            Some(path) if known.contains(path.as_str()) => continue,
            Some(_) => "leads to nothing",
        };
        let message = format!("the link to `{link}` {problem}; links are relative to the file that holds them");
        findings.push(Finding::failure(&file.path, line, RULE, message));
    }
}

fn has_scheme(target: &str) -> bool {
    target.starts_with("//")
        || target.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-')
        })
}

/// The path from the root, or `None` when it is absolute or climbs out.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Targets of `[text](target)` and `[label]: target`, with their lines; code is left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|m| start.starts_with(m));
        match (fence, marker) {
            (None, Some(open)) => {
                fence = Some(open);
                continue;
            }
            (Some(open), Some(close)) if open == close => {
                fence = None;
                continue;
            }
            (Some(_), _) => continue,
            (None, None) => {}
        }
        let prose = without_code(line);
        if let Some((label, target)) = prose.trim_start().split_once("]:")
            && label.starts_with('[')
            && !label.starts_with("[^")
        {
            found.extend(first_word(target).map(|t| (index + 1, t)));
        }
        for (at, _) in prose.match_indices("](") {
            found.extend(first_word(&prose[at + 2..]).map(|t| (index + 1, t)));
        }
    }
    found
}

/// The target itself: up to a space, a title or the closing bracket.
fn first_word(text: &str) -> Option<String> {
    let text = text.trim_start();
    let target = match text.strip_prefix('<') {
        Some(inside) => inside.split('>').next(),
        None => text.split([' ', ')']).next(),
    };
    target.filter(|t| !t.is_empty()).map(str::to_owned)
}

/// A line without its code spans.
fn without_code(line: &str) -> String {
    let mut prose = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('`') {
        prose.push_str(&rest[..open]);
        let ticks = rest[open..].bytes().take_while(|b| *b == b'`').count();
        let after = &rest[open + ticks..];
        match after.find(&rest[open..open + ticks]) {
            Some(close) => rest = &after[close + ticks..],
            None => rest = after,
        }
    }
    prose.push_str(rest);
    prose
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> Vec<usize> {
        let files = ["docs/a.md", "docs/adr/0001-b.md", "README.md"].map(|p| SourceFile::text_file(p, ""));
        let mut findings = Vec::new();
        check(&SourceFile::text_file("docs/a.md", text), text, &targets(&files), &mut findings);
        findings.iter().map(|f| f.line).collect()
    }

    #[test]
    fn links_that_lead_somewhere() {
        for text in [
            "[a](adr/0001-b.md)",
            "[a](adr/) and [b](../README.md#top \"title\")",
            "[a](./a.md?x) ![i](<a.md>)",
            "[a](#here) [b](https://example.org/x) [c](mailto:a@example.org)",
            "[label]: adr/0001-b.md",
            "[^1]: a footnote",
            "`[a](gone.md)`",
            "```\n[a](gone.md)\n```",
            "[root](..)",
        ] {
            assert_eq!(broken(text), [0; 0], "{text}");
        }
    }

    #[test]
    fn links_that_do_not() {
        assert_eq!(broken("x\n[a](gone.md)"), [2]);
        assert_eq!(broken("[a](adr/0001-b.md) [b](0001-b.md)"), [1]);
        assert_eq!(broken("[a](../../README.md)"), [1]);
        assert_eq!(broken("[a](/docs/a.md)"), [1]);
        assert_eq!(broken("[label]: gone.md"), [1]);
        assert_eq!(broken("```\n```\n[a](gone.md)"), [3]);
    }
}

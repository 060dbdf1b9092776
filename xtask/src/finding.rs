//! What a rule found: where, which rule, and the way out.

use std::fmt;

/// Whether a finding fails the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The run exits with 1.
    Failure,
    /// Printed only.
    Note,
}

/// One place in the tree that a rule speaks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path from the repository's root, with forward slashes.
    pub path: String,
    /// Line, counted from 1; 1 as well for what concerns the whole file.
    pub line: usize,
    /// The rule's name, as written in a `tidy-expect`.
    pub rule: &'static str,
    /// What is wrong and what to do about it.
    pub message: String,
    /// Whether it fails the run.
    pub severity: Severity,
}

impl Finding {
    /// A finding that fails the run.
    pub fn failure(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into(), severity: Severity::Failure }
    }

    /// A finding that is only printed.
    pub fn note(path: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::failure(path, line, rule, message) }
    }

    /// Whether it fails the run.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.severity == Severity::Failure
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message, severity } = self;
        match severity {
            Severity::Failure => write!(f, "{path}:{line}: {rule}: {message}"),
            Severity::Note => write!(f, "{path}:{line}: note: {rule}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_in_the_form_that_editors_jump_to() {
        assert_eq!(Finding::failure("a/b.rs", 7, "tabs", "no").to_string(), "a/b.rs:7: tabs: no");
        assert_eq!(Finding::note("a/b.rs", 1, "length", "long").to_string(), "a/b.rs:1: note: length: long");
    }
}

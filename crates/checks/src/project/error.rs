//! Why there are no rules.
//!
//! Invariant: every message is safe to show, says where the fault is, and what to write instead.

use damascus_core::display::one_line;

/// How much of a message from outside is shown, in characters.
const SHOWN_MAX_CHARS: usize = 300;

/// A fault in `.damascus.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {problem}; {next}", super::FILE)]
pub struct RulesError {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The key, with its tables, such as `test.timeout_s`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong there, and what is expected.
    pub problem: String,
    /// What to do about it.
    pub next: String,
}

impl RulesError {
    /// A fault at a byte of the text.
    pub(super) fn at(text: &str, byte: usize, key: &str, problem: &str, next: &str) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
            key: one_line(key, SHOWN_MAX_CHARS),
            problem: one_line(problem, SHOWN_MAX_CHARS),
            next: one_line(next, SHOWN_MAX_CHARS),
        }
    }
}

/// No test command could be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "found no command that tests this project: {reason}; looked for {looked_for}. Put a file {} like this on the base branch:\n\n{example}",
    super::FILE
)]
pub struct NothingDetected {
    /// What was there, and why it is not enough; safe to show.
    pub reason: String,
    /// What would have been recognised.
    pub looked_for: &'static str,
    /// A whole `.damascus.toml`, ready to paste; it parses.
    pub example: String,
}

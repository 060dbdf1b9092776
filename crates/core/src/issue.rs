//! Human issues: what a person is asked, and why.
//!
//! Invariant: a person is only ever asked asynchronously; an open issue holds up its own item and those that depend on it, nothing else.

use serde::{Deserialize, Serialize};

use crate::named_enum;

/// Why a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IssueKind {
    /// A question that a run could not answer from the story; the item waits in `awaiting_human`.
    Question,
    /// The item's budget is spent; it waits in `blocked`.
    Blocked,
    /// What a gate waits for can't come any more, or is late; the gate stays closed until a person decides.
    Gate,
}

named_enum!(IssueKind, "issue kind", { Question => "question", Blocked => "blocked", Gate => "gate" });

/// A question for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// Answers to choose from; empty when any text will do.
    pub options: Vec<String>,
    /// What will be assumed when the person leaves it to us.
    pub default: Option<String>,
}

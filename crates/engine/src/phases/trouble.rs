//! What keeps a phase from its goal, and what that means for the item.
//!
//! Invariant: a failure of the surroundings never costs an attempt, and a failure of the work is never taken for one of the surroundings.

use damascus_core::{CostEntry, Failure, Outcome, Question, RunReport, display};
use damascus_git::GitError;
use damascus_sandbox::SandboxError;
use damascus_store::StoreError;

use crate::ports::forge::ForgeError;

/// How long a question or a detail may be, in characters.
const TEXT_MAX_CHARS: usize = 8_000;

/// Why a run ends without a pass.
#[derive(Debug)]
pub enum Trouble {
    /// A person has to decide or to mend something; only the spec phase can ask.
    Ask(Vec<Question>),
    /// The work fails, for a reason that the next attempt should know.
    Fail(Failure, String),
    /// A provider's limit was hit.
    RateLimited {
        /// How long it says to wait, in milliseconds.
        reopen_after_ms: Option<u64>,
        /// What it said.
        detail: String,
    },
}

impl Trouble {
    /// A failure of the surroundings.
    pub(crate) fn surroundings(detail: impl std::fmt::Display) -> Self {
        Self::Fail(Failure::InfraError, detail.to_string())
    }

    /// Something that a person has to mend before the work can go on.
    pub(crate) fn person(text: impl std::fmt::Display) -> Self {
        Self::Ask(vec![Question { text: text.to_string(), options: Vec::new(), default: None }])
    }

    /// The same where nobody can be asked: it is tried again, and parks the item when the budget for that is spent.
    pub(crate) fn without_asking(self) -> Self {
        match self {
            Self::Ask(questions) => {
                let texts: Vec<String> = questions.into_iter().map(|question| question.text).collect();
                Self::Fail(Failure::InfraError, texts.join("\n"))
            }
            other => other,
        }
    }

    /// What it says, safe to show.
    #[must_use]
    pub fn text(&self) -> String {
        let text = match self {
            Self::Ask(questions) => questions.iter().map(|one| one.text.as_str()).collect::<Vec<_>>().join("\n"),
            Self::Fail(_, detail) | Self::RateLimited { detail, .. } => detail.clone(),
        };
        display::many_lines(&text, TEXT_MAX_CHARS)
    }

    /// The report of a run that met it.
    pub(crate) fn report(self, costs: Vec<CostEntry>) -> RunReport {
        let safe = |text: &str| display::many_lines(text, TEXT_MAX_CHARS);
        let outcome = match self {
            Self::Ask(questions) => {
                let mut questions = questions.into_iter().map(|one| Question { text: safe(&one.text), ..one });
                match questions.next() {
                    Some(first) => Outcome::Ask { first, more: questions.collect() },
                    None => {
                        Outcome::Fail { failure: Failure::InfraError, detail: "a question without a text".to_owned() }
                    }
                }
            }
            Self::Fail(failure, detail) => Outcome::Fail { failure, detail: safe(&detail) },
            Self::RateLimited { reopen_after_ms, detail } => {
                Outcome::RateLimited { reopen_after_ms, detail: safe(&detail) }
            }
        };
        RunReport { outcome, costs }
    }
}

/// The whole chain of an error, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    display::one_line(&text, TEXT_MAX_CHARS)
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        Self::surroundings(chain(&error))
    }
}

impl From<SandboxError> for Trouble {
    fn from(error: SandboxError) -> Self {
        Self::surroundings(chain(&error))
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::surroundings(chain(&error))
    }
}

impl From<ForgeError> for Trouble {
    fn from(error: ForgeError) -> Self {
        Self::surroundings(chain(&error))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            return Self::surroundings(format_args!(
                "the disk of the work folder is full ({error}). Free some space; it is tried again"
            ));
        }
        Self::surroundings(format_args!("the work folder: {error}"))
    }
}

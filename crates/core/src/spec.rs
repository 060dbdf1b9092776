//! The spec: what a story means for this repository, precise enough to build and to judge by.
//!
//! Invariants: a spec that was accepted names its files, its criteria and what proves them, within bounds; it can narrow what the project
//! tests, never replace it. Its hash is that of its canonical JSON: keys in order, no spaces.

mod check;
mod schema;

use serde::{Deserialize, Serialize};

use crate::{Digest, named_enum};

pub use check::{SpecFault, WIDE_GLOBS};
pub use schema::answer_schema;

/// What sort of change a story asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Something new.
    Feature,
    /// Something that did not work.
    Fix,
    /// The same behaviour in a better form.
    Refactoring,
    /// Words only.
    Docs,
    /// Anything about tools.
    Chore,
}

named_enum!(ChangeKind, "kind of change", {
    Feature => "feature", Fix => "fix", Refactoring => "refactoring", Docs => "docs", Chore => "chore",
});

/// An implementable spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// What is true when the work is done, in a sentence or two.
    pub goal: String,
    /// What sort of change it is.
    pub kind: ChangeKind,
    /// What is deliberately left out; at least one.
    pub non_goals: Vec<String>,
    /// What is checked; at least one.
    pub acceptance: Vec<Criterion>,
    /// Which files may change.
    pub files: FileScope,
    /// What proves it.
    pub tests: TestPlan,
    /// The steps.
    pub tasks: Vec<Task>,
    /// What it needs of others, and gives them.
    pub contracts: Contracts,
    /// What the story leaves open.
    pub ambiguities: Vec<Ambiguity>,
    /// What could go wrong, in a sentence.
    pub risk: String,
    /// What it was made from. Filled by Damascus from what it showed the model, never by the model.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// One acceptance criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Such as `AC1`; unique within the spec.
    pub id: String,
    /// The situation.
    pub given: String,
    /// What happens.
    pub when: String,
    /// What is seen.
    pub then: String,
    /// Names of the tests that show it, or the files that hold them.
    pub tests: Vec<String>,
}

/// Which files may change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileScope {
    /// Globs of what may change, relative to the root of the repository.
    pub allow: Vec<String>,
    /// Files that are to be made.
    pub create: Vec<String>,
    /// Globs of what must not change, even where `allow` names it.
    pub forbid: Vec<String>,
}

/// What proves the change, beside the project's own test command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestPlan {
    /// A command to run besides the project's own; empty for none.
    pub command: Vec<String>,
    /// Where to run it, relative to the root; empty for the root.
    pub cwd: String,
    /// How long it may take, in seconds; 0 for the project's own limit.
    pub timeout_s: u32,
    /// Test files that the change adds or extends.
    pub new_files: Vec<String>,
    /// Whether these tests must fail without the change.
    pub must_fail_on_base: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Such as `T1`; unique within the spec.
    pub id: String,
    /// The file that it is about.
    pub path: String,
    /// What to do there.
    pub action: String,
    /// Criteria that it serves.
    pub acceptance: Vec<String>,
}

/// What a change needs of others, and gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// Such as `billing@2`.
    pub consumes: Vec<String>,
    /// Such as `orders@1`.
    pub publishes: Vec<String>,
}

/// Something that the story leaves open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ambiguity {
    /// What is to be decided.
    pub question: String,
    /// Answers to choose from; may be empty.
    pub options: Vec<String>,
    /// Whether the work can't go on without an answer.
    pub blocking: bool,
    /// What is assumed when nobody answers; empty when there is nothing sensible.
    pub default: String,
}

/// A file that a spec was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Relative to the root of the repository.
    pub path: String,
    /// Hash of its content at the base commit.
    pub sha256: Digest,
}

impl Spec {
    /// The spec as canonical JSON: keys in order, no spaces.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        // A map of `serde_json` keeps its keys in order; a spec holds nothing that can't be written.
        serde_json::to_value(self).map(|value| value.to_string()).unwrap_or_default()
    }

    /// Hash of the canonical JSON.
    #[must_use]
    pub fn sha256(&self) -> Digest {
        Digest::of(self.canonical_json().as_bytes())
    }

    /// The questions without whose answer the work can't go on.
    #[must_use]
    pub fn blocking_questions(&self) -> Vec<crate::Question> {
        self.ambiguities
            .iter()
            .filter(|one| one.blocking)
            .map(|one| crate::Question {
                text: one.question.clone(),
                options: one.options.clone(),
                default: Some(one.default.clone()).filter(|text| !text.trim().is_empty()),
            })
            .collect()
    }
}

//! Evidence: what a verdict rests on, and the proofs that can be made from it.
//!
//! Invariant: the absence of evidence is never a pass. A [`ReviewProof`] and a [`LandingProof`] can only be made by the functions
//! here, which refuse what does not prove enough; so a passed review or a landing without proof can't be written down.

use serde::{Deserialize, Serialize};

/// A git object name: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

/// A SHA-256 digest: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Text that is no digest of the expected form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: \"{found}\"; expected {expected} lower-case hexadecimal digits")]
pub struct NotHex {
    what: &'static str,
    expected: &'static str,
    found: String,
}

macro_rules! hex_text {
    ($type:ident, $what:literal, $expected:literal, $shortest:literal, $lengths:pat) => {
        impl $type {
            /// The name that has this digit throughout: one that no object has, for runs that do nothing.
            ///
            /// A digit that is not a lower-case hexadecimal one is taken for `0`.
            #[must_use]
            pub fn filled(digit: u8) -> Self {
                let digit = if digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit) { digit } else { b'0' };
                Self(String::from(char::from(digit)).repeat($shortest))
            }

            /// The digits.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $type {
            type Error = NotHex;
            fn try_from(text: String) -> Result<Self, NotHex> {
                let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if hex && matches!(text.len(), $lengths) {
                    return Ok(Self(text));
                }
                Err(NotHex { what: $what, expected: $expected, found: crate::display::one_line(&text, 80) })
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }
        impl std::str::FromStr for $type {
            type Err = NotHex;
            fn from_str(text: &str) -> Result<Self, NotHex> {
                Self::try_from(text.to_owned())
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

hex_text!(CommitId, "git object name", "40 or 64", 40, 40 | 64);
hex_text!(Digest, "SHA-256 digest", "64", 64, 64);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// Makes a [`Digest`] of what comes piece by piece.
#[derive(Debug, Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Takes in the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(hex::encode(sha2::Digest::finalize(self.0)))
    }
}

/// What a test report counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TestCounts {
    /// Tests that ran and passed.
    pub passed: u32,
    /// Tests that ran and failed, or could not run.
    pub failed: u32,
    /// Tests that did not run.
    pub skipped: u32,
}

/// How much a test run tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum TestReport {
    /// A report was read.
    Counted(TestCounts),
    /// The project's configuration declares that its runner gives nothing but an exit code. Every proof shows that it rests on less.
    ExitCodeOnly,
    /// No report could be read.
    Unreadable,
}

/// One execution of the test command on one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestEvidence {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How it ended; a signal shows as 128 plus its number.
    pub exit_code: i32,
    /// The commit that was tested.
    pub head: CommitId,
    /// The tip of the base branch that it was tested against.
    pub base: CommitId,
    /// The tree of the tested commit.
    pub tree: CommitId,
    /// What the report says.
    pub report: TestReport,
    /// Hash of the whole log.
    pub log_sha256: Digest,
    /// Wall-clock time, in milliseconds.
    pub duration_ms: u64,
}

/// Why evidence proves too little.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// There is no command to judge by.
    #[error("no test command ran; give the project a test command")]
    NoCommand,
    /// The command failed.
    #[error("the test command ended with exit code {0}")]
    ExitCode(i32),
    /// The exit code is 0, but no report could be read.
    #[error("the test command ended with 0, but left no report that could be read; a bare exit code proves nothing")]
    NoReport,
    /// Nothing ran.
    #[error("no test ran ({skipped} skipped)")]
    NoTests {
        /// How many were skipped.
        skipped: u32,
    },
    /// The report counts failures although the command ended with 0.
    #[error("{0} tests failed")]
    Failures(u32),
    /// The base has no counts to compare with.
    #[error("the base branch was not tested, so its tests can't be compared")]
    NoBaseline,
    /// Tests are gone.
    #[error("{head} tests passed where {base} passed on the base")]
    FewerThanBase {
        /// Passed on the head.
        head: u32,
        /// Passed on the base.
        base: u32,
    },
    /// What was compared was not tested on the commit it is said of.
    #[error("{what} is {found}, expected {expected}")]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// What was found.
        found: CommitId,
        /// What it had to be.
        expected: CommitId,
    },
}

/// Proof that a head commit passed its review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReviewProof {
    evidence: TestEvidence,
    baseline: TestReport,
}

impl ReviewProof {
    /// Judges evidence of the head against the report of the base.
    ///
    /// # Errors
    /// [`Unproven`] with the first reason why it proves too little.
    pub fn new(evidence: TestEvidence, baseline: TestReport) -> Result<Self, Unproven> {
        if evidence.command.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(Unproven::NoCommand);
        }
        if evidence.exit_code != 0 {
            return Err(Unproven::ExitCode(evidence.exit_code));
        }
        match (evidence.report, baseline) {
            (TestReport::Unreadable, _) => return Err(Unproven::NoReport),
            (TestReport::Counted(head), _) if head.failed > 0 => return Err(Unproven::Failures(head.failed)),
            (TestReport::Counted(head), _) if head.passed == 0 => {
                return Err(Unproven::NoTests { skipped: head.skipped });
            }
            (TestReport::Counted(head), TestReport::Counted(base)) if head.passed < base.passed => {
                return Err(Unproven::FewerThanBase { head: head.passed, base: base.passed });
            }
            (TestReport::Counted(_), TestReport::Counted(_)) | (TestReport::ExitCodeOnly, TestReport::ExitCodeOnly) => {
            }
            (TestReport::Counted(_), TestReport::ExitCodeOnly | TestReport::Unreadable)
            | (TestReport::ExitCodeOnly, TestReport::Counted(_) | TestReport::Unreadable) => {
                return Err(Unproven::NoBaseline);
            }
        }
        Ok(Self { evidence, baseline })
    }

    /// The evidence that was judged.
    #[must_use]
    pub const fn evidence(&self) -> &TestEvidence {
        &self.evidence
    }
}

/// Proof that exactly the tested commit landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LandingProof {
    review: ReviewProof,
    base_branch: String,
    landed: CommitId,
}

impl LandingProof {
    /// Compares what was read back from the base branch, commit and tree, with what was tested.
    ///
    /// # Errors
    /// [`Unproven::Mismatch`] when anything else landed.
    pub fn new(
        review: ReviewProof,
        base_branch: String,
        landed: CommitId,
        landed_tree: &CommitId,
    ) -> Result<Self, Unproven> {
        let mismatch = |what, found: &CommitId, expected: &CommitId| Unproven::Mismatch {
            what,
            found: found.clone(),
            expected: expected.clone(),
        };
        if landed != review.evidence.head {
            return Err(mismatch("the landed commit", &landed, &review.evidence.head));
        }
        if *landed_tree != review.evidence.tree {
            return Err(mismatch("the landed tree", landed_tree, &review.evidence.tree));
        }
        Ok(Self { review, base_branch, landed })
    }

    /// The review of the candidate that landed.
    #[must_use]
    pub const fn review(&self) -> &ReviewProof {
        &self.review
    }

    /// The branch that it landed on.
    #[must_use]
    pub fn base_branch(&self) -> &str {
        &self.base_branch
    }

    /// The commit that landed.
    #[must_use]
    pub const fn landed(&self) -> &CommitId {
        &self.landed
    }
}

/// What a pass rests on, by phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "proof", rename_all = "snake_case")]
pub enum Proof {
    /// A spec was accepted and stored.
    Spec {
        /// Its version.
        version: u32,
        /// Hash of its canonical JSON.
        sha256: Digest,
    },
    /// The change is committed and pushed, and its pull request is open.
    Build {
        /// The pushed head.
        head: CommitId,
        /// The base it was built on.
        base: CommitId,
        /// The pull request's number.
        pull_request: u64,
    },
    /// The review passed.
    Review(ReviewProof),
    /// The tested commit landed.
    Merge(LandingProof),
}

impl Proof {
    /// The phase whose pass this proves.
    #[must_use]
    pub const fn phase(&self) -> crate::WorkPhase {
        match self {
            Self::Spec { .. } => crate::WorkPhase::Spec,
            Self::Build { .. } => crate::WorkPhase::Build,
            Self::Review(_) => crate::WorkPhase::Review,
            Self::Merge(_) => crate::WorkPhase::Merge,
        }
    }
}

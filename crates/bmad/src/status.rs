//! Status words and what they mean.
//!
//! Invariant: a word outside the vocabulary is never given a meaning, and merging never lowers a status.

use serde::Serialize;

/// Where upstream says that a story stands.
///
/// The order is progress. `Blocked` stands just below `Done`, so that merging keeps it: a story that upstream parked
/// stays parked however far its other records say it got, unless one says that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoryStatus {
    /// Not started.
    Backlog,
    /// Its file is written.
    ReadyForDev,
    /// Being built.
    InProgress,
    /// Being reviewed.
    Review,
    /// Upstream's builder gave up and waits for a person.
    Blocked,
    /// Finished.
    Done,
}

impl StoryStatus {
    /// The further of two; never a downgrade.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        self.max(other)
    }

    /// The name that reports and upstream's tracking file use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::ReadyForDev => "ready-for-dev",
            Self::InProgress => "in-progress",
            Self::Review => "review",
            Self::Blocked => "blocked",
            Self::Done => "done",
        }
    }
}

/// Which words count: each kind of file has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// `development_status` of a `sprint-status.yaml`.
    Tracking,
    /// A story file of version 4 or 6: its `Status:` line or heading, or its front matter.
    StoryFile,
    /// The front matter of a story of a `stories.yaml`.
    SpecFile,
}

/// What a written status amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusWord {
    /// In the vocabulary.
    Known(StoryStatus),
    /// Written by an earlier version; its present meaning.
    Legacy(StoryStatus),
    /// A word that says that the story is not to be built now. Not in the vocabulary either, but no typing error.
    Withdrawn,
    /// Anything else.
    Unknown,
}

const WITHDRAWN: [&str; 9] =
    ["superseded", "retired", "deferred", "descoped", "dropped", "cancelled", "canceled", "removed", "deleted"];

/// Reads a status word. Case, separators and emphasis are no part of the word; anything more is.
pub(crate) fn read_status(raw: &str, vocabulary: Vocabulary) -> StatusWord {
    use StatusWord::{Known, Legacy, Unknown, Withdrawn};
    use StoryStatus::{Backlog, Blocked, Done, InProgress, ReadyForDev, Review};
    let word = normalise(raw);
    let file = vocabulary == Vocabulary::StoryFile;
    let spec = vocabulary == Vocabulary::SpecFile;
    match word.as_str() {
        "backlog" if !spec => Known(Backlog),
        "draft" if file || spec => Known(Backlog),
        "ready-for-dev" => Known(ReadyForDev),
        "approved" if file => Known(ReadyForDev),
        "in-progress" => Known(InProgress),
        "inprogress" if file => Known(InProgress),
        "review" if !spec => Known(Review),
        // Version 4's builder writes "Ready for Review" although its template lists "Review".
        "ready-for-review" if file => Known(Review),
        "in-review" if spec || file => Known(Review),
        "blocked" if spec || file => Known(Blocked),
        "done" => Known(Done),
        "drafted" if !spec => Legacy(ReadyForDev),
        "contexted" if !spec => Legacy(InProgress),
        other if WITHDRAWN.iter().any(|word| begins_with_word(other, word)) => Withdrawn,
        _ => Unknown,
    }
}

fn begins_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

fn normalise(raw: &str) -> String {
    let mut word = String::with_capacity(raw.len().min(64));
    for part in raw
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '`' | '"' | '\''))
        .split(|c: char| c.is_whitespace() || c == '_' || c == '-')
        .filter(|part| !part.is_empty())
    {
        if !word.is_empty() {
            word.push('-');
        }
        word.extend(part.chars().flat_map(char::to_lowercase));
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vocabulary_knows_its_own_words() {
        use StatusWord::{Known, Legacy, Unknown, Withdrawn};
        let cases = [
            ("ready-for-dev", Vocabulary::Tracking, Known(StoryStatus::ReadyForDev)),
            ("Ready for Dev", Vocabulary::StoryFile, Known(StoryStatus::ReadyForDev)),
            ("**InProgress**", Vocabulary::StoryFile, Known(StoryStatus::InProgress)),
            ("InProgress", Vocabulary::Tracking, Unknown),
            ("Approved", Vocabulary::StoryFile, Known(StoryStatus::ReadyForDev)),
            ("Approved", Vocabulary::Tracking, Unknown),
            ("draft", Vocabulary::SpecFile, Known(StoryStatus::Backlog)),
            ("draft", Vocabulary::Tracking, Unknown),
            ("in-review", Vocabulary::SpecFile, Known(StoryStatus::Review)),
            ("blocked", Vocabulary::SpecFile, Known(StoryStatus::Blocked)),
            ("blocked", Vocabulary::Tracking, Unknown),
            ("drafted", Vocabulary::Tracking, Legacy(StoryStatus::ReadyForDev)),
            ("contexted", Vocabulary::Tracking, Legacy(StoryStatus::InProgress)),
            ("pending", Vocabulary::Tracking, Unknown),
            ("completed", Vocabulary::Tracking, Unknown),
            ("superseded", Vocabulary::Tracking, Withdrawn),
            ("superseded (was: done)", Vocabulary::Tracking, Withdrawn),
            ("deferred", Vocabulary::Tracking, Withdrawn),
            ("descoped", Vocabulary::Tracking, Withdrawn),
            ("retired", Vocabulary::Tracking, Withdrawn),
            ("deferredly", Vocabulary::Tracking, Unknown),
            ("✅ Approved — done", Vocabulary::StoryFile, Unknown),
            ("", Vocabulary::Tracking, Unknown),
        ];
        for (raw, vocabulary, expected) in cases {
            assert_eq!(read_status(raw, vocabulary), expected, "{raw} in {vocabulary:?}");
        }
    }

    #[test]
    fn merging_never_downgrades() {
        use StoryStatus::{Backlog, Blocked, Done, InProgress, ReadyForDev, Review};
        let all = [Backlog, ReadyForDev, InProgress, Review, Blocked, Done];
        for a in all {
            for b in all {
                assert!(a.merge(b) >= a && a.merge(b) >= b && a.merge(b) == b.merge(a));
            }
        }
        assert_eq!(Review.merge(Blocked), Blocked);
        assert_eq!(Blocked.merge(Done), Done);
    }
}

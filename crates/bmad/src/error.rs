//! What makes a whole scan, or the reading of one text, impossible.
//!
//! Invariant: anything that concerns only part of the input is a finding, never one of these.

use std::io;
use std::path::PathBuf;

use crate::finding::Finding;
use crate::model::Layout;

/// Findings that the message of an error shows.
const MAX_SHOWN: usize = 3;

/// Why nothing could be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is nothing at that path.
    #[error("{} does not exist; give the folder of the repository that holds the stories", .0.display())]
    RootMissing(PathBuf),
    /// It is no folder.
    #[error("{} is not a folder; give the folder of the repository that holds the stories", .0.display())]
    NotADirectory(PathBuf),
    /// The system refused.
    #[error("{} cannot be read; check that this user may enter and list it", path.display())]
    Unreadable {
        /// The root.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No known layout.
    #[error(
        "no BMAD stories found in {}; looked for {}{}; run BMAD's sprint planning first, give the repository's root, or create items from Markdown files",
        path.display(), looked_for.join(", "), refused(findings)
    )]
    NoLayout {
        /// The root.
        path: PathBuf,
        /// Relative paths that were looked for.
        looked_for: Vec<String>,
        /// What was refused or could not be read on the way; it may be the reason.
        findings: Vec<Finding>,
    },
    /// The layout that was asked for is not there.
    #[error("the layout {} is not in {}; there: {}", wanted.as_str(), path.display(), list(present))]
    LayoutMissing {
        /// The root.
        path: PathBuf,
        /// What was asked for.
        wanted: Layout,
        /// What is there.
        present: Vec<Layout>,
    },
}

fn list(layouts: &[Layout]) -> String {
    let names: Vec<_> = layouts.iter().map(|layout| layout.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Why a text is no story.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoryTextError {
    /// Nothing in it.
    #[error("the text is empty; write a heading `# Title` and what is to be done")]
    Empty,
    /// Above the bound.
    #[error("the text has {size} bytes, more than the {limit} that a story may have; split it")]
    TooLarge {
        /// Bytes given.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// No title.
    #[error("the text has no title; begin it with a heading `# Title`")]
    NoTitle,
}

fn refused(findings: &[Finding]) -> String {
    let places = findings.iter().map(|finding| format!("; {}: {}", finding.source, finding.message));
    places.take(MAX_SHOWN).collect()
}

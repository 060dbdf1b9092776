//! What a scan returns: stories, dependencies, and the files they came from.
//!
//! Invariant: plain data. Keys are unique (even when case is ignored) and safe in a path, a branch name and a terminal;
//! `dependencies` names only keys of `stories` and has no cycle; two scans of the same files are equal.

use serde::Serialize;

use crate::finding::{Finding, SourceRef};
use crate::status::StoryStatus;

/// How a project keeps its stories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// 6.11 and later: `stories.yaml` beside a `SPEC.md`.
    V6Specs,
    /// 6.0 and later: epics in the planning artifacts, `sprint-status.yaml` and story files in the implementation
    /// artifacts.
    V6Classic,
    /// 6 before its release: the same under `docs/` and `docs/sprint-artifacts/`.
    V6Alpha,
    /// 4: one file for each story, its place named by `.bmad-core/core-config.yaml`.
    V4,
}

impl Layout {
    /// In the order in which a scan prefers them.
    pub const ALL: [Self; 4] = [Self::V6Specs, Self::V6Classic, Self::V6Alpha, Self::V4];

    /// The name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V6Specs => "v6-specs",
            Self::V6Classic => "v6-classic",
            Self::V6Alpha => "v6-alpha",
            Self::V4 => "v4",
        }
    }
}

/// The result of a scan. Serialised with these field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scan {
    /// The layout that was read.
    pub layout: Layout,
    /// Layouts that are there as well and were not read; each also has a finding.
    pub other_layouts: Vec<Layout>,
    /// In execution order.
    pub stories: Vec<Story>,
    /// Sorted by downstream, then upstream, in execution order; no cycle, no duplicate pair.
    pub dependencies: Vec<Dependency>,
    /// Sorted by place.
    pub findings: Vec<Finding>,
    /// Files that were read, sorted by path.
    pub files: Vec<TakenFile>,
}

/// A file that a scan read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TakenFile {
    /// Relative to the root.
    pub path: String,
    /// What it was read for.
    pub role: FileRole,
}

/// What a file is to a story or a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// Where things are.
    Config,
    /// Epics and the headings of their stories.
    Epics,
    /// `sprint-status.yaml`.
    SprintStatus,
    /// `stories.yaml`.
    StoryList,
    /// A story's own file.
    Story,
    /// A `SPEC.md`.
    Spec,
    /// A file that a `SPEC.md` names as part of the contract; named, not read.
    Companion,
    /// `{key}.context.xml`; named, not read.
    Context,
}

/// One story. Serialised with these field names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Unique in the scan and stable over scans: the tracked key, else the story file's name, else made from number and
    /// title; `<spec folder>_<id>` for a `stories.yaml`; the file's name for version 4.
    pub key: String,
    /// `N.M` where the story has a number. Outlives a change of title, which may change the key.
    pub number: Option<String>,
    /// The epic (its number as text), or the specification's folder.
    pub epic: Option<String>,
    /// The epic's title, where one is known.
    pub epic_title: Option<String>,
    /// One clean line.
    pub title: String,
    /// Markdown: the story's file without front matter, else its section among the epics, else its description.
    pub body: String,
    /// Where upstream says that it stands. A story already done is returned, for the caller to pass over.
    pub status: StoryStatus,
    /// Where it is declared.
    pub source: SourceRef,
    /// Its own file, if there is one.
    pub story_file: Option<String>,
    /// SHA-256, in hexadecimal, over title, body, instructions and gates: what a person would want to be asked about
    /// when it changed. The line that holds the status is left out, so that progress alone does not change it.
    pub content_sha256: String,
    /// Execution order, from 1, without gaps.
    pub order: u32,
    /// Acceptance criteria, without their numbers; the position is the number that tasks refer to.
    pub acceptance: Vec<String>,
    /// Tasks and subtasks.
    pub tasks: Vec<Task>,
    /// Where a person wants to be asked.
    pub human_gates: Vec<HumanGate>,
    /// `invoke_dev_with`: to be appended, as it is, to what the builder is told.
    pub instructions: Option<String>,
    /// Other files that belong to it.
    pub related: Vec<TakenFile>,
}

/// A task or subtask of a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// One clean line, without its `(AC: …)`.
    pub text: String,
    /// Ticked.
    pub done: bool,
    /// 0 for a task, 1 for its subtask, and so on.
    pub depth: u8,
    /// The acceptance criteria that it serves, as written: `1`, `AC2`.
    pub acceptance: Vec<String>,
}

/// A point where a person wants to look before work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HumanGate {
    /// `spec_checkpoint`: between the specification of the story and its implementation.
    SpecCheckpoint,
    /// `done_checkpoint`: after the story, before anything that follows it.
    DoneCheckpoint,
}

/// `downstream` may not start before `upstream` has landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Key of the story that is waited for.
    pub upstream: String,
    /// Key of the story that waits.
    pub downstream: String,
    /// Why.
    pub origin: Origin,
    /// Where it says so.
    pub source: SourceRef,
}

/// Why one story waits for another. Serialised as `{"kind": "explicit", "text": …}`, `{"kind": "order"}`,
/// `{"kind": "cross-dependency", "note": …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// The story says so, in these words.
    Explicit {
        /// The line it was read from.
        text: String,
    },
    /// An entry of `cross_dependencies`.
    CrossDependency {
        /// Its note.
        note: Option<String>,
    },
    /// It comes before it in the same list or epic. The caller decides whether order binds.
    Order,
}

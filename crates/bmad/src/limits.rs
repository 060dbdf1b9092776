//! Bounds of a scan.
//!
//! Invariant: nothing that is read, counted or kept while scanning is unbounded; every bound is a field here, named
//! with its unit, and reaching it is reported as a finding rather than passed over.

use crate::model::Layout;

/// Bytes of a story file; the largest seen in the wild is a tenth of this.
pub const DEFAULT_MAX_STORY_BYTES: u64 = 1 << 20;
/// Bytes of a file of epics, which holds every story of a project.
pub const DEFAULT_MAX_EPICS_BYTES: u64 = 4 << 20;
/// Bytes of a YAML or TOML file.
pub const DEFAULT_MAX_YAML_BYTES: u64 = 1 << 20;
/// Bytes of text read in one scan; bounds the memory of the result.
pub const DEFAULT_MAX_TOTAL_BYTES: u64 = 64 << 20;
/// Directory entries looked at in one scan.
pub const DEFAULT_MAX_FILES: usize = 10_000;
/// Folders below the folder of stories.
pub const DEFAULT_MAX_DEPTH: usize = 8;
/// Stories returned.
pub const DEFAULT_MAX_STORIES: usize = 10_000;
/// Dependencies returned.
pub const DEFAULT_MAX_DEPENDENCIES: usize = 50_000;
/// Findings kept; the rest are counted.
pub const DEFAULT_MAX_FINDINGS: usize = 5_000;
/// Characters of a title.
pub const DEFAULT_MAX_TITLE_CHARS: usize = 200;
/// Characters of a key.
pub const DEFAULT_MAX_KEY_CHARS: usize = 128;
/// Acceptance criteria, and tasks, of one story (each).
pub const DEFAULT_MAX_LIST_ITEMS: usize = 1_000;
/// Nodes of a YAML document, those that aliases stand for included.
pub const DEFAULT_MAX_YAML_NODES: usize = 100_000;
/// Levels of nesting in a YAML document.
pub const DEFAULT_MAX_YAML_DEPTH: usize = 32;

/// The bounds of one scan. [`Limits::default`] suits real projects; tests and callers may tighten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a story file, and of a text given to [`crate::parse_story_markdown`].
    pub max_story_bytes: u64,
    /// Bytes of a file of epics.
    pub max_epics_bytes: u64,
    /// Bytes of a YAML or TOML file.
    pub max_yaml_bytes: u64,
    /// Bytes of text read in one scan.
    pub max_total_bytes: u64,
    /// Directory entries looked at in one scan.
    pub max_files: usize,
    /// Folders below the folder of stories.
    pub max_depth: usize,
    /// Stories returned.
    pub max_stories: usize,
    /// Dependencies returned.
    pub max_dependencies: usize,
    /// Findings kept.
    pub max_findings: usize,
    /// Characters of a title.
    pub max_title_chars: usize,
    /// Characters of a key.
    pub max_key_chars: usize,
    /// Acceptance criteria, and tasks, of one story (each).
    pub max_list_items: usize,
    /// Nodes of a YAML document, aliases expanded.
    pub max_yaml_nodes: usize,
    /// Levels of nesting in a YAML document.
    pub max_yaml_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_story_bytes: DEFAULT_MAX_STORY_BYTES,
            max_epics_bytes: DEFAULT_MAX_EPICS_BYTES,
            max_yaml_bytes: DEFAULT_MAX_YAML_BYTES,
            max_total_bytes: DEFAULT_MAX_TOTAL_BYTES,
            max_files: DEFAULT_MAX_FILES,
            max_depth: DEFAULT_MAX_DEPTH,
            max_stories: DEFAULT_MAX_STORIES,
            max_dependencies: DEFAULT_MAX_DEPENDENCIES,
            max_findings: DEFAULT_MAX_FINDINGS,
            max_title_chars: DEFAULT_MAX_TITLE_CHARS,
            max_key_chars: DEFAULT_MAX_KEY_CHARS,
            max_list_items: DEFAULT_MAX_LIST_ITEMS,
            max_yaml_nodes: DEFAULT_MAX_YAML_NODES,
            max_yaml_depth: DEFAULT_MAX_YAML_DEPTH,
        }
    }
}

/// What a scan may be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// Bounds.
    pub limits: Limits,
    /// Read this layout although another one comes first in the order of preference. `None` takes the first that is
    /// there.
    pub layout: Option<Layout>,
}

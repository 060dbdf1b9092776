//! The diff policy: what a change may contain.
//!
//! Invariant: what is not allowed is refused; each refusal names the path and the rule, so that an agent can mend it.

mod assertions;
mod blank;
mod cases;
mod classes;
mod content;
mod conventions;
mod dense;
mod manifests;
mod marks;
mod paths;
mod profile;
mod scope;
mod scripts;
mod secrets;
mod shims;
mod weakening;

use std::collections::BTreeSet;
use std::fmt;

use damascus_core::{Spec, named_enum};

use crate::project::ProjectRules;
use scope::Scope;

pub use classes::is_lock_file;
pub use conventions::is_test_file;

/// How many violations are told one by one; the last entry says how many more there are.
pub const VIOLATIONS_MAX: usize = 50;
/// How much of a path a violation shows, in characters.
const PATH_SHOWN_MAX_CHARS: usize = 300;
/// How much a violation says, in characters.
const DETAIL_MAX_CHARS: usize = 600;

/// A file that a change touches. Renames are a deletion and an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Relative to the root of the repository.
    pub path: String,
    /// What happened to it.
    pub kind: Kind,
    /// Git's mode before, such as `0o100644`; 0 where there was none.
    pub old_mode: u32,
    /// Git's mode after; 0 where there is none.
    pub new_mode: u32,
    /// Content before, where there was a file or a symlink.
    pub old: Option<Content>,
    /// Content after, where there is a file or a symlink (then its target).
    pub new: Option<Content>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It is new.
    Added,
    /// Its content or mode changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It became something else, such as a symlink.
    TypeChanged,
}

/// The content of one side of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// It was too large to be read; its size in bytes.
    TooLarge(u64),
}

/// What is judged.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInput<'a> {
    /// The project's rules, from the base branch.
    pub rules: &'a ProjectRules,
    /// The accepted spec.
    pub spec: &'a Spec,
    /// Every path of the base commit, to tell what is new and what is missing.
    pub base_paths: &'a BTreeSet<String>,
    /// The whole difference between base and head.
    pub changes: &'a [ChangedFile],
}

/// Something that a change must not contain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where; safe to show.
    pub path: String,
    /// Against which rule.
    pub rule: Rule,
    /// What is wrong, and how to mend it; safe to show.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]: {}", self.path, self.rule, self.detail)
    }
}

/// A rule of the diff policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The spec or the project does not let this story change the file.
    OutsideScope,
    /// The spec forbids it.
    Forbidden,
    /// The project, or its build, needs the file as it is.
    Protected,
    /// An existing test is gone.
    TestDeleted,
    /// An existing test says less than before.
    TestWeakened,
    /// The way tests are run is changed.
    RunnerConfiguration,
    /// Something stands in the place of the test runner, or of its report.
    RunnerShim,
    /// Damascus's own rules.
    OwnRules,
    /// Continuous integration.
    Ci,
    /// Something that runs by itself at a git command.
    Hook,
    /// A lock file.
    LockFile,
    /// A symbolic link.
    Symlink,
    /// A submodule.
    Submodule,
    /// Git attributes, which can hide a change or run a program.
    Attributes,
    /// A repository within the repository.
    NestedRepository,
    /// The file became executable.
    FileMode,
    /// More files than the project allows.
    TooManyFiles,
    /// More bytes than the project allows.
    TooLarge,
    /// A file that is not text.
    Binary,
    /// Something that looks like a credential.
    Secret,
    /// A path that can't be trusted to name what it shows.
    UnsafePath,
    /// A file that the spec says must be made is not there.
    Missing,
}

named_enum!(Rule, "rule of the diff policy", {
    OutsideScope => "outside_scope", Forbidden => "forbidden", Protected => "protected", TestDeleted => "test_deleted",
    TestWeakened => "test_weakened", RunnerConfiguration => "runner_configuration", RunnerShim => "runner_shim",
    OwnRules => "own_rules", Ci => "ci", Hook => "hook", LockFile => "lock_file", Symlink => "symlink",
    Submodule => "submodule", Attributes => "attributes", NestedRepository => "nested_repository",
    FileMode => "file_mode", TooManyFiles => "too_many_files", TooLarge => "too_large", Binary => "binary",
    Secret => "secret", UnsafePath => "unsafe_path", Missing => "missing",
});

impl Rule {
    /// Whether it smells of cheating rather than carelessness.
    #[must_use]
    pub fn is_tampering(self) -> bool {
        match self {
            Self::TestDeleted
            | Self::TestWeakened
            | Self::RunnerConfiguration
            | Self::RunnerShim
            | Self::OwnRules
            | Self::Ci
            | Self::Hook
            | Self::Symlink
            | Self::Submodule
            | Self::Attributes
            | Self::NestedRepository
            | Self::UnsafePath => true,
            Self::OutsideScope
            | Self::Forbidden
            | Self::Protected
            | Self::LockFile
            | Self::FileMode
            | Self::TooManyFiles
            | Self::TooLarge
            | Self::Binary
            | Self::Secret
            | Self::Missing => false,
        }
    }
}

/// What a change contains and must not, by path; empty when it keeps the policy. At most [`VIOLATIONS_MAX`] entries, the last of which
/// then says how many more there are, under the gravest of their rules.
///
/// An empty change is the caller's matter.
#[must_use]
pub fn judge(input: &PolicyInput<'_>) -> Vec<Violation> {
    let scope = Scope::new(input.rules, input.spec);
    let mut found = Vec::new();
    totals(input, &mut found);
    // A change beyond the largest bound is refused by its size alone.
    let most = usize::try_from(crate::project::DIFF_FILES.max).unwrap_or(usize::MAX);
    let changes: Vec<&ChangedFile> = input.changes.iter().take(most).collect();
    for change in &changes {
        found.extend(paths::judge(&scope, change));
        content::judge(&scope, change, &mut found);
    }
    paths::judge_together(input, &mut found);
    found.extend(weakening::judge(&scope, &changes));
    missing(input, &mut found);
    found.sort();
    found.dedup();
    bounded(found)
}

fn totals(input: &PolicyInput<'_>, found: &mut Vec<Violation>) {
    let limits = input.rules.limits;
    let files = input.changes.len();
    if files > usize::try_from(limits.diff_files).unwrap_or(usize::MAX) {
        let detail = format!("{files} files are changed; at most {} may be. Make a smaller change", limits.diff_files);
        found.push(Violation::new(".", Rule::TooManyFiles, detail));
    }
    let bytes = input.changes.iter().map(content::added_bytes).fold(0, u64::saturating_add);
    if bytes > limits.diff_bytes {
        let detail = format!("{bytes} bytes are added; at most {} may be. Make a smaller change", limits.diff_bytes);
        found.push(Violation::new(".", Rule::TooLarge, detail));
    }
}

fn missing(input: &PolicyInput<'_>, found: &mut Vec<Violation>) {
    for path in &input.spec.files.create {
        let plain = path.trim().strip_prefix("./").unwrap_or(path.trim());
        let change = input.changes.iter().find(|change| change.path == plain);
        let is_there = match change {
            Some(change) => change.kind != Kind::Deleted,
            None => input.base_paths.contains(plain),
        };
        if !is_there {
            let detail = "must be made, says the spec (files.create), and is not there; make it".to_owned();
            found.push(Violation::new(plain, Rule::Missing, detail));
        }
    }
}

fn bounded(mut found: Vec<Violation>) -> Vec<Violation> {
    if found.len() <= VIOLATIONS_MAX {
        return found;
    }
    let rest = found.split_off(VIOLATIONS_MAX - 1);
    let gravest = rest.iter().map(|one| one.rule).max_by_key(|rule| rule.is_tampering());
    if let Some(rule) = gravest {
        let detail = format!("and {} more violations in other files", rest.len());
        found.push(Violation { path: "…".to_owned(), rule, detail });
    }
    found
}

/// Whether review takes this path from the base whatever the head says: the built-in protected files and the project's own, less those
/// that the spec names letter for letter in `files.allow` or `files.create`. Damascus's own rules always.
///
/// To ask for many paths, use [`Protection`].
#[must_use]
pub fn is_protected(rules: &ProjectRules, spec: &Spec, path: &str) -> bool {
    Protection::new(rules, spec).covers(path)
}

/// What [`is_protected`] answers, with its globs made once.
pub struct Protection<'a>(Scope<'a>);

impl<'a> Protection<'a> {
    /// For these rules and this spec.
    #[must_use]
    pub fn new(rules: &'a ProjectRules, spec: &'a Spec) -> Self {
        Self(Scope::new(rules, spec))
    }

    /// Whether review takes this path from the base whatever the head says.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        paths::is_protected(&self.0, path)
    }
}

impl Violation {
    fn new(path: &str, rule: Rule, detail: String) -> Self {
        let path = damascus_core::display::one_line(path, PATH_SHOWN_MAX_CHARS);
        Self { path, rule, detail: damascus_core::display::one_line(&detail, DETAIL_MAX_CHARS) }
    }
}

impl ChangedFile {
    /// The old content as text; nothing where there is none, or it is none.
    fn old_text(&self) -> Option<&str> {
        self.old.as_ref().and_then(Content::text)
    }

    /// The new content as text.
    fn new_text(&self) -> Option<&str> {
        self.new.as_ref().and_then(Content::text)
    }

    /// The old content, empty where there is none.
    fn old_bytes(&self) -> &[u8] {
        if let Some(Content::Bytes(bytes)) = &self.old { bytes } else { &[] }
    }
}

impl Content {
    fn text(&self) -> Option<&str> {
        if let Self::Bytes(bytes) = self { std::str::from_utf8(bytes).ok() } else { None }
    }
}

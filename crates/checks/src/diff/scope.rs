//! Which paths a story may change.
//!
//! Invariant: a glob that can't be read allows nothing and forbids everything.

use std::collections::BTreeSet;

use damascus_core::Spec;
use damascus_core::spec::ChangeKind;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::project::ProjectRules;

/// The globs of spec and project, ready to match.
pub(super) struct Scope<'a> {
    pub(super) spec: &'a Spec,
    pub(super) rules: &'a ProjectRules,
    allowed: GlobSet,
    /// None: one could not be read.
    forbidden: Option<GlobSet>,
    scope: GlobSet,
    protected: Option<GlobSet>,
    /// Letter for letter in `files.allow`.
    allowed_names: BTreeSet<&'a str>,
    /// In `files.create`.
    created: BTreeSet<&'a str>,
    /// In `tests.new_files`.
    tests: BTreeSet<&'a str>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(rules: &'a ProjectRules, spec: &'a Spec) -> Self {
        let names = |all: &'a [String]| all.iter().map(|path| plain(path)).collect();
        Self {
            spec,
            rules,
            allowed: readable(&spec.files.allow),
            forbidden: strict(&spec.files.forbid),
            scope: readable(&rules.scope),
            protected: strict(&rules.protected),
            allowed_names: names(&spec.files.allow),
            created: names(&spec.files.create),
            tests: names(&spec.tests.new_files),
        }
    }

    pub(super) fn kind(&self) -> ChangeKind {
        self.spec.kind
    }

    /// Whether `files.allow` or `files.create` names this very path.
    pub(super) fn is_named(&self, path: &str) -> bool {
        self.is_allowed_by_name(path) || self.created.contains(path)
    }

    /// Whether `files.allow` names this very path.
    pub(super) fn is_allowed_by_name(&self, path: &str) -> bool {
        self.allowed_names.contains(path)
    }

    /// Whether the spec lets the story change it.
    pub(super) fn spec_allows(&self, path: &str) -> bool {
        self.is_named(path) || self.tests.contains(path) || self.allowed.is_match(path)
    }

    pub(super) fn is_forbidden(&self, path: &str) -> bool {
        self.forbidden.as_ref().is_none_or(|globs| globs.is_match(path))
    }

    /// Whether the project lets any story change it.
    pub(super) fn project_allows(&self, path: &str) -> bool {
        self.rules.scope.is_empty() || self.scope.is_match(path)
    }

    /// Whether the project's own rules protect it.
    pub(super) fn project_protects(&self, path: &str) -> bool {
        self.protected.as_ref().is_none_or(|globs| globs.is_match(path))
    }
}

/// As a spec may write it: `./src/a.rs` is `src/a.rs`.
fn plain(path: &str) -> &str {
    let path = path.trim();
    path.strip_prefix("./").unwrap_or(path)
}

/// A glob where `*` does not pass `/`; `src/` means everything below.
fn glob(pattern: &str) -> Option<globset::Glob> {
    let pattern = plain(pattern);
    let whole = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern.to_owned() };
    GlobBuilder::new(&whole).literal_separator(true).build().ok()
}

/// The globs that can be read.
fn readable(patterns: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in patterns.iter().filter_map(|pattern| glob(pattern)) {
        builder.add(glob);
    }
    builder.build().unwrap_or_else(|_| GlobSet::empty())
}

/// All of the globs, or nothing where one can't be read.
fn strict(patterns: &[String]) -> Option<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(glob(pattern)?);
    }
    builder.build().ok()
}

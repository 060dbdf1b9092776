//! A small repository and a story on it, for changes to be judged by.
//!
//! Invariant: the change that adds nothing else is clean, so that every violation comes from what a test does.

#![expect(clippy::expect_used, reason = "a helper of tests that fails where its rules parse")]

use std::collections::{BTreeMap, BTreeSet};

use damascus_checks::diff::{ChangedFile, Content, Kind, PolicyInput, Rule, Violation, judge};
use damascus_checks::project::{ProjectRules, parse};
use damascus_core::Spec;
use damascus_core::spec::{ChangeKind, Contracts, FileScope, TestPlan};

pub(crate) const FILE: u32 = 0o100_644;

/// A repository, a spec, and the changes to judge.
pub(crate) struct Story {
    pub(crate) spec: Spec,
    pub(crate) rules: ProjectRules,
    base: BTreeMap<String, Vec<u8>>,
    changes: Vec<ChangedFile>,
}

impl Story {
    /// A story that may change `src/**` and `tests/**`, on a project tested with `test`.
    pub(crate) fn on(rules: &str) -> Self {
        let spec = Spec {
            goal: "g".to_owned(),
            kind: ChangeKind::Feature,
            non_goals: Vec::new(),
            acceptance: Vec::new(),
            files: FileScope {
                allow: list(&["src/**", "tests/**", "test/**"]),
                create: Vec::new(),
                forbid: Vec::new(),
            },
            tests: TestPlan {
                command: Vec::new(),
                cwd: String::new(),
                timeout_s: 0,
                new_files: Vec::new(),
                must_fail_on_base: true,
            },
            tasks: Vec::new(),
            contracts: Contracts::default(),
            ambiguities: Vec::new(),
            risk: String::new(),
            sources: Vec::new(),
        };
        let rules = parse(rules).expect("rules that parse");
        Self { spec, rules, base: BTreeMap::new(), changes: Vec::new() }
    }

    pub(crate) fn new() -> Self {
        Self::on("[test]\ncommand = [\"python3\", \"-m\", \"pytest\"]\nreport = \"pytest\"\n")
    }

    pub(crate) fn allow(mut self, paths: &[&str]) -> Self {
        self.spec.files.allow.extend(list(paths));
        self
    }

    pub(crate) fn kind(mut self, kind: ChangeKind) -> Self {
        self.spec.kind = kind;
        self
    }

    /// A file of the base that the change leaves alone.
    pub(crate) fn base(mut self, path: &str) -> Self {
        self.base.insert(path.to_owned(), Vec::new());
        self
    }

    pub(crate) fn add(self, path: &str, new: &str) -> Self {
        self.change(path, Kind::Added, (0, FILE), None, Some(new.as_bytes()))
    }

    pub(crate) fn edit(self, path: &str, old: &str, new: &str) -> Self {
        self.change(path, Kind::Modified, (FILE, FILE), Some(old.as_bytes()), Some(new.as_bytes()))
    }

    pub(crate) fn delete(self, path: &str, old: &str) -> Self {
        self.change(path, Kind::Deleted, (FILE, 0), Some(old.as_bytes()), None)
    }

    pub(crate) fn change(
        mut self,
        path: &str,
        kind: Kind,
        (old_mode, new_mode): (u32, u32),
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Self {
        let content = |bytes: Option<&[u8]>| bytes.map(|bytes| Content::Bytes(bytes.to_vec()));
        if let Some(old) = old {
            self.base.insert(path.to_owned(), old.to_vec());
        }
        let (old, new) = (content(old), content(new));
        self.changes.push(ChangedFile { path: path.to_owned(), kind, old_mode, new_mode, old, new });
        self
    }

    pub(crate) fn too_large(mut self, path: &str, bytes: u64) -> Self {
        let new = Some(Content::TooLarge(bytes));
        let path = path.to_owned();
        self.changes.push(ChangedFile { path, kind: Kind::Added, old_mode: 0, new_mode: FILE, old: None, new });
        self
    }

    pub(crate) fn judge(&self) -> Vec<Violation> {
        let base_paths: BTreeSet<String> = self.base.keys().cloned().collect();
        judge(&PolicyInput { rules: &self.rules, spec: &self.spec, base_paths: &base_paths, changes: &self.changes })
    }

    /// The rules that are broken, each once.
    pub(crate) fn rules(&self) -> Vec<Rule> {
        let found: BTreeSet<Rule> = self.judge().iter().map(|one| one.rule).collect();
        found.into_iter().collect()
    }
}

pub(crate) fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

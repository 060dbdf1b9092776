//! What a spec must hold beyond its shape.
//!
//! Invariant: every fault names its place in the answer and what would be right, so that a model can mend it.

use std::collections::BTreeSet;
use std::fmt;

use super::{ChangeKind, Spec};

/// Globs that allow everything, and so decide nothing.
pub const WIDE_GLOBS: &[&str] = &["*", "**", "**/*", "./**", "./*", "**/**"];
/// How long a text of a spec may be, in bytes.
const TEXT_MAX_BYTES: usize = 8_000;
/// How many entries a list of a spec may have.
const LIST_MAX: usize = 200;
/// The longest that a spec may ask tests to take: two hours.
const TIMEOUT_MAX_S: u32 = 7_200;

/// What is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecFault {
    /// Such as `acceptance[2].id`.
    pub place: String,
    /// What is wrong there, and what would be right.
    pub problem: String,
}

impl fmt::Display for SpecFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

impl Spec {
    /// What is wrong with it; empty when it can be accepted.
    ///
    /// `waivable` are the kinds of change whose tests need not fail on the base, by the project's policy.
    #[must_use]
    pub fn faults(&self, waivable: &[ChangeKind]) -> Vec<SpecFault> {
        let mut found = Faults(Vec::new());
        found.text("goal", &self.goal);
        found.listed("non_goals", &self.non_goals, 1);
        found.criteria(self);
        found.scope(self);
        found.tests(self, waivable);
        found.tasks(self);
        for (index, one) in self.ambiguities.iter().enumerate() {
            found.text(&format!("ambiguities[{index}].question"), &one.question);
        }
        found.count("ambiguities", self.ambiguities.len(), 0);
        found.listed("contracts.consumes", &self.contracts.consumes, 0);
        found.listed("contracts.publishes", &self.contracts.publishes, 0);
        found.0
    }
}

struct Faults(Vec<SpecFault>);

impl Faults {
    fn add(&mut self, place: &str, problem: impl Into<String>) {
        self.0.push(SpecFault { place: place.to_owned(), problem: problem.into() });
    }

    fn text(&mut self, place: &str, text: &str) {
        if text.trim().is_empty() {
            self.add(place, "is empty");
        } else if text.len() > TEXT_MAX_BYTES {
            self.add(place, format!("is {} bytes long; at most {TEXT_MAX_BYTES}", text.len()));
        }
    }

    fn count(&mut self, place: &str, len: usize, least: usize) {
        if len < least {
            self.add(place, format!("has {len} entries; at least {least}"));
        } else if len > LIST_MAX {
            self.add(place, format!("has {len} entries; at most {LIST_MAX}"));
        }
    }

    fn listed(&mut self, place: &str, texts: &[String], least: usize) {
        self.count(place, texts.len(), least);
        for (index, text) in texts.iter().take(LIST_MAX).enumerate() {
            self.text(&format!("{place}[{index}]"), text);
        }
    }

    fn criteria(&mut self, spec: &Spec) {
        self.count("acceptance", spec.acceptance.len(), 1);
        let mut seen = BTreeSet::new();
        for (index, one) in spec.acceptance.iter().take(LIST_MAX).enumerate() {
            let place = format!("acceptance[{index}]");
            for (field, text) in [("id", &one.id), ("when", &one.when), ("then", &one.then)] {
                self.text(&format!("{place}.{field}"), text);
            }
            if !seen.insert(one.id.trim()) {
                self.add(
                    &format!("{place}.id"),
                    format!("\"{}\" is there twice", crate::display::one_line(&one.id, 40)),
                );
            }
            self.listed(&format!("{place}.tests"), &one.tests, usize::from(spec.kind != ChangeKind::Docs));
        }
    }

    fn scope(&mut self, spec: &Spec) {
        let files = &spec.files;
        if files.allow.is_empty() && files.create.is_empty() {
            self.add("files", "names no file that may change; list them in allow or create");
        }
        for (field, globs) in [("allow", &files.allow), ("forbid", &files.forbid)] {
            self.count(&format!("files.{field}"), globs.len(), 0);
            for (index, glob) in globs.iter().take(LIST_MAX).enumerate() {
                let place = format!("files.{field}[{index}]");
                self.path(&place, glob);
                if field == "allow" && WIDE_GLOBS.contains(&glob.trim()) {
                    self.add(&place, "allows the whole repository; name the files or folders that the story needs");
                }
            }
        }
        self.paths("files.create", &files.create);
    }

    fn tests(&mut self, spec: &Spec, waivable: &[ChangeKind]) {
        self.paths("tests.new_files", &spec.tests.new_files);
        self.listed("tests.command", &spec.tests.command, 0);
        if !spec.tests.cwd.is_empty() {
            self.path("tests.cwd", &spec.tests.cwd);
        }
        if spec.tests.timeout_s > TIMEOUT_MAX_S {
            self.add("tests.timeout_s", format!("is {}; at most {TIMEOUT_MAX_S}", spec.tests.timeout_s));
        }
        let waived = waivable.contains(&spec.kind);
        if !spec.tests.must_fail_on_base && !waived {
            let kind = spec.kind;
            self.add("tests.must_fail_on_base", format!("must be true: the project does not waive it for {kind}"));
        }
        if spec.tests.new_files.is_empty() && !waived {
            self.add("tests.new_files", "names no test file; a change is proven by tests that fail without it");
        }
    }

    fn tasks(&mut self, spec: &Spec) {
        self.count("tasks", spec.tasks.len(), 1);
        let known: BTreeSet<&str> = spec.acceptance.iter().map(|one| one.id.trim()).collect();
        for (index, task) in spec.tasks.iter().take(LIST_MAX).enumerate() {
            let place = format!("tasks[{index}]");
            self.text(&format!("{place}.id"), &task.id);
            self.text(&format!("{place}.action"), &task.action);
            for id in task.acceptance.iter().filter(|id| !known.contains(id.trim())) {
                let id = crate::display::one_line(id, 40);
                self.add(&format!("{place}.acceptance"), format!("\"{id}\" is no criterion of this spec"));
            }
        }
    }

    fn paths(&mut self, place: &str, paths: &[String]) {
        self.count(place, paths.len(), 0);
        for (index, path) in paths.iter().take(LIST_MAX).enumerate() {
            let place = format!("{place}[{index}]");
            self.path(&place, path);
            if path.contains(['*', '?', '[', '{']) {
                self.add(&place, "is a pattern; name the file");
            }
        }
    }

    /// Relative, inside the repository, and none of git's own.
    fn path(&mut self, place: &str, path: &str) {
        let bad = path.trim().is_empty()
            || path.len() > 1_024
            || path.starts_with(['/', '~'])
            || path.contains(['\\', '\0', '\n', '\r'])
            || path.split('/').any(|part| part == ".." || part.eq_ignore_ascii_case(".git"));
        if bad {
            let shown = crate::display::one_line(path, 80);
            self.add(place, format!("\"{shown}\" is no path inside the repository"));
        }
    }
}

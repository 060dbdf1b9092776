//! Whether a path may change.
//!
//! Invariant: one path gets at most one of these refusals, the gravest.

use std::collections::{BTreeMap, BTreeSet};

use damascus_core::display::is_unsafe;

use super::conventions::is_test_source;
use super::{ChangedFile, Kind, PolicyInput, Rule, Scope, Violation, classes, manifests, shims};

/// The longest path, in bytes.
const PATH_MAX_BYTES: usize = 1_024;

/// Refuses a path, if it must be.
pub(super) fn judge(scope: &Scope<'_>, change: &ChangedFile) -> Option<Violation> {
    let path = change.path.as_str();
    let say = |rule: Rule, detail: String| Some(Violation::new(path, rule, detail));
    if is_unsafe_path(path) {
        return say(
            Rule::UnsafePath,
            "has invisible characters, or is no path inside the repository; rename it".to_owned(),
        );
    }
    if path.split('/').any(is_git_folder) {
        return say(Rule::NestedRepository, "is inside a repository of its own; remove it".to_owned());
    }
    let class = classes::class(path);
    if class == Some(Rule::OwnRules) {
        return say(Rule::OwnRules, classes::advice(Rule::OwnRules).to_owned());
    }
    if change.kind != Kind::Deleted {
        // A folder of that name keeps the runner from writing its report as much as a file does.
        let mut ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        if ends.any(|end| scope.rules.test.is_report(&path[..end])) {
            return say(Rule::RunnerShim, "stands where the test runner writes its report; remove it".to_owned());
        }
        if let Some(what) = shims::shim(path).filter(|_| change.kind != Kind::Modified) {
            return say(Rule::RunnerShim, format!("{what}; remove it"));
        }
    }
    if scope.is_forbidden(path) {
        return say(Rule::Forbidden, "is forbidden by the spec (files.forbid); put it back".to_owned());
    }
    let named = scope.is_named(path);
    if let Some(problem) = manifests::judge(change, named) {
        return say(Rule::RunnerConfiguration, problem);
    }
    if let Some(rule) = class.filter(|_| !named) {
        return say(rule, classes::advice(rule).to_owned());
    }
    if !named && shims::is_run(scope.rules, path) && !is_test_source(path) {
        let rule = if change.old.is_none() { Rule::RunnerShim } else { Rule::RunnerConfiguration };
        return say(
            rule,
            "is run by the project's own commands, and the spec does not name this very file; put it back".to_owned(),
        );
    }
    if !named && scope.project_protects(path) {
        return say(
            Rule::Protected,
            "is protected by the project, and the spec does not name this very file; put it back".to_owned(),
        );
    }
    if !scope.spec_allows(path) {
        let mend = if change.old.is_none() { "leave it out" } else { "put it back" };
        return say(Rule::OutsideScope, format!("is not among the files that the spec lets this story change; {mend}"));
    }
    if !scope.project_allows(path) {
        return say(
            Rule::OutsideScope,
            "is outside of what the project lets stories change ([scope] allow); put it back".to_owned(),
        );
    }
    None
}

/// Whether review takes a path from the base.
pub(super) fn is_protected(scope: &Scope<'_>, path: &str) -> bool {
    let class = classes::class(path);
    let always = class == Some(Rule::OwnRules) || path.split('/').any(is_git_folder);
    let builtin =
        class.is_some() || shims::shim(path).is_some() || shims::is_run(scope.rules, path) && !is_test_source(path);
    always || !scope.is_named(path) && (builtin || scope.project_protects(path))
}

fn is_unsafe_path(path: &str) -> bool {
    path.len() > PATH_MAX_BYTES
        || path.contains('\\')
        || path.chars().any(is_unsafe)
        || path.split('/').any(|part| part.is_empty() || part == "." || part == ".." || part.trim() != part)
}

/// `.git` as any file system may read it.
fn is_git_folder(part: &str) -> bool {
    let name = part.split(':').next().unwrap_or(part).trim_end_matches(['.', ' ']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

/// Refusals that need more than one path: names that differ in case alone, and the inside of a bare repository.
pub(super) fn judge_together(input: &PolicyInput<'_>, found: &mut Vec<Violation>) {
    let gone: BTreeSet<&str> =
        input.changes.iter().filter(|change| change.kind == Kind::Deleted).map(|change| change.path.as_str()).collect();
    let mut by_case: BTreeMap<String, &str> = BTreeMap::new();
    for path in input.base_paths.iter().filter(|path| !gone.contains(path.as_str())) {
        by_case.insert(path.to_lowercase(), path);
    }
    for change in input.changes.iter().filter(|change| change.kind == Kind::Added) {
        let path = change.path.as_str();
        match by_case.insert(path.to_lowercase(), path) {
            Some(other) if other != path => {
                let other = damascus_core::display::one_line(other, super::PATH_SHOWN_MAX_CHARS);
                let detail = format!("differs from {other} in upper and lower case alone; choose another name");
                found.push(Violation::new(path, Rule::UnsafePath, detail));
            }
            _ => {}
        }
        if is_bare_head(path, input) {
            let detail = "makes its folder a git repository; remove it".to_owned();
            found.push(Violation::new(path, Rule::NestedRepository, detail));
        }
    }
}

/// `HEAD` beside `objects` or `refs`: git takes the folder for a repository, with a configuration that can run programs.
fn is_bare_head(path: &str, input: &PolicyInput<'_>) -> bool {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut all =
        input.changes.iter().map(|change| change.path.as_str()).chain(input.base_paths.iter().map(String::as_str));
    name.eq_ignore_ascii_case("HEAD")
        && all.any(|other| {
            other.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                let rest = rest.to_ascii_lowercase();
                rest.starts_with("objects/") || rest.starts_with("refs/")
            })
        })
}

//! What one version of a source tests.
//!
//! Invariant: made from one version alone; comparing two of them is [`super::weakening`]'s.

use std::collections::BTreeMap;

use super::assertions::{ASSERTIONS_MAX, Assertions, assertions, scan};
use super::blank::views;
use super::cases::{CASES_MAX, cases};
use super::conventions::{Language, is_conftest, is_test_file};
use super::dense::{dense, places};
use super::marks;

/// The longest source that is read, in bytes.
const SOURCE_MAX_BYTES: usize = 512 * 1024;
/// How often over the cases of a source may be read, where one stands in another.
const OVERLAP_MAX: usize = 8;

/// One test case, as far as it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CaseProfile {
    pub(super) assertions: Assertions,
    /// Whether it ends before it begins.
    pub(super) returns_at_once: bool,
    /// Conditions on which it is compiled.
    pub(super) conditions: usize,
}

/// What one version of a source tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    /// By name; several where a name is used again.
    pub(super) cases: BTreeMap<String, Vec<CaseProfile>>,
    pub(super) total: Assertions,
    /// Words that skip or hide, with their counts.
    pub(super) skips: BTreeMap<String, usize>,
    /// Words that end the process.
    pub(super) exits: BTreeMap<String, usize>,
    /// Modules that are declared.
    pub(super) modules: Vec<String>,
    /// Whether it holds more than is looked at.
    pub(super) too_large: bool,
    /// Build constraints, and conditions on the whole file.
    pub(super) constraints: usize,
}

impl Profile {
    /// How many cases there are.
    pub(super) fn count(&self) -> usize {
        self.cases.values().map(Vec::len).sum()
    }
}

/// The profile of a source.
pub(super) fn profile(path: &str, source: &str, language: Language) -> Profile {
    if source.len() > SOURCE_MAX_BYTES {
        return Profile { too_large: true, ..Profile::default() };
    }
    let whole_is_test = is_test_file(path) || is_conftest(path);
    let views = views(source, language);
    let all = scan(&views, language);
    let cases = cases(&views, language);
    let mut profile =
        Profile { too_large: all.len() >= ASSERTIONS_MAX || cases.len() >= CASES_MAX, ..Profile::default() };
    let mut left = source.len().saturating_mul(OVERLAP_MAX);
    for case in cases {
        let Some(rest) = left.checked_sub(case.to.saturating_sub(case.from)) else {
            profile.too_large = true;
            break;
        };
        left = rest;
        let body = views.code.get(case.from..case.to).unwrap_or_default();
        let name = case.name.clone();
        profile.cases.entry(name).or_default().push(CaseProfile {
            assertions: assertions(&views, language, &all, case.from, case.to),
            returns_at_once: returns_at_once(body, language),
            conditions: case.head.matches("#[cfg").count(),
        });
    }
    // Where code and its tests share a file, only the part with the tests is compared.
    let from = if whole_is_test { Some(0) } else { tests_begin(&views.code, language) };
    if let Some(from) = from {
        profile.total = assertions(&views, language, &all, from, views.code.len());
        let part = views.code.get(from..).unwrap_or_default();
        profile.skips = marks::skips(part, language).into_iter().collect();
        if is_conftest(path) {
            profile.skips.extend(marks::conftest(part));
        }
        profile.exits = marks::exits(part, language).into_iter().collect();
        profile.constraints = match language {
            Language::Go => marks::constraints(source),
            Language::Rust => dense(&views.code).matches("#![cfg").count(),
            _ => 0,
        };
    }
    profile.modules = modules(&views.code, language, whole_is_test);
    profile
}

/// Where the tests begin in a file that also holds what they test.
fn tests_begin(code: &str, language: Language) -> Option<usize> {
    (language == Language::Rust).then(|| code.find("#[cfg(test)]").or_else(|| code.find("#[test]"))).flatten()
}

/// Modules without a body: files that are compiled only because they are named here.
fn modules(code: &str, language: Language, whole_is_test: bool) -> Vec<String> {
    if language != Language::Rust {
        return Vec::new();
    }
    let named = places(code, "mod").filter_map(|at| {
        let (name, _) = super::dense::ahead(code, at + 3).split_once(';')?;
        let name = name.trim();
        let plain = !name.is_empty() && name.chars().all(super::dense::is_word);
        let tests =
            whole_is_test || name == "tests" || name == "test" || name.ends_with("_tests") || name.ends_with("_test");
        (plain && tests).then(|| name.to_owned())
    });
    named.collect()
}

/// Whether the first statement of a case leaves it.
fn returns_at_once(body: &str, language: Language) -> bool {
    match language {
        Language::Python => {
            let dense = dense(body);
            let head = places(&dense, "def").next().map_or("", |at| &dense[at..]);
            let open = head.find('(').map_or(0, |open| super::dense::closing(head, open));
            let statement = head[open..].split_once(':').map_or("", |(_, statement)| statement);
            // Whatever the function says before, `return` and `raise` of a skip are its whole body.
            ["return", "pass"]
                .iter()
                .any(|word| statement.strip_prefix(word).is_some_and(|rest| !rest.starts_with(super::dense::is_word)))
        }
        Language::Other => false,
        _ => {
            let dense = dense(body);
            ["{return;", "{return Ok(());", "{return}", "{return Promise"].iter().any(|word| dense.contains(word))
                && dense.find('{').is_some_and(|_| first_statement_returns(&dense))
        }
    }
}

fn first_statement_returns(dense: &str) -> bool {
    // The body of a function follows its parameters: `){`, `=>{`, or a return type.
    let after = dense.find("){").map(|at| at + 2).or_else(|| dense.find('{').map(|at| at + 1));
    let arrow = dense.find("=>{").map(|at| at + 3);
    let first = match (after, arrow) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    first.and_then(|at| dense.get(at..)).is_some_and(|body| body.starts_with("return"))
}

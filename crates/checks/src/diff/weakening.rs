//! Whether a change makes existing tests say less.
//!
//! Invariant: adding is free; taking away is not, wherever the test moved. What the spec names letter for letter may be rewritten, so
//! long as it holds as many cases and assertions as before; only a refactoring that names the file may hold fewer.

use std::collections::BTreeMap;

use damascus_core::spec::ChangeKind;

use super::conventions::{Language, is_conftest, is_snapshot, is_test_file, language};
use super::profile::{CaseProfile, Profile, profile};
use super::{ChangedFile, Rule, Scope, Violation, scripts};

/// How many names of tests a message lists.
const NAMES_SHOWN_MAX: usize = 5;
/// How much of a name a message shows, in characters.
const NAME_MAX_CHARS: usize = 80;

/// Both versions of a file that holds tests.
struct Pair<'a> {
    change: &'a ChangedFile,
    language: Language,
    old: Profile,
    new: Profile,
    /// Cases of the old version that are in another file now.
    moved: usize,
    lost: Vec<String>,
}

/// What the tests of a change lost.
pub(super) fn judge(scope: &Scope<'_>, changes: &[&ChangedFile]) -> Vec<Violation> {
    let mut pairs: Vec<Pair<'_>> = changes.iter().filter_map(|change| pair(change)).collect();
    let mut found = follow(&mut pairs);
    let kept_overall = kept_overall(&pairs);
    for pair in &pairs {
        let before = found.len();
        pair.lost_cases(scope, &mut found);
        pair.skipped(&mut found);
        if found.len() == before && pair.is_live() {
            pair.fewer(scope, kept_overall.get(&pair.language).copied().unwrap_or(false), &mut found);
        }
    }
    let read: Vec<&str> =
        pairs.iter().filter(|pair| pair.old.count() > 0).map(|pair| pair.change.path.as_str()).collect();
    for change in changes.iter().filter(|change| !read.contains(&change.path.as_str())) {
        unread(scope, change, changes, &mut found);
    }
    found
}

fn pair(change: &ChangedFile) -> Option<Pair<'_>> {
    let language = language(&change.path)?;
    let relevant = is_test_file(&change.path) || is_conftest(&change.path) || language == Language::Rust;
    let side = |text: Option<&str>| text.map(|text| profile(&change.path, text, language)).unwrap_or_default();
    let (old, new) = (side(change.old_text()), side(change.new_text()));
    relevant.then_some(Pair { change, language, old, new, moved: 0, lost: Vec::new() })
}

/// Finds the cases that went to another file; what is left is lost. Those that say less in their new place are told.
fn follow(pairs: &mut [Pair<'_>]) -> Vec<Violation> {
    let mut pool: BTreeMap<(Language, String), Vec<CaseProfile>> = BTreeMap::new();
    for pair in pairs.iter() {
        for (name, cases) in &pair.new.cases {
            let known = pair.old.cases.get(name).map_or(0, Vec::len);
            pool.entry((pair.language, name.clone())).or_default().extend(cases.iter().skip(known).cloned());
        }
    }
    let mut found = Vec::new();
    for pair in pairs {
        for (name, cases) in &pair.old.cases {
            let kept = pair.new.cases.get(name).map_or(0, Vec::len);
            for old in cases.iter().skip(kept) {
                match pool.get_mut(&(pair.language, name.clone())).and_then(Vec::pop) {
                    None => pair.lost.push(name.clone()),
                    Some(new) => {
                        pair.moved += 1;
                        if new.assertions.all < old.assertions.all || new.assertions.rows < old.assertions.rows {
                            let detail =
                                format!("the test {} asserts less in its new place; move it whole", shown(name));
                            found.push(violation(pair.change, Rule::TestWeakened, detail));
                        }
                    }
                }
            }
        }
    }
    found
}

/// Whether all changed files of a language together assert as much as before.
fn kept_overall(pairs: &[Pair<'_>]) -> BTreeMap<Language, bool> {
    let mut sums: BTreeMap<Language, (usize, usize)> = BTreeMap::new();
    for pair in pairs {
        let sum = sums.entry(pair.language).or_default();
        sum.0 += pair.old.total.all;
        sum.1 += pair.new.total.all;
    }
    sums.into_iter().map(|(language, (old, new))| (language, new >= old)).collect()
}

impl Pair<'_> {
    /// Whether the file is still there.
    fn is_live(&self) -> bool {
        self.change.new.is_some()
    }

    fn lost_cases(&self, scope: &Scope<'_>, found: &mut Vec<Violation>) {
        let path = &self.change.path;
        let may_shrink = scope.is_allowed_by_name(path) && scope.kind() == ChangeKind::Refactoring;
        let may_rename =
            scope.is_allowed_by_name(path) && self.is_live() && self.new.count() + self.moved >= self.old.count();
        if self.lost.is_empty() || may_shrink || may_rename {
            return;
        }
        let names: Vec<String> = self.lost.iter().take(NAMES_SHOWN_MAX).map(|name| shown(name)).collect();
        let more = self.lost.len().saturating_sub(NAMES_SHOWN_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = format!("{}{more}", names.join(", "));
        let (rule, detail) = if self.is_live() {
            (
                Rule::TestWeakened,
                format!("no longer holds the test {names}; put it back under its name and add new ones beside it"),
            )
        } else {
            (Rule::TestDeleted, format!("is deleted with the test {names}; put the file back"))
        };
        found.push(violation(self.change, rule, detail));
    }

    /// Words that skip, hide or end the run; no spec makes them right.
    fn skipped(&self, found: &mut Vec<Violation>) {
        if !self.is_live() {
            return;
        }
        let holds_tests =
            [self.change.old_text(), self.change.new_text()].iter().flatten().any(|text| text.contains("#[test]"));
        if (self.new.too_large || self.old.too_large) && (is_test_file(&self.change.path) || holds_tests) {
            let detail = "holds more tests than can be compared; split it".to_owned();
            found.push(violation(self.change, Rule::TooLarge, detail));
        }
        let existed = self.change.old.is_some();
        for (word, &count) in &self.new.exits {
            if count > self.old.exits.get(word).copied().unwrap_or(0) {
                let detail = format!(
                    "adds `{word}` to a test, which ends the run before the other tests have their say; remove it"
                );
                found.push(violation(self.change, Rule::TestWeakened, detail));
            }
        }
        for (word, &count) in self.new.skips.iter().filter(|_| existed || is_conftest(&self.change.path)) {
            if count > self.old.skips.get(word).copied().unwrap_or(0) {
                let detail = format!(
                    "adds `{word}` to existing tests, which keeps them from failing; remove it and mend the code"
                );
                found.push(violation(self.change, Rule::TestWeakened, detail));
            }
        }
        if existed && self.new.constraints > self.old.constraints {
            let detail =
                "adds a build constraint to existing tests, which can keep them from running; remove it".to_owned();
            found.push(violation(self.change, Rule::TestWeakened, detail));
        }
        for name in self.old.modules.iter().filter(|name| !self.new.modules.contains(name)) {
            let detail = format!(
                "no longer names the module {} of tests, so that they are not compiled; put `mod` back",
                shown(name)
            );
            found.push(violation(self.change, Rule::TestWeakened, detail));
        }
    }

    /// Fewer or weaker assertions.
    fn fewer(&self, scope: &Scope<'_>, kept_overall: bool, found: &mut Vec<Violation>) {
        let named = scope.is_allowed_by_name(&self.change.path);
        let mut say = |detail: String| found.push(violation(self.change, Rule::TestWeakened, detail));
        if self.change.old.is_some() && self.new.total.trivial > self.old.total.trivial {
            say("adds an assertion that can't fail to existing tests; assert what the code does".to_owned());
        }
        for (name, old) in self.old.cases.iter().flat_map(|(name, all)| all.iter().map(move |old| (name, old)).take(1))
        {
            let Some(new) = self.new.cases.get(name).and_then(|all| all.first()) else { continue };
            let shown = shown(name);
            if new.returns_at_once && !old.returns_at_once {
                say(format!("the test {shown} now ends before it begins; put its body back"));
            } else if new.conditions > old.conditions {
                say(format!("the test {shown} is now compiled only under a condition; remove the condition"));
            } else if old.assertions.all > 0 && new.assertions.all == 0 {
                say(format!("the test {shown} no longer asserts anything; put its assertions back"));
            } else if !named && new.assertions.all < old.assertions.all {
                let (before, after) = (old.assertions.all, new.assertions.all);
                say(format!("the test {shown} asserts {after} times where it did {before} times; put the rest back"));
            } else if new.assertions.rows < old.assertions.rows && !(named && scope.kind() == ChangeKind::Refactoring) {
                say(format!(
                    "the test {shown} has fewer rows in its table; put them back and add new ones beside them"
                ));
            }
        }
        if named && scope.kind() == ChangeKind::Refactoring {
            return;
        }
        let excused = self.moved > 0 && kept_overall;
        if self.new.total.all < self.old.total.all && !excused {
            let (before, after) = (self.old.total.all, self.new.total.all);
            say(format!("its tests assert {after} times where they did {before} times; keep what was asserted"));
        } else if self.new.total.exact < self.old.total.exact && !excused && !named {
            say("compares with fewer values than before: an assertion was replaced by a weaker one; put it back"
                .to_owned());
        } else if self.new.total.rows < self.old.total.rows && !excused {
            say("has fewer rows in the tables of its tests; put them back and add new ones beside them".to_owned());
        }
    }
}

/// Test files whose cases can't be read: data, snapshots, other languages, files without cases.
fn unread(scope: &Scope<'_>, change: &ChangedFile, all: &[&ChangedFile], found: &mut Vec<Violation>) {
    if !is_test_file(&change.path) || change.old.is_none() {
        return;
    }
    let named = scope.is_allowed_by_name(&change.path);
    if change.new.is_none() {
        let moved = all.iter().any(|other| other.old.is_none() && other.new == change.old && is_test_file(&other.path));
        let excused = moved || named && scope.kind() == ChangeKind::Refactoring;
        if !excused {
            let detail = "is deleted; tests, and what they compare with, stay. Put it back".to_owned();
            found.push(violation(change, Rule::TestDeleted, detail));
        }
    } else if is_snapshot(&change.path) && !named && takes_away(change) {
        let detail =
            "what the tests expect is changed in a snapshot; mend the code, or let the spec name this very file"
                .to_owned();
        found.push(violation(change, Rule::TestWeakened, detail));
    } else if change.old_text().is_some() && change.new_text().is_none() {
        let detail = "a test can no longer be read as text; put it back".to_owned();
        found.push(violation(change, Rule::TestWeakened, detail));
    } else if let Some(problem) = scripts::weakened(change).filter(|_| !named) {
        found.push(violation(change, Rule::TestWeakened, problem));
    }
}

/// Whether a line of the old version is gone.
fn takes_away(change: &ChangedFile) -> bool {
    match (change.old_text(), change.new_text()) {
        (Some(old), Some(new)) => !super::content::added_lines(new, old).is_empty(),
        _ => true,
    }
}

fn shown(name: &str) -> String {
    format!("`{}`", damascus_core::display::one_line(name, NAME_MAX_CHARS))
}

fn violation(change: &ChangedFile, rule: Rule, detail: String) -> Violation {
    Violation::new(&change.path, rule, detail)
}

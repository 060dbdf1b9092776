//! Which crate may use which: the walls of the house, read from `cargo metadata`.
//!
//! A crate or an edge that [`RULES`] does not list fails, so that the list stays the whole truth.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// What to do about an edge that is not listed.
const WAY_OUT: &str = "a new crate or edge needs an ADR: docs/adr, and its line in xtask/src/edges.rs";

/// The platform whose dependency graph is read; Damascus runs on Linux, and the walls are the same on its machines.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// One crate of the workspace as the rules see it.
#[derive(Debug, Clone, Default)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// What it names in its manifest.
    pub uses: Vec<Use>,
    /// Names of everything that its normal and build dependencies bring along, itself left out.
    pub reaches: BTreeSet<String>,
    /// Names of the workspace's crates, to tell inner edges from outer ones.
    pub siblings: BTreeSet<String>,
}

/// One dependency in a manifest.
#[derive(Debug, Clone)]
pub struct Use {
    /// The name of what is used.
    pub name: String,
    /// Only in `[dev-dependencies]`.
    pub dev: bool,
    /// Features asked for; `default` is among them when it is not switched off.
    pub features: Vec<String>,
}

struct Rule {
    name: &'static str,
    /// Crates of ours that it may use.
    may_use: &'static [&'static str],
    /// Crates of ours that its tests may use besides.
    tests_may_use: &'static [&'static str],
    /// Crates of others that its manifest must not name outside tests; `name/feature` forbids a feature.
    never: &'static [&'static str],
    /// Crates of others that it must not reach, however far.
    never_reaches: &'static [&'static str],
}

const CORE: &str = "damascus-core";
const BMAD: &str = "damascus-bmad";
const POSTGRES: &str = "damascus-postgres";
const STORE: &str = "damascus-store";
const GIT: &str = "damascus-git";
const SANDBOX: &str = "damascus-sandbox";
const CHECKS: &str = "damascus-checks";
const ENGINE: &str = "damascus-engine";
const ADAPTERS: &str = "damascus-adapters";
const API: &str = "damascus-api";
const TESTKIT: &str = "damascus-testkit";

/// No clock, no randomness, nothing that waits.
const PURE: &[&str] =
    &["tokio", "sqlx", "rand", "getrandom", "futures", "async-trait", "chrono/clock", "chrono/now", "chrono/default"];
const NO_RUNTIME: &[&str] = &["tokio", "sqlx", "sqlx-core", "reqwest", "axum", "hyper"];

const RULES: &[Rule] = &[
    Rule { name: CORE, may_use: &[], tests_may_use: &[], never: PURE, never_reaches: NO_RUNTIME },
    Rule { name: BMAD, may_use: &[CORE], tests_may_use: &[], never: &["tokio", "sqlx"], never_reaches: NO_RUNTIME },
    Rule { name: POSTGRES, may_use: &[], tests_may_use: &[TESTKIT], never: &[], never_reaches: &[] },
    Rule { name: STORE, may_use: &[CORE], tests_may_use: &[TESTKIT], never: &[], never_reaches: &[] },
    Rule {
        name: GIT,
        may_use: &[CORE],
        tests_may_use: &[TESTKIT],
        never: &["sqlx"],
        never_reaches: &["sqlx", "reqwest"],
    },
    Rule { name: SANDBOX, may_use: &[CORE], tests_may_use: &[], never: &["sqlx"], never_reaches: &["sqlx", "reqwest"] },
    Rule { name: CHECKS, may_use: &[CORE], tests_may_use: &[], never: PURE, never_reaches: NO_RUNTIME },
    Rule {
        name: ENGINE,
        may_use: &[CORE, STORE, GIT, SANDBOX, CHECKS],
        tests_may_use: &[TESTKIT, ADAPTERS],
        never: &["sqlx"],
        never_reaches: &[],
    },
    Rule {
        name: ADAPTERS,
        may_use: &[CORE, STORE, ENGINE, GIT, SANDBOX],
        tests_may_use: &[TESTKIT],
        never: &["sqlx"],
        never_reaches: &[],
    },
    Rule { name: API, may_use: &[CORE, STORE], tests_may_use: &[TESTKIT], never: &["sqlx"], never_reaches: &[] },
    Rule {
        name: "damascus",
        may_use: &[CORE, BMAD, POSTGRES, STORE, GIT, SANDBOX, CHECKS, ENGINE, ADAPTERS, API],
        tests_may_use: &[TESTKIT],
        never: &["sqlx"],
        never_reaches: &[],
    },
    Rule {
        name: TESTKIT,
        may_use: &[CORE, STORE, POSTGRES, GIT, SANDBOX, CHECKS, ENGINE, ADAPTERS],
        tests_may_use: &[],
        never: &[],
        never_reaches: &[],
    },
    Rule { name: "xtask", may_use: &[], tests_may_use: &[], never: &[], never_reaches: &[] },
];

/// Reads the crates of the workspace at `root`.
///
/// # Errors
/// When cargo cannot resolve the workspace.
pub fn load(root: &Path) -> Result<Vec<Crate>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), PLATFORM.to_owned()])
        .exec()
        .context("cargo metadata failed; does `cargo build` work?")?;
    let reach = Reach::new(&metadata)?;
    let members = metadata.workspace_packages();
    let siblings: BTreeSet<String> = members.iter().map(|p| p.name.to_string()).collect();
    Ok(members
        .iter()
        .map(|package| Crate {
            name: package.name.to_string(),
            uses: package.dependencies.iter().map(read_use).collect(),
            reaches: reach.from(&package.id),
            siblings: siblings.clone(),
        })
        .collect())
}

fn read_use(dependency: &cargo_metadata::Dependency) -> Use {
    let mut features = dependency.features.clone();
    if dependency.uses_default_features {
        features.push("default".to_owned());
    }
    Use { name: dependency.name.clone(), dev: dependency.kind == DependencyKind::Development, features }
}

/// The resolved graph without dev-dependencies.
struct Reach<'a> {
    edges: BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
    names: BTreeMap<&'a PackageId, &'a str>,
}

impl<'a> Reach<'a> {
    fn new(metadata: &'a Metadata) -> Result<Self> {
        let resolve = metadata.resolve.as_ref().context("cargo metadata gave no resolved graph")?;
        let mut edges = BTreeMap::new();
        for node in &resolve.nodes {
            let ships =
                |d: &&cargo_metadata::NodeDep| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development);
            edges.insert(&node.id, node.deps.iter().filter(ships).map(|d| &d.pkg).collect());
        }
        Ok(Self { edges, names: metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect() })
    }

    fn from(&self, start: &PackageId) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            for next in self.edges.get(id).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen.iter().filter_map(|id| self.names.get(id)).map(|name| (*name).to_owned()).collect()
    }
}

/// What breaks the rules, in words; empty when nothing does.
#[must_use]
pub fn check(crates: &[Crate]) -> Vec<String> {
    let mut broken = Vec::new();
    for krate in crates {
        match RULES.iter().find(|rule| rule.name == krate.name) {
            Some(rule) => check_crate(krate, rule, &mut broken),
            None => broken.push(format!("{} is a crate that no rule knows; {WAY_OUT}", krate.name)),
        }
    }
    broken
}

fn check_crate(krate: &Crate, rule: &Rule, broken: &mut Vec<String>) {
    let name = &krate.name;
    for used in &krate.uses {
        let other = used.name.as_str();
        if krate.siblings.contains(other) {
            let allowed = rule.may_use.contains(&other) || (used.dev && rule.tests_may_use.contains(&other));
            if !allowed {
                let place = if used.dev { "in its tests" } else { "" };
                broken.push(format!("{name} must not use {other} {place}; {WAY_OUT}").replace(" ;", ";"));
            }
        } else if !used.dev {
            let forbidden = rule.never.iter().filter(|never| match never.split_once('/') {
                Some((package, feature)) => package == other && used.features.iter().any(|f| f == feature),
                None => **never == other,
            });
            broken.extend(forbidden.map(|never| format!("{name} must not depend on {never}; {}", reason(never))));
        }
    }
    for far in rule.never_reaches.iter().filter(|far| krate.reaches.contains(**far)) {
        broken.push(format!("{name} brings {far} along; `cargo tree -p {name} -i {far} -e normal` shows how"));
    }
}

fn reason(never: &str) -> &'static str {
    match never {
        "sqlx" => "SQL stands only in damascus-store",
        "tokio" | "futures" | "async-trait" => "it waits for nothing: what waits is in damascus-engine",
        _ => "time and randomness come in as arguments",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(name: &str, dev: bool, features: &[&str]) -> Use {
        Use { name: name.to_owned(), dev, features: features.iter().map(|f| (*f).to_owned()).collect() }
    }

    fn broken(name: &str, uses: Vec<Use>) -> Vec<String> {
        let siblings = RULES.iter().map(|r| r.name.to_owned()).collect();
        check(&[Crate { name: name.to_owned(), uses, siblings, ..Crate::default() }])
    }

    #[test]
    fn listed_edges_pass() {
        assert_eq!(broken(STORE, vec![uses(CORE, false, &[]), uses(TESTKIT, true, &[])]), [""; 0]);
        assert_eq!(broken("damascus", vec![uses(ADAPTERS, false, &[]), uses(POSTGRES, false, &[])]), [""; 0]);
        assert_eq!(broken(CORE, vec![uses("serde", false, &[]), uses("rand", true, &[])]), [""; 0]);
    }

    #[test]
    fn other_edges_fail() {
        for (name, used) in [
            (CORE, uses(STORE, false, &[])),
            (CORE, uses(TESTKIT, true, &[])),
            (STORE, uses(POSTGRES, false, &[])),
            (STORE, uses(TESTKIT, false, &[])),
            ("damascus", uses(TESTKIT, false, &[])),
            (API, uses(ENGINE, false, &[])),
            (API, uses(ADAPTERS, true, &[])),
            ("xtask", uses(CORE, false, &[])),
        ] {
            let found = broken(name, vec![used.clone()]);
            assert_eq!(found.len(), 1, "{name} uses {}", used.name);
            assert!(found[0].contains("needs an ADR: docs/adr"), "{found:?}");
        }
    }

    #[test]
    fn a_crate_that_no_rule_knows_fails() {
        let found = broken("damascus-extras", vec![]);
        assert_eq!(found, [format!("damascus-extras is a crate that no rule knows; {WAY_OUT}")]);
    }

    #[test]
    fn core_stays_pure() {
        assert_eq!(broken(CORE, vec![uses("tokio", false, &[])]).len(), 1);
        assert_eq!(broken(CORE, vec![uses("chrono", false, &["clock", "serde"])]).len(), 1);
        assert_eq!(broken(CORE, vec![uses("chrono", false, &["serde"])]), [""; 0]);
        let reaches = BTreeSet::from(["tokio".to_owned()]);
        let far = Crate { name: CORE.to_owned(), reaches, ..Crate::default() };
        assert_eq!(check(&[far]).len(), 1);
    }
}

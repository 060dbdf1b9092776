//! Node by `package.json`.
//!
//! Invariant: the project's own test script is what is run; which runner it is decides how its output is read.

use serde_json::Value;

use super::{Plan, Seen, Step, Steps, Tree, Untestable, offline, online, plan, shown};
use crate::report::Format;

/// How far a script that runs another is followed.
const SCRIPT_DEPTH_MAX: usize = 3;
/// What npm writes where there is no test.
const NO_TEST: &str = "no test specified";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    Yarn,
}

/// A runner that a script ends with.
struct Runner {
    format: Format,
    /// What is added to the script, so that every test is named.
    extra: &'static [&'static str],
}

/// Node, where `package.json` has a test script.
pub(super) fn node(tree: &Tree<'_>) -> Option<Seen> {
    let text = tree.text("package.json")?;
    let manager = manager(tree);
    let name = format!("Node (package.json, {})", manager.program());
    let Ok(manifest) = serde_json::from_str::<Value>(&text) else {
        let reason = "package.json is no JSON".to_owned();
        return Some(Seen { name, found: Err(Untestable { reason, example: manager.by_exit_code(Steps::default()) }) });
    };
    let steps = Steps {
        setup: has_dependencies(&manifest).then(|| manager.setup(tree)),
        build: script(&manifest, "build").map(|_| manager.run("build")),
        lint: script(&manifest, "lint").map(|_| manager.run("lint")),
    };
    let found = match script(&manifest, "test").filter(|script| !script.contains(NO_TEST)) {
        None => Err(Untestable { reason: "it has no test script".to_owned(), example: manager.by_exit_code(steps) }),
        Some(test) => match runner(&manifest, test, SCRIPT_DEPTH_MAX) {
            Some(runner) => Ok(plan(steps, &manager.test(runner.extra), runner.format)),
            None => {
                let reason = format!("its test script ends with no known runner (`{}`)", shown(test));
                Err(Untestable { reason, example: manager.by_exit_code(steps) })
            }
        },
    };
    Some(Seen { name, found })
}

fn manager(tree: &Tree<'_>) -> Manager {
    if tree.has("pnpm-lock.yaml") {
        Manager::Pnpm
    } else if tree.has("yarn.lock") {
        Manager::Yarn
    } else {
        Manager::Npm
    }
}

impl Manager {
    fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
        }
    }

    fn setup(self, tree: &Tree<'_>) -> Step {
        let locked = tree.has("package-lock.json") || tree.has("npm-shrinkwrap.json");
        let command: &[&str] = match self {
            Self::Npm if locked => &["npm", "ci"],
            // Without a lock file, none is to appear in the tree.
            Self::Npm => &["npm", "install", "--no-package-lock"],
            Self::Pnpm => &["pnpm", "install", "--frozen-lockfile"],
            Self::Yarn if tree.has(".yarnrc.yml") => &["yarn", "install", "--immutable"],
            Self::Yarn => &["yarn", "install", "--frozen-lockfile"],
        };
        online(command)
    }

    fn run(self, script: &str) -> Step {
        offline(&[self.program(), "run", script])
    }

    fn test(self, extra: &[&'static str]) -> Vec<&'static str> {
        // npm passes on to a script only what stands behind the dashes; the others would pass the dashes too.
        let dashes: &[&str] = if self == Self::Npm && !extra.is_empty() { &["--"] } else { &[] };
        [self.program(), "test"].iter().chain(dashes).chain(extra).copied().collect()
    }

    fn by_exit_code(self, steps: Steps) -> Plan {
        plan(steps, &[self.program(), "test"], Format::ExitCode)
    }
}

fn script<'a>(manifest: &'a Value, name: &str) -> Option<&'a str> {
    manifest.get("scripts")?.get(name)?.as_str().map(str::trim).filter(|script| !script.is_empty())
}

fn has_dependencies(manifest: &Value) -> bool {
    let tables = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
    let filled = |name: &&str| manifest.get(name).and_then(Value::as_object).is_some_and(|table| !table.is_empty());
    tables.iter().any(filled) || manifest.get("workspaces").is_some()
}

/// The runner that a script ends with: what is added to a script goes to its last command.
fn runner(manifest: &Value, script_text: &str, depth: usize) -> Option<Runner> {
    if depth == 0 || script_text.contains(['|', '>', '<', '`']) {
        return None;
    }
    let last = script_text.rsplit(['&', ';']).next()?;
    let mut words = last.split_whitespace().skip_while(|word| is_setting(word)).peekable();
    while let Some(word) = words.next() {
        let program = word.rsplit('/').next().unwrap_or(word);
        let rest: Vec<&str> = words.clone().collect();
        let has = |option: &str| rest.iter().any(|word| word.starts_with(option));
        let found = match program {
            "vitest" if has("--reporter") => Some((Format::Vitest, &[][..])),
            "vitest" => Some((Format::Vitest, &["--reporter=verbose"][..])),
            "jest" => Some((Format::Jest, &["--ci", "--verbose"][..])),
            "react-scripts" if rest.first() == Some(&"test") => {
                Some((Format::Jest, &["--ci", "--verbose", "--watchAll=false"][..]))
            }
            "mocha" if !has("--reporter") && !has("-R") => Some((Format::Tap, &["--reporter=tap"][..])),
            "ava" => Some((Format::Tap, &["--tap"][..])),
            "tape" => Some((Format::Tap, &[][..])),
            "node" | "tsx" if has("--test") => Some((Format::Node, &[][..])),
            _ => None,
        };
        if let Some((format, extra)) = found {
            return Some(Runner { format, extra });
        }
        match program {
            "npx" | "c8" | "nyc" | "cross-env" | "exec" | "dotenv" | "--" | "--no-install" => {}
            "npm" | "pnpm" | "yarn" => {
                let next = rest.iter().find(|word| !matches!(**word, "run" | "exec" | "--silent" | "-s"))?;
                if let Some(inner) = script(manifest, next) {
                    // What is added reaches another script in ways that differ; only its format is taken.
                    return runner(manifest, inner, depth - 1)
                        .filter(|runner| !matches!(runner.format, Format::Tap))
                        .map(|runner| Runner { extra: &[], ..runner });
                }
            }
            "run" | "--silent" | "-s" => {}
            word if is_setting(word) => {}
            _ => return None,
        }
    }
    None
}

/// Such as `NODE_ENV=test`.
fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    })
}

//! Python, by its tests and the files that configure them.
//!
//! Invariant: pytest where the project configures or mentions it, or its tests are written for it; unittest else.

use toml::de::{DeTable, DeValue};

use super::{Plan, Seen, Steps, Tree, Untestable, offline, online, plan};
use crate::report::Format;

/// How many test files are looked into.
const TESTS_READ_MAX: usize = 20;
/// Files that say what a project is, or needs.
const MANIFESTS: [&str; 8] =
    ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "Pipfile", "requirements.txt", "pytest.ini", ".pytest.ini"];
/// Lists of what the tests need, besides `requirements.txt`.
const TEST_REQUIREMENTS: [&str; 5] = [
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements/dev.txt",
    "requirements/test.txt",
];
/// Extras that hold what tests need.
const TEST_EXTRAS: [&str; 4] = ["test", "tests", "testing", "dev"];

/// Python with pytest or unittest.
pub(super) fn python(tree: &Tree<'_>) -> Option<Seen> {
    let tests: Vec<&str> = tree.paths.iter().map(String::as_str).filter(|path| is_python_test(path)).collect();
    let manifest = MANIFESTS.iter().find(|path| tree.has(path));
    if manifest.is_none() && tests.is_empty() {
        return None;
    }
    let pytest = uses_pytest(tree, &tests);
    let setup = setup(tree, pytest);
    let python = if setup.is_some() { ".venv/bin/python" } else { "python3" };
    let steps = Steps { setup: setup.map(|script| online(&["sh", "-c", &script])), build: None, lint: None };
    let name = format!("Python ({}, {})", if pytest { "pytest" } else { "unittest" }, manifest.unwrap_or(&"tests"));
    if tests.is_empty() {
        let reason = "it has no test_*.py or *_test.py".to_owned();
        let example = with(steps, python, &["-m", "pytest", "-rA"], Format::Pytest);
        return Some(Seen { name, found: Err(Untestable { reason, example }) });
    }
    let plan = if pytest {
        with(steps, python, &["-m", "pytest", "-rA"], Format::Pytest)
    } else {
        let mut arguments = vec!["-m", "unittest", "discover", "-v"];
        // From the root, unittest looks only into packages.
        if tests.iter().all(|path| path.starts_with("tests/")) && !tree.has("tests/__init__.py") {
            arguments.extend(["-s", "tests"]);
        }
        with(steps, python, &arguments, Format::Unittest)
    };
    Some(Seen { name, found: Ok(plan) })
}

fn with(steps: Steps, python: &str, arguments: &[&str], format: Format) -> Plan {
    let command: Vec<&str> = std::iter::once(python).chain(arguments.iter().copied()).collect();
    let mut plan = plan(steps, &command, format);
    plan.test.step = offline(&command);
    plan
}

fn is_python_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".py").is_some_and(|stem| stem.starts_with("test_") || stem.ends_with("_test"))
}

fn uses_pytest(tree: &Tree<'_>, tests: &[&str]) -> bool {
    let configured = tree.has("pytest.ini")
        || tree.has(".pytest.ini")
        || tree.paths.iter().any(|path| path == "conftest.py" || path.ends_with("/conftest.py"));
    let mentioned = MANIFESTS.iter().chain(&TEST_REQUIREMENTS).any(|path| {
        let text = tree.text(path).unwrap_or_default();
        text.lines().any(|line| line.split('#').next().unwrap_or("").contains("pytest"))
    });
    configured || mentioned || {
        let texts: Vec<String> = tests.iter().take(TESTS_READ_MAX).filter_map(|path| tree.text(path)).collect();
        let has = |what: &str| texts.iter().any(|text| text.contains(what));
        has("import pytest")
            || (!has("unittest") && texts.iter().any(|text| text.lines().any(|line| line.starts_with("def test_"))))
    }
}

/// A script that makes a virtual environment with what the project needs; nothing when it needs nothing.
fn setup(tree: &Tree<'_>, pytest: bool) -> Option<String> {
    let lists: Vec<&str> = std::iter::once("requirements.txt")
        .chain(TEST_REQUIREMENTS)
        .filter(|path| tree.text(path).is_some_and(|text| has_requirement(&text)))
        .collect();
    let project = project_target(tree);
    if lists.is_empty() && project.is_none() {
        return None;
    }
    let mut install: Vec<String> = lists.iter().map(|list| format!("-r {list}")).collect();
    install.extend(project);
    let listed = lists.iter().any(|list| tree.text(list).is_some_and(|text| text.contains("pytest")));
    if pytest && !listed {
        install.push("pytest".to_owned());
    }
    // The environment is to stay out of every change, whatever the project ignores.
    Some(format!("python3 -m venv .venv && echo '*' > .venv/.gitignore && .venv/bin/pip install {}", install.join(" ")))
}

fn has_requirement(text: &str) -> bool {
    text.lines().any(|line| !line.split('#').next().unwrap_or("").trim().is_empty())
}

/// The project itself, where `pyproject.toml` names dependencies.
fn project_target(tree: &Tree<'_>) -> Option<String> {
    let text = tree.text("pyproject.toml")?;
    let document = DeTable::parse(&text).ok()?;
    let root = document.get_ref();
    let project = table(root, "project");
    let extra = project
        .and_then(|project| table(project, "optional-dependencies"))
        .and_then(|extras| TEST_EXTRAS.into_iter().find(|name| extras.contains_key(*name)));
    let listed = project
        .and_then(|project| project.get("dependencies"))
        .is_some_and(|list| matches!(list.get_ref(), DeValue::Array(list) if !list.is_empty()));
    let poetry = table(root, "tool")
        .and_then(|tool| table(tool, "poetry"))
        .and_then(|poetry| table(poetry, "dependencies"))
        .is_some_and(|list| list.keys().any(|name| name.get_ref() != "python"));
    match extra {
        Some(extra) => Some(format!("-e '.[{extra}]'")),
        None if listed || poetry => Some("-e .".to_owned()),
        None => None,
    }
}

fn table<'a>(parent: &'a DeTable<'a>, name: &str) -> Option<&'a DeTable<'a>> {
    if let DeValue::Table(table) = parent.get(name)?.get_ref() { Some(table) } else { None }
}

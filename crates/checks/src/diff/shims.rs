//! Files that stand where the test runner, or what it loads, would be found.
//!
//! Invariant: no spec makes these right, and none is needed for honest work.

use crate::project::ProjectRules;

/// Folders that a package manager or a compiler fills.
const FILLED: [&str; 8] =
    ["node_modules", "__pycache__", ".venv", "venv", "site-packages", ".tox", ".nox", ".pytest_cache"];
/// Python modules that a runner loads by name.
const MODULES: [&str; 12] = [
    "pytest",
    "_pytest",
    "unittest",
    "pluggy",
    "iniconfig",
    "nose",
    "nose2",
    "sitecustomize",
    "usercustomize",
    "pytest_cov",
    "xdist",
    "pytest_asyncio",
];
/// Modules of Python's standard library that runners load, and that a file beside the tests would stand in for.
const STANDARD: [&str; 44] = [
    "abc",
    "argparse",
    "ast",
    "asyncio",
    "atexit",
    "bdb",
    "builtins",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "difflib",
    "enum",
    "errno",
    "faulthandler",
    "fnmatch",
    "functools",
    "gc",
    "glob",
    "importlib",
    "inspect",
    "io",
    "itertools",
    "json",
    "math",
    "operator",
    "os",
    "pathlib",
    "pdb",
    "pprint",
    "random",
    "re",
    "runpy",
    "shutil",
    "signal",
    "string",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "warnings",
];
/// Programs that a test command may call.
const PROGRAMS: [&str; 36] = [
    "jest",
    "vitest",
    "mocha",
    "ava",
    "tape",
    "tap",
    "cargo",
    "cargo-nextest",
    "cargo-test",
    "rustc",
    "go",
    "gofmt",
    "node",
    "npm",
    "npx",
    "pnpm",
    "yarn",
    "tsx",
    "python",
    "python3",
    "pip",
    "pytest",
    "py.test",
    "tox",
    "nox",
    "make",
    "mvn",
    "gradle",
    "java",
    "javac",
    "sh",
    "bash",
    "env",
    "git",
    "uv",
    "poetry",
];
/// Folders that are often on the path.
const PATH_FOLDERS: [&str; 6] = ["", "bin", ".bin", "sbin", ".local/bin", "local/bin"];
/// Endings that a program may have.
const PROGRAM_ENDINGS: [&str; 5] = ["", ".sh", ".exe", ".cmd", ".bat"];
/// Packages of Java that hold runners.
const PACKAGES: [&str; 5] = ["/org/junit/", "/junit/framework/", "/org/testng/", "/org/assertj/", "/org/hamcrest/"];

/// What a path stands in for, if anything.
pub(super) fn shim(path: &str) -> Option<&'static str> {
    let lower = path.to_ascii_lowercase();
    let (folder, name) = lower.rsplit_once('/').unwrap_or(("", &lower));
    if lower.split('/').any(|part| FILLED.contains(&part)) || lower.contains("/.bin/") {
        return Some("is in a folder that a package manager fills");
    }
    if name.ends_with(".pth") || name.ends_with(".pyc") || name.ends_with(".pyo") || name.ends_with(".egg-link") {
        return Some("is loaded by Python before the tests");
    }
    if PACKAGES.iter().any(|package| format!("/{lower}").contains(package)) {
        return Some("stands in the place of the test framework");
    }
    if is_module(folder, name) {
        return Some("stands in the place of a Python module that the test runner loads");
    }
    let program =
        PROGRAM_ENDINGS.iter().any(|ending| name.strip_suffix(ending).is_some_and(|stem| PROGRAMS.contains(&stem)));
    (program && PATH_FOLDERS.contains(&folder)).then_some("has the name of a program that tests are run with")
}

fn is_module(folder: &str, name: &str) -> bool {
    let stem = ["py", "so", "pyi", "pyd"].iter().find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
    let Some(stem) = stem else { return false };
    let first = stem.split('.').next().unwrap_or(stem);
    let beside_tests = matches!(folder, "" | "src" | "lib" | "tests" | "test");
    let imports_first = matches!(folder, "" | "tests" | "test");
    if stem == "__init__" || stem == "__main__" {
        let (parent, package) = folder.rsplit_once('/').unwrap_or(("", folder));
        return matches!(parent, "" | "src" | "lib" | "tests" | "test") && MODULES.contains(&package)
            || matches!(parent, "" | "tests" | "test") && STANDARD.contains(&package);
    }
    let in_package = folder.split('/').any(|part| matches!(part, "_pytest" | "pluggy"))
        || folder == "pytest"
        || folder == "unittest";
    let always = matches!(first, "sitecustomize" | "usercustomize" | "_pytest");
    always || in_package || beside_tests && MODULES.contains(&first) || imports_first && STANDARD.contains(&first)
}

/// Whether the project's own commands name this path: a program or a script of theirs.
pub(super) fn is_run(rules: &ProjectRules, path: &str) -> bool {
    let steps = [&rules.steps.setup, &rules.steps.build, &rules.steps.lint];
    let commands = steps.into_iter().flatten().chain([&rules.test.step]).map(|step| &step.command);
    commands.flatten().any(|argument| {
        argument
            .split(|c: char| c.is_whitespace() || ";&|()<>\"'`=".contains(c))
            .any(|word| word.strip_prefix("./").unwrap_or(word) == path)
    })
}

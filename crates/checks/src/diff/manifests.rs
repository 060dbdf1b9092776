//! The parts of a manifest that decide how tests are run.
//!
//! Invariant: a manifest that the spec names may change, these parts of it may not; one that can't be read any more counts as changed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ChangedFile;

/// Keys of `package.json` that configure runners, or replace what is installed.
const PACKAGE_KEYS: [&str; 14] = [
    "jest",
    "vitest",
    "mocha",
    "ava",
    "nyc",
    "c8",
    "tap",
    "babel",
    "overrides",
    "resolutions",
    "pnpm",
    "imports",
    "packageManager",
    "playwright",
];
/// Scripts that run with the tests, or at installation.
const SCRIPTS: [&str; 12] = [
    "test",
    "pretest",
    "posttest",
    "prepare",
    "prepublish",
    "preprepare",
    "postprepare",
    "preinstall",
    "install",
    "postinstall",
    "vitest",
    "jest",
];
/// Packages that run tests.
const RUNNERS: [&str; 14] = [
    "jest",
    "vitest",
    "mocha",
    "ava",
    "tape",
    "tap",
    "chai",
    "ts-jest",
    "babel-jest",
    "expect",
    "jest-environment-jsdom",
    "tsx",
    "c8",
    "nyc",
];
/// Tables of `package.json` with dependencies.
const DEPENDENCIES: [&str; 4] = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
/// Keys of `Cargo.toml` that decide which tests are built, and from what.
const CARGO_KEYS: [&str; 14] = [
    "profile.test",
    "profile.dev.package",
    "test",
    "lib.test",
    "lib.harness",
    "lib.doctest",
    "lib.path",
    "package.autotests",
    "package.build",
    "package.metadata.nextest",
    "patch",
    "replace",
    "workspace.exclude",
    "workspace.default-members",
];
/// What stands before a member of a Cargo workspace.
const MEMBER: &str = "workspace.members.";
/// Keys of `pyproject.toml`.
const PYTHON_KEYS: [&str; 8] = [
    "tool.pytest",
    "tool.tox",
    "tool.nox",
    "tool.coverage",
    "tool.hatch.envs",
    "project.entry-points.pytest11",
    "build-system",
    "tool.poetry.plugins",
];
/// Words in `pom.xml` that decide which tests run.
const MAVEN: [&str; 10] = [
    "skip",
    "surefire",
    "failsafe",
    "testfailureignore",
    "<exclude",
    "<include",
    "testsourcedirectory",
    "junit-platform",
    "<groups>",
    "failifnotests",
];
/// Words in a Gradle file that decide the same.
const GRADLE: [&str; 10] = [
    "tasks.test",
    "test {",
    "test{",
    "usejunit",
    "usetestng",
    "ignorefailures",
    "enabled",
    "onlyif",
    "filter",
    "exclude",
];

/// What is wrong with the change of a manifest, if anything: the parts that steer tests changed.
pub(super) fn judge(change: &ChangedFile, named: bool) -> Option<String> {
    let name = change.path.rsplit('/').next().unwrap_or(&change.path);
    // A new manifest can't take anything away; where the spec does not name it, its class refuses it.
    let old = change.old_text()?;
    let parts: fn(&str) -> Option<BTreeMap<String, String>> = match name.to_ascii_lowercase().as_str() {
        "package.json" => package,
        "cargo.toml" => cargo,
        "pyproject.toml" => |text| chosen(text, &PYTHON_KEYS),
        "setup.cfg" | "tox.ini" => |text| Some(sections(text)),
        "pom.xml" => |text| Some(lines_with(text, &MAVEN)),
        "build.gradle" | "build.gradle.kts" => |text| Some(lines_with(text, &GRADLE)),
        "makefile" | "gnumakefile" => |text| Some(make(text)),
        "go.mod" => |text| Some(lines_with(text, &["replace", "=>", "toolchain"])),
        _ => return None,
    };
    let before = parts(old)?;
    let mend = "put that part back; a story does not change how its own tests are run";
    let Some(new) = change.new_text() else {
        return named.then(|| format!("is gone, and with it how tests are run; {mend}"));
    };
    let Some(after) = parts(new) else { return Some(format!("can't be read any more; {mend}")) };
    // Members of a workspace may be added, but none may go.
    let added = after.keys().filter(|key| !key.starts_with(MEMBER));
    let changed = before.keys().chain(added).find(|key| before.get(*key) != after.get(*key))?;
    Some(format!("changes `{}`; {mend}", damascus_core::display::one_line(changed, 60)))
}

fn package(text: &str) -> Option<BTreeMap<String, String>> {
    let manifest: Value = serde_json::from_str(text).ok()?;
    let mut found = BTreeMap::new();
    for key in PACKAGE_KEYS {
        if let Some(value) = manifest.get(key) {
            found.insert(key.to_owned(), value.to_string());
        }
    }
    for (name, script) in manifest.get("scripts").and_then(Value::as_object).into_iter().flatten() {
        if SCRIPTS.contains(&name.as_str()) || name.starts_with("test:") || name.starts_with("test-") {
            found.insert(format!("scripts.{name}"), script.to_string());
        }
    }
    for table in DEPENDENCIES {
        for (name, version) in manifest.get(table).and_then(Value::as_object).into_iter().flatten() {
            let runner = RUNNERS.contains(&name.as_str()) || name.starts_with("@vitest/") || name.starts_with("@jest/");
            // Such a package can bring any program under any name.
            let elsewhere = ["file:", "link:", "npm:", "git", "http", "portal:", "patch:"];
            let replaced =
                version.as_str().is_some_and(|version| elsewhere.iter().any(|start| version.starts_with(start)));
            if runner || replaced {
                found.insert(format!("{table}.{name}"), version.to_string());
            }
        }
    }
    Some(found)
}

fn cargo(text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = chosen(text, &CARGO_KEYS)?;
    let root = text.parse::<toml::Table>().ok()?;
    for name in ["bin", "example", "bench"] {
        for target in root.get(name).and_then(toml::Value::as_array).into_iter().flatten() {
            for key in ["test", "harness", "doctest"] {
                if let Some(value) = target.get(key) {
                    let of = target.get("name").and_then(toml::Value::as_str).unwrap_or("");
                    found.insert(format!("{name}.{of}.{key}"), value.to_string());
                }
            }
        }
    }
    let members = root.get("workspace").and_then(|workspace| workspace.get("members")).and_then(toml::Value::as_array);
    for member in members.into_iter().flatten().filter_map(toml::Value::as_str) {
        found.insert(format!("{MEMBER}{member}"), String::new());
    }
    Some(found)
}

/// The values at dotted keys.
fn chosen(text: &str, keys: &[&str]) -> Option<BTreeMap<String, String>> {
    let root = toml::Value::Table(text.parse::<toml::Table>().ok()?);
    let at = |key: &str| key.split('.').try_fold(&root, |value, part| value.get(part)).map(ToString::to_string);
    Some(keys.iter().filter_map(|key| Some(((*key).to_owned(), at(key)?))).collect())
}

/// Sections of an INI file that configure tests.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let tests = ["pytest", "testenv", "tox", "unittest", "coverage", "test"];
        if tests
            .iter()
            .any(|word| section.trim_matches(['[', ']']).starts_with(word) || section.contains("tool:pytest"))
        {
            let text = found.entry(section.clone()).or_default();
            text.push_str(line);
            text.push('\n');
        }
    }
    found
}

/// Lines that hold one of `words`, with their counts.
fn lines_with(text: &str, words: &[&str]) -> BTreeMap<String, String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines().map(|line| line.trim().to_lowercase()) {
        if words.iter().any(|word| line.contains(word)) {
            *counts.entry(line).or_default() += 1;
        }
    }
    counts.into_iter().map(|(line, count)| (line, count.to_string())).collect()
}

/// The targets that test, and what decides how every recipe runs.
fn make(text: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut target = String::new();
    for line in text.lines() {
        let rule = !line.starts_with(char::is_whitespace);
        if rule {
            target = line.split(':').next().unwrap_or("").trim().to_owned();
        }
        let tests = target.split_whitespace().any(|one| one.starts_with("test") || one == "check");
        let steers = rule
            && ["SHELL", ".SHELLFLAGS", "include", "-include", "MAKEFLAGS", "export"]
                .iter()
                .any(|w| line.starts_with(w));
        if (tests || steers) && !line.trim().is_empty() {
            let text = found.entry(if steers { line.to_owned() } else { target.clone() }).or_default();
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    found
}

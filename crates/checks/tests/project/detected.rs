//! Rules from listings of the usual ecosystems.

use std::collections::{BTreeMap, BTreeSet};

use damascus_checks::project::{NothingDetected, ProjectRules, RuleSource, Step, detect, parse, to_toml};
use damascus_checks::report::Format;

fn look(files: &[(&str, &str)]) -> Result<ProjectRules, NothingDetected> {
    let texts: BTreeMap<String, String> =
        files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
    let paths: BTreeSet<String> = texts.keys().cloned().collect();
    detect(&paths, &|path| texts.get(path).cloned())
}

fn line(step: &Step) -> String {
    format!("{}{}", if step.network { "net: " } else { "" }, step.command.join(" "))
}

/// Steps in order, then the test and its format.
fn shown(rules: &ProjectRules) -> Vec<String> {
    let steps = [&rules.steps.setup, &rules.steps.build, &rules.steps.lint];
    let test = &rules.test;
    let report =
        format!("{}{}", test.format, test.report_file.as_ref().map(|file| format!(" {file}")).unwrap_or_default());
    steps.into_iter().flatten().map(line).chain([line(&test.step), report]).collect()
}

type Listing = &'static [(&'static str, &'static str)];

const LISTINGS: &[(&str, Listing, &[&str])] = &[
    (
        "Rust with a lock file",
        &[("Cargo.toml", "[package]\nname = \"a\"\n"), ("Cargo.lock", "source = \"registry\"\n")],
        &[
            "net: cargo fetch --locked",
            "cargo build --all-targets --locked --offline",
            "cargo test --no-fail-fast --locked --offline",
            "cargo_test",
        ],
    ),
    (
        "a Rust workspace without dependencies",
        &[("Cargo.toml", "[workspace]\nmembers = [\"a\"]\n"), ("Cargo.lock", "version = 4\n")],
        &[
            "cargo build --all-targets --workspace --locked --offline",
            "cargo test --no-fail-fast --workspace --locked --offline",
            "cargo_test",
        ],
    ),
    (
        "Rust without a lock file",
        &[("Cargo.toml", "[dependencies]\nserde = \"1\"\n")],
        &[
            "net: cargo fetch",
            "cargo build --all-targets --offline",
            "cargo test --no-fail-fast --offline",
            "cargo_test",
        ],
    ),
    (
        "Go",
        &[("go.mod", "module a\n\nrequire b v1\n")],
        &["net: go mod download", "go build ./...", "go vet ./...", "go test -json ./...", "go_test"],
    ),
    (
        "Go without dependencies",
        &[("go.mod", "module a\n")],
        &["go build ./...", "go vet ./...", "go test -json ./...", "go_test"],
    ),
    (
        "npm and vitest",
        &[
            ("package.json", r#"{"scripts":{"test":"vitest run"},"devDependencies":{"vitest":"3"}}"#),
            ("package-lock.json", "{}"),
        ],
        &["net: npm ci", "npm test -- --reporter=verbose", "vitest"],
    ),
    (
        "pnpm, a build, and jest behind other words",
        &[
            (
                "package.json",
                r#"{"scripts":{"build":"tsc","test":"tsc && NODE_ENV=test npx jest"},"dependencies":{"a":"1"}}"#,
            ),
            ("pnpm-lock.yaml", ""),
        ],
        &["net: pnpm install --frozen-lockfile", "pnpm run build", "pnpm test --ci --verbose", "jest"],
    ),
    (
        "node's own runner, no dependencies",
        &[("package.json", r#"{"scripts":{"test":"node --test"}}"#)],
        &["npm test", "node"],
    ),
    (
        "yarn and mocha",
        &[("package.json", r#"{"scripts":{"test":"mocha"},"devDependencies":{"mocha":"1"}}"#), ("yarn.lock", "")],
        &["net: yarn install --frozen-lockfile", "yarn test --reporter=tap", "tap"],
    ),
    (
        "a script that runs another",
        &[("package.json", r#"{"scripts":{"test":"npm run test:unit","test:unit":"vitest run"}}"#)],
        &["npm test", "vitest"],
    ),
    (
        "pytest, configured",
        &[("pyproject.toml", "[tool.pytest.ini_options]\n"), ("tests/test_a.py", "def test_a(): pass\n")],
        &["python3 -m pytest -rA", "pytest"],
    ),
    (
        "pytest with requirements",
        &[("requirements.txt", "attrs\n"), ("requirements-dev.txt", "pytest\n"), ("tests/test_a.py", "")],
        &[
            "net: sh -c python3 -m venv .venv && echo '*' > .venv/.gitignore && .venv/bin/pip install -r requirements.txt -r requirements-dev.txt",
            ".venv/bin/python -m pytest -rA",
            "pytest",
        ],
    ),
    (
        "a project with dependencies and an extra",
        &[
            (
                "pyproject.toml",
                "[project]\ndependencies = [\"attrs\"]\n[project.optional-dependencies]\ntest = [\"pytest\"]\n",
            ),
            ("tests/test_a.py", ""),
        ],
        &[
            "net: sh -c python3 -m venv .venv && echo '*' > .venv/.gitignore && .venv/bin/pip install -e '.[test]' pytest",
            ".venv/bin/python -m pytest -rA",
            "pytest",
        ],
    ),
    (
        "unittest in a package",
        &[("tests/__init__.py", ""), ("tests/test_a.py", "import unittest\n")],
        &["python3 -m unittest discover -v", "unittest"],
    ),
    (
        "unittest in a folder",
        &[("tests/test_a.py", "import unittest\n")],
        &["python3 -m unittest discover -v -s tests", "unittest"],
    ),
    (
        "Maven",
        &[("pom.xml", "<project/>")],
        &[
            "net: mvn -q -B dependency:go-offline",
            "mvn -q -B -o test-compile",
            "mvn -q -B -o test",
            "junit target/surefire-reports/TEST-*.xml",
        ],
    ),
    (
        "Gradle with its wrapper",
        &[("build.gradle.kts", ""), ("gradlew", "")],
        &[
            "net: ./gradlew --no-daemon --quiet testClasses",
            "./gradlew --no-daemon --quiet --offline testClasses",
            "./gradlew --no-daemon --offline test",
            "junit build/test-results/test/TEST-*.xml",
        ],
    ),
    (
        "make that runs pytest",
        &[("Makefile", "all:\n\nTEST = 1\ntest: all\n\t@python3 -m pytest\n")],
        &["make test", "pytest"],
    ),
];

#[test]
fn the_usual_ecosystems_are_known() {
    for (what, files, expected) in LISTINGS {
        let rules = look(files).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(shown(&rules), *expected, "{what}");
        // What was detected can be kept, and tests alike.
        let kept = parse(&to_toml(&rules)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(kept.sha256(), rules.sha256(), "{what}");
        assert_eq!(ProjectRules { source: rules.source.clone(), ..kept }, rules, "{what}");
        // Nothing but the setup has a network.
        assert!(!rules.test.step.network && rules.steps.build.is_none_or(|step| !step.network), "{what}");
    }
}

#[test]
fn nothing_without_a_test_is_detected() {
    let table: &[(Listing, &str)] = &[
        (&[("README.md", "")], "no manifest"),
        (
            &[("package.json", r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#)],
            "no test script",
        ),
        (&[("package.json", "{}")], "no test script"),
        (&[("package.json", "{")], "no JSON"),
        (&[("package.json", r#"{"scripts":{"test":"./run.sh"}}"#)], "no known runner (`./run.sh`)"),
        (&[("package.json", r#"{"scripts":{"test":"vitest run | tee out"}}"#)], "no known runner"),
        (&[("package.json", r#"{"scripts":{"test":"npm run test"}}"#)], "no known runner"),
        (&[("Makefile", "test:\n\t./run.sh\n")], "`make test` does not tell how its tests report (./run.sh)"),
        (&[("Makefile", "test:\n\tpython3 -m pytest | tee out\n")], "does not tell"),
        (&[("Makefile", "all:\n")], "no target named test"),
        (&[("pyproject.toml", "[project]\nname = \"a\"\n")], "no test_*.py"),
        (&[("web/package.json", r#"{"scripts":{"test":"vitest"}}"#)], "no manifest"),
    ];
    for (files, reason) in table {
        let error = look(files).err().unwrap_or_else(|| panic!("{files:?} was detected"));
        let text = error.to_string();
        assert!(text.contains(reason), "{files:?}: {text}");
        assert!(text.contains("Cargo.toml") && text.contains(".damascus.toml"), "{text}");
        let example = parse(&error.example).unwrap_or_else(|fault| panic!("{files:?}: {fault}\n{}", error.example));
        assert!(matches!(example.test.format, Format::ExitCode | Format::Pytest), "{files:?}");
    }
}

#[test]
fn several_ecosystems_have_an_order_and_are_all_told() {
    let rules = look(&[
        ("Cargo.toml", ""),
        ("package.json", r#"{"scripts":{"test":"vitest"}}"#),
        ("requirements.txt", "a\n"),
        ("Makefile", "test:\n\tcargo test && npm test\n"),
    ])
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.test.format, Format::CargoTest);
    let source = rules.source.to_string();
    for part in [
        "detected: Rust (Cargo.toml)",
        "Node (package.json, npm)",
        "Python (unittest, requirements.txt): it has no",
        "make (Makefile): ",
    ] {
        assert!(source.contains(part), "{source}");
    }
    let rules =
        look(&[("package.json", r#"{"devDependencies":{"prettier":"3"}}"#), ("test_a.py", "import unittest\n")])
            .unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(rules.source, RuleSource::Detected { ref ecosystem, .. } if ecosystem.starts_with("Python")));
}

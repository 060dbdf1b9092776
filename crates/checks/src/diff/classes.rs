//! Files that are not a story's to change: what tests, builds, lands or hides changes.
//!
//! Invariant: names are compared without regard to case, since some file systems are; where two classes fit, the graver one is told.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Rule;

/// Names of one class, anywhere in the tree unless they begin with `/`.
struct Class {
    rule: Rule,
    names: &'static [&'static str],
}

const CLASSES: &[Class] = &[
    Class { rule: Rule::OwnRules, names: &["/.damascus.toml", "/.damascus", "/.damascus/**"] },
    Class { rule: Rule::Attributes, names: &[".gitattributes", ".gitconfig", ".lfsconfig"] },
    Class { rule: Rule::Submodule, names: &[".gitmodules"] },
    Class {
        rule: Rule::Hook,
        names: &[
            ".husky/**",
            ".githooks/**",
            ".git-hooks/**",
            ".pre-commit-config.yaml",
            ".pre-commit-config.yml",
            ".pre-commit-hooks.yaml",
            "lefthook.{yml,yaml,toml,json}",
            ".lefthook.{yml,yaml,toml,json}",
            "lefthook-local.{yml,yaml,toml,json}",
            ".lefthook/**",
            ".overcommit.yml",
            ".huskyrc*",
            ".simple-git-hooks.*",
            "simple-git-hooks.*",
            "/hooks/{pre,post}-*",
            "commitlint.config.*",
        ],
    },
    Class {
        rule: Rule::Ci,
        names: &[
            "/.github/**",
            "/.gitea/**",
            "/.forgejo/**",
            "/.gitlab/**",
            "/.gitlab-ci.{yml,yaml}",
            "/.woodpecker*",
            "/.woodpecker/**",
            "/.drone.{yml,yaml,jsonnet,star}",
            "/Jenkinsfile*",
            "/.circleci/**",
            "/azure-pipelines*",
            "/.azure-pipelines/**",
            "/.travis.yml",
            "/appveyor.yml",
            "/.appveyor.yml",
            "/bitbucket-pipelines.yml",
            "/.buildkite/**",
            "/.ci/**",
            "/.cirrus.*",
            "/.builds/**",
            "/.build.yml",
            "/.semaphore/**",
            "/.teamcity/**",
            "/buildspec.yml",
            "/cloudbuild.yaml",
            "/codecov.yml",
            "/.codecov.yml",
        ],
    },
    Class {
        rule: Rule::LockFile,
        names: &[
            "Cargo.lock",
            "package-lock.json",
            "npm-shrinkwrap.json",
            "pnpm-lock.yaml",
            "yarn.lock",
            "bun.lock",
            "bun.lockb",
            "deno.lock",
            "poetry.lock",
            "Pipfile.lock",
            "uv.lock",
            "pdm.lock",
            "go.sum",
            "go.work.sum",
            "Gemfile.lock",
            "composer.lock",
            "gradle.lockfile",
            "mix.lock",
            "flake.lock",
            "pylock*.toml",
            "conda-lock.yml",
        ],
    },
    Class {
        rule: Rule::RunnerConfiguration,
        names: &[
            "pytest.ini",
            ".pytest.ini",
            "pytest.toml",
            ".pytest.toml",
            "conftest.py",
            "tox.ini",
            "tox.toml",
            "noxfile.py",
            ".coveragerc",
            "jest.config.*",
            "jest.setup.*",
            "jest-*.config.*",
            "jest.preset.*",
            "vitest.config.*",
            "vitest.workspace.*",
            "vitest.setup.*",
            "vite.config.*",
            ".mocharc*",
            "mocha.opts",
            "karma.conf.*",
            "playwright.config.*",
            "cypress.config.*",
            "ava.config.*",
            ".taprc",
            "babel.config.*",
            ".babelrc*",
            ".swcrc",
            "bunfig.toml",
            ".nycrc*",
            ".c8rc*",
            ".npmrc",
            ".yarnrc*",
            ".yarn/**",
            ".pnpmfile.*",
            "node.config.json",
            "/.cargo/**",
            ".cargo/**",
            "nextest.toml",
            ".config/nextest.toml",
            "rust-toolchain*",
            ".mvn/**",
            "mvnw",
            "mvnw.cmd",
            "gradlew",
            "gradlew.bat",
            "gradle/wrapper/**",
            "gradle.properties",
            "junit-platform.properties",
            "testng.xml",
            "go.work",
            ".env",
            ".env.test",
            ".envrc",
            "pip.conf",
        ],
    },
    Class {
        rule: Rule::Protected,
        names: &[
            "package.json",
            "Cargo.toml",
            "pyproject.toml",
            "setup.cfg",
            "setup.py",
            "requirements*.txt",
            "constraints*.txt",
            "Pipfile",
            "go.mod",
            "pom.xml",
            "build.gradle*",
            "settings.gradle*",
            "Makefile",
            "GNUmakefile",
            "tsconfig*.json",
            "jsconfig.json",
            "pnpm-workspace.yaml",
            "lerna.json",
            "nx.json",
            "turbo.json",
            "deno.{json,jsonc}",
            ".python-version",
            ".nvmrc",
            ".node-version",
            ".tool-versions",
            "mise.toml",
            ".mise.toml",
            "Justfile",
            "Taskfile.yml",
            "Rakefile",
            "Gemfile",
            "CMakeLists.txt",
            "build.rs",
        ],
    },
];

/// Folders whose files play at being a project for tests.
const SAMPLES: [&str; 5] = ["fixtures", "__fixtures__", "testdata", "test-data", "samples"];

static SETS: LazyLock<Vec<(Rule, Option<GlobSet>)>> =
    LazyLock::new(|| CLASSES.iter().map(|class| (class.rule, set(class.names))).collect());

fn set(names: &[&str]) -> Option<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for name in names {
        let pattern = name.strip_prefix('/').map_or_else(|| format!("**/{name}"), str::to_owned);
        builder.add(GlobBuilder::new(&pattern).literal_separator(true).case_insensitive(true).build().ok()?);
    }
    builder.build().ok()
}

/// The class of a path, if it has one.
pub(super) fn class(path: &str) -> Option<Rule> {
    // A set that can't be made protects everything.
    let found = SETS.iter().find(|(_, set)| set.as_ref().is_none_or(|set| set.is_match(path)));
    let rule = found.map(|(rule, _)| *rule)?;
    let sample = path.split('/').rev().skip(1).any(|folder| SAMPLES.contains(&folder));
    let harmless = matches!(rule, Rule::LockFile | Rule::Protected | Rule::RunnerConfiguration);
    let loaded = super::conventions::is_conftest(path);
    // A module of the source may be called build.rs; cargo runs the one beside the manifest.
    let module = path.ends_with("/build.rs") && path.split('/').any(|folder| folder == "src") || path == "src/build.rs";
    let exempt = module || sample && harmless && !loaded;
    (!exempt).then_some(rule)
}

/// Whether a path locks versions, for the tools of some ecosystem to keep up to date.
#[must_use]
pub fn is_lock_file(path: &str) -> bool {
    class(path) == Some(Rule::LockFile)
}

/// What a class is, and how to mend it.
pub(super) fn advice(rule: Rule) -> &'static str {
    match rule {
        Rule::OwnRules => "holds Damascus's own rules, which no story changes; put it back",
        Rule::Attributes => "steers what git shows and runs; put it back",
        Rule::Submodule => "steers submodules; put it back",
        Rule::Hook => "runs by itself at git commands; put it back, or let the spec name this very file",
        Rule::Ci => "steers continuous integration; put it back, or let the spec name this very file",
        Rule::LockFile => "locks versions; put it back, or let the spec name this very file",
        Rule::RunnerConfiguration => "steers how tests are run; put it back, or let the spec name this very file",
        _ => "steers the build, and the spec does not name this very file; put it back",
    }
}

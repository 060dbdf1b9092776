//! Which files are tests, and in which language, by the conventions of the ecosystems.
//!
//! Invariant: decided by the path alone, so that the two sides of a change agree.

/// Folders in which everything is a test, or something that tests compare with.
const TEST_FOLDERS: [&str; 12] = [
    "tests",
    "test",
    "__tests__",
    "__snapshots__",
    "__fixtures__",
    "testdata",
    "test-data",
    "e2e",
    "cypress",
    "snapshots",
    "androidtest",
    "integration-tests",
];
/// Endings of what is in such a folder and still no test.
const NO_TESTS: [&str; 6] = [".md", ".rst", ".adoc", ".gitignore", ".gitkeep", ".keep"];

/// A language whose tests can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Language {
    Rust,
    Python,
    /// JavaScript and TypeScript.
    Script,
    Go,
    /// Java and Kotlin.
    Java,
    /// Code of some other language: words that assert are counted, and nothing else.
    Other,
}

/// The language of a file; nothing where it holds data or words.
pub(super) fn language(path: &str) -> Option<Language> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "rs" => Language::Rust,
        "py" | "pyi" => Language::Python,
        "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts" => Language::Script,
        "go" => Language::Go,
        "java" | "kt" | "kts" | "groovy" => Language::Java,
        "rb" | "php" | "cs" | "swift" | "scala" | "c" | "cc" | "cpp" | "h" | "hpp" | "ex" | "exs" | "sh" | "bats"
        | "lua" | "dart" | "zig" => Language::Other,
        _ => return None,
    })
}

/// Whether a path is a test, or something that tests compare with, by the conventions of the ecosystems.
#[must_use]
pub fn is_test_file(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    if NO_TESTS.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    let mut folders = lower.split('/').rev().skip(1);
    if is_snapshot(path) || folders.any(|folder| TEST_FOLDERS.contains(&folder)) || lower.contains("src/test/") {
        return true;
    }
    let original = path.rsplit('/').next().unwrap_or(path);
    is_test_name(original, name, language(path))
}

/// Whether a file is a test by its own name, in a language whose tests are read; not a script that runs tests.
pub(super) fn is_test_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let language = language(path);
    language != Some(Language::Other) && is_test_name(name, &name.to_ascii_lowercase(), language)
}

fn is_test_name(name: &str, lower: &str, language: Option<Language>) -> bool {
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let lower_stem = lower.rsplit_once('.').map_or(lower, |(stem, _)| stem);
    match language {
        Some(Language::Rust) => {
            matches!(stem, "tests" | "test")
                || stem.ends_with("_test")
                || stem.ends_with("_tests")
                || stem.starts_with("test_")
        }
        Some(Language::Python) => {
            stem.starts_with("test_") || stem.ends_with("_test") || matches!(stem, "tests" | "test")
        }
        Some(Language::Script) => {
            let parts = [".test", ".spec", "-test", "_test", ".e2e", "-spec", "_spec", ".cy"];
            parts.iter().any(|part| lower_stem.ends_with(part))
                || matches!(lower_stem, "test" | "tests")
                || lower_stem.starts_with("test-")
                || lower_stem.starts_with("test_")
        }
        Some(Language::Go) => stem.ends_with("_test"),
        Some(Language::Java) => {
            stem.ends_with("Test")
                || stem.ends_with("Tests")
                || stem.ends_with("IT")
                || stem.ends_with("Spec")
                || stem.starts_with("Test") && stem.chars().nth(4).is_some_and(char::is_uppercase)
        }
        Some(Language::Other) => {
            let parts = ["_test", "_spec", "test", "tests", "-test"];
            lower.ends_with(".bats")
                || lower_stem.starts_with("test_")
                || parts.iter().any(|part| lower_stem.ends_with(part))
        }
        None => false,
    }
}

/// Whether it holds what a test expects, as a runner recorded it.
pub(super) fn is_snapshot(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.ends_with(".snap")
        || lower.ends_with(".snap.new")
        || lower.ends_with(".ambr")
        || lower.split('/').any(|folder| folder == "__snapshots__")
}

/// Whether it is pytest's `conftest.py`.
pub(super) fn is_conftest(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.eq_ignore_ascii_case("conftest.py"))
}

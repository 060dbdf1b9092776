//! Rust, Go and Java, whose manifests state the whole project.
//!
//! Invariant: only the step that fetches has a network.

use toml::de::DeTable;

use super::{Plan, Seen, Steps, Tree, offline, online, plan};
use crate::report::Format;

/// Rust by `Cargo.toml`.
pub(super) fn rust(tree: &Tree<'_>) -> Option<Seen> {
    let manifest = tree.text("Cargo.toml")?;
    let lock = tree.text("Cargo.lock");
    let document = DeTable::parse(&manifest).ok();
    let table = |name: &str| document.as_ref().is_some_and(|document| document.get_ref().contains_key(name));
    let locked = if tree.has("Cargo.lock") { Some("--locked") } else { None };
    // A package beside members tests only itself unless told.
    let whole = if table("workspace") { Some("--workspace") } else { None };
    let with = |words: &[&'static str]| -> Vec<&'static str> {
        words.iter().copied().chain(whole).chain(locked).chain(["--offline"]).collect()
    };
    let needs_crates = match &lock {
        Some(lock) => lock.contains("source = "),
        None => {
            let named =
                |table: &str| manifest.contains(&format!("{table}]")) || manifest.contains(&format!("{table}."));
            named("dependencies") || table("workspace")
        }
    };
    let fetch: Vec<&str> = ["cargo", "fetch"].into_iter().chain(locked).collect();
    let steps = Steps {
        setup: needs_crates.then(|| online(&fetch)),
        build: Some(offline(&with(&["cargo", "build", "--all-targets"]))),
        lint: None,
    };
    // Without it, a failing test target hides the tests of the next.
    let test = plan(steps, &with(&["cargo", "test", "--no-fail-fast"]), Format::CargoTest);
    Some(Seen { name: "Rust (Cargo.toml)".to_owned(), found: Ok(test) })
}

/// Go by `go.mod`.
pub(super) fn go(tree: &Tree<'_>) -> Option<Seen> {
    let manifest = tree.text("go.mod")?;
    let needs_modules = !tree.has("vendor/modules.txt")
        && manifest.lines().any(|line| line.split("//").next().unwrap_or("").trim_start().starts_with("require"));
    let steps = Steps {
        setup: needs_modules.then(|| online(&["go", "mod", "download"])),
        build: Some(offline(&["go", "build", "./..."])),
        lint: Some(offline(&["go", "vet", "./..."])),
    };
    let test = plan(steps, &["go", "test", "-json", "./..."], Format::GoTest);
    Some(Seen { name: "Go (go.mod)".to_owned(), found: Ok(test) })
}

/// Java by `pom.xml`.
pub(super) fn maven(tree: &Tree<'_>) -> Option<Seen> {
    if !tree.has("pom.xml") {
        return None;
    }
    let program = if tree.has("mvnw") { "./mvnw" } else { "mvn" };
    let steps = Steps {
        setup: Some(online(&[program, "-q", "-B", "dependency:go-offline"])),
        build: Some(offline(&[program, "-q", "-B", "-o", "test-compile"])),
        lint: None,
    };
    let mut test = plan(steps, &[program, "-q", "-B", "-o", "test"], Format::Junit);
    test.test.report_file = Some("target/surefire-reports/TEST-*.xml".to_owned());
    Some(Seen { name: "Java (pom.xml)".to_owned(), found: Ok(test) })
}

/// Java or Kotlin by `build.gradle`.
pub(super) fn gradle(tree: &Tree<'_>) -> Option<Seen> {
    let manifest = ["build.gradle", "build.gradle.kts"].into_iter().find(|path| tree.has(path))?;
    let program = if tree.has("gradlew") { "./gradlew" } else { "gradle" };
    let steps = Steps {
        setup: Some(online(&[program, "--no-daemon", "--quiet", "testClasses"])),
        build: Some(offline(&[program, "--no-daemon", "--quiet", "--offline", "testClasses"])),
        lint: None,
    };
    let mut test: Plan = plan(steps, &[program, "--no-daemon", "--offline", "test"], Format::Junit);
    test.test.report_file = Some("build/test-results/test/TEST-*.xml".to_owned());
    Some(Seen { name: format!("Java ({manifest})"), found: Ok(test) })
}

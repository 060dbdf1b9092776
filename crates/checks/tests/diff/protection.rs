//! What review takes from the base.

use damascus_checks::diff::{Protection, is_protected};

use crate::story::Story;

#[test]
fn the_base_keeps_what_steers_tests() {
    let story = Story::on(
        "[test]\ncommand = [\"sh\", \"ci/run.sh\", \"tests/test_a.py\"]\nreport = \"tap\"\n[protected]\npaths = [\"golden/**\"]\n",
    )
    .allow(&["package.json", "golden/new.txt", ".damascus.toml", "golden/*"]);
    let protected = [
        ".damascus.toml",
        ".damascus/prompts/spec.md",
        "pytest.ini",
        "tests/conftest.py",
        "Cargo.lock",
        "crates/a/Cargo.toml",
        ".github/workflows/ci.yml",
        ".gitattributes",
        "a/.gitattributes",
        "node_modules/a/b.js",
        "sitecustomize.py",
        "ci/run.sh",
        "golden/a.txt",
        ".husky/pre-push",
        "a/.git/config",
    ];
    let free =
        ["src/a.py", "tests/test_a.py", "package.json", "golden/new.txt", "README.md", "tests/fixtures/x/package.json"];
    for path in protected {
        assert!(is_protected(&story.rules, &story.spec, path), "{path}");
    }
    let protection = Protection::new(&story.rules, &story.spec);
    for path in free {
        assert!(!protection.covers(path), "{path}");
    }
}

#[test]
fn a_glob_of_the_project_that_can_not_be_read_protects_everything() {
    let mut story = Story::new();
    assert!(!is_protected(&story.rules, &story.spec, "src/a.py"));
    story.rules.protected.push("[".to_owned());
    assert!(is_protected(&story.rules, &story.spec, "src/a.py"));
}

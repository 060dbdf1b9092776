//! Which paths may change.

use damascus_checks::diff::{Kind, Rule, VIOLATIONS_MAX, is_test_file};

use crate::story::{Story, list};

fn rules_for(path: &str, allow: &[&str]) -> Vec<Rule> {
    let mut story = Story::new();
    story.spec.files.allow = list(allow);
    story.add(path, "a\n").rules()
}

#[test]
fn a_star_does_not_pass_a_slash() {
    assert_eq!(rules_for("src/a.py", &["src/*.py"]), []);
    assert_eq!(rules_for("src/b/a.py", &["src/*.py"]), [Rule::OutsideScope]);
    assert_eq!(rules_for("src/b/a.py", &["src/**/*.py"]), []);
    assert_eq!(rules_for("src/a.py", &["./src/a.py"]), []);
    assert_eq!(rules_for("app/[id]/a.py", &["app/[id]/a.py"]), []);
    assert_eq!(rules_for("a.py", &["[", "src/**"]), [Rule::OutsideScope]);
}

#[test]
fn created_files_and_new_tests_are_in_scope() {
    let mut story = Story::new().add("docs/a.md", "a\n").add("qa/test_a.py", "def test_a():\n    assert f()\n");
    assert_eq!(story.rules(), [Rule::OutsideScope]);
    story.spec.files.create = list(&["docs/a.md"]);
    story.spec.tests.new_files = list(&["qa/test_a.py"]);
    assert_eq!(story.rules(), []);
}

#[test]
fn what_the_spec_forbids_wins_over_what_it_names() {
    let mut story = Story::new().allow(&["src/a.py"]).edit("src/a.py", "a\n", "b\n");
    story.spec.files.forbid = list(&["src/a.*"]);
    assert_eq!(story.rules(), [Rule::Forbidden]);
    story.spec.files.forbid = list(&["docs/**"]);
    assert_eq!(story.rules(), []);
    // A glob that can't be read forbids everything.
    story.spec.files.forbid = list(&["docs/["]);
    assert_eq!(story.rules(), [Rule::Forbidden]);
}

#[test]
fn the_project_narrows_and_protects() {
    let on = |more: &str| Story::on(&format!("[test]\ncommand = [\"make\"]\nreport = \"tap\"\n{more}"));
    let scoped = || on("[scope]\nallow = [\"src/**\"]\n");
    assert_eq!(scoped().edit("src/a.py", "a\n", "b\n").rules(), []);
    assert_eq!(scoped().add("tests/a.py", "a\n").rules(), [Rule::OutsideScope]);
    let protected = || on("[protected]\npaths = [\"src/vendor/**\"]\n").edit("src/vendor/a.c", "a\n", "b\n");
    assert_eq!(protected().rules(), [Rule::Protected]);
    assert_eq!(protected().allow(&["src/vendor/a.c"]).rules(), []);
    assert_eq!(protected().allow(&["src/vendor/*.c"]).rules(), [Rule::Protected]);
}

#[test]
fn protected_classes_are_lifted_by_their_very_name_only() {
    let table = [
        ("Cargo.lock", Rule::LockFile),
        ("web/package-lock.json", Rule::LockFile),
        (".github/workflows/a.yml", Rule::Ci),
        (".gitlab-ci.yml", Rule::Ci),
        ("Jenkinsfile", Rule::Ci),
        (".pre-commit-config.yaml", Rule::Hook),
        ("lefthook.yml", Rule::Hook),
        ("pytest.ini", Rule::RunnerConfiguration),
        ("vitest.config.ts", Rule::RunnerConfiguration),
        (".cargo/config.toml", Rule::RunnerConfiguration),
        (".config/nextest.toml", Rule::RunnerConfiguration),
        (".npmrc", Rule::RunnerConfiguration),
        ("go.mod", Rule::Protected),
        ("pyproject.toml", Rule::Protected),
        ("build.rs", Rule::Protected),
        ("crates/a/build.rs", Rule::Protected),
        ("Makefile", Rule::Protected),
        ("PACKAGE.JSON", Rule::Protected),
    ];
    for (path, rule) in table {
        let story = || Story::new().allow(&["**/*", "*"]).add(path, "{}\n");
        assert_eq!(story().rules(), [rule], "{path}");
        assert_eq!(story().allow(&[path]).rules(), [], "{path}");
    }
}

#[test]
fn what_must_be_made_must_be_there() {
    let mut story = Story::new();
    story.spec.files.create = list(&["src/a.py"]);
    assert_eq!(story.rules(), [Rule::Missing]);
    assert_eq!(story.base("src/a.py").rules(), []);
    let mut made = Story::new().add("src/a.py", "a\n");
    made.spec.files.create = list(&["./src/a.py"]);
    assert_eq!(made.rules(), []);
    let mut deleted = Story::new().delete("src/a.py", "a\n");
    deleted.spec.files.create = list(&["src/a.py"]);
    assert_eq!(deleted.rules(), [Rule::Missing]);
}

#[test]
fn names_that_can_not_be_trusted_are_refused() {
    for path in
        ["src/a\u{200b}.py", "src/a\n.py", "src/a\\b.py", "/src/a.py", "src/../a.py", "src//a.py", "src/a.py ", ""]
    {
        assert!(Story::new().allow(&[path]).add(path, "a\n").rules().contains(&Rule::UnsafePath), "{path:?}");
    }
    assert_eq!(Story::new().add("src/größe 日本.py", "a\n").rules(), []);
}

#[test]
fn names_that_differ_in_case_alone_are_refused() {
    assert_eq!(Story::new().base("src/Shop.py").add("src/shop.py", "a\n").rules(), [Rule::UnsafePath]);
    assert_eq!(Story::new().add("src/Shop.py", "a\n").add("src/shop.py", "a\n").rules(), [Rule::UnsafePath]);
    assert_eq!(Story::new().delete("src/Shop.py", "a\n").add("src/shop.py", "a\n").rules(), []);
}

#[test]
fn violations_come_by_path_and_are_bounded() {
    let mut story = Story::new();
    for number in 0..VIOLATIONS_MAX + 20 {
        story = story.add(&format!("docs/{number:03}.md"), "a\n");
    }
    let found = story.add("src/z/pytest.ini", "a\n").judge();
    assert_eq!(found.len(), VIOLATIONS_MAX);
    assert!(found.windows(2).all(|pair| pair[0].path <= pair[1].path));
    let last = &found[VIOLATIONS_MAX - 1];
    assert!(last.detail.contains("22 more"), "{}", last.detail);
    // What is not told one by one is still told for what it is.
    assert_eq!(last.rule, Rule::RunnerConfiguration);
}

#[test]
fn a_deleted_shim_and_a_gone_link_do_no_harm() {
    let story = Story::new().change("src/a.pyc", Kind::Deleted, (0o100_644, 0), Some(b"a"), None);
    assert_eq!(story.rules(), []);
}

#[test]
fn tests_are_known_by_convention() {
    let tests = [
        "tests/a.rs",
        "src/tests.rs",
        "src/a_test.rs",
        "crates/a/tests/b/c.rs",
        "test_a.py",
        "a/b_test.py",
        "tests/data/a.json",
        "a.test.ts",
        "a.spec.jsx",
        "__tests__/a.js",
        "test/a.js",
        "test.js",
        "test-a.mjs",
        "a_test.go",
        "testdata/a.txt",
        "src/test/java/A.java",
        "ATest.java",
        "TestA.java",
        "AIT.java",
        "a.snap",
        "__snapshots__/a.js",
        "a_spec.rb",
        "a.bats",
    ];
    let others = [
        "src/a.rs",
        "src/latest.rs",
        "src/contest.py",
        "attest.go",
        "src/testing_tools.md",
        "tests/README.md",
        "Latest.kt.md",
        "a.js",
        "src/test_utils",
        "docs/testing.md",
        "Testament.java",
        "src/protest.ts",
        "greatest.py",
    ];
    for path in tests {
        assert!(is_test_file(path), "{path}");
    }
    for path in others {
        assert!(!is_test_file(path), "{path}");
    }
}

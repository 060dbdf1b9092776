//! Honest work, none of which is refused.

use damascus_checks::diff::Kind;
use damascus_core::spec::ChangeKind;

use crate::story::{FILE, Story};

const PYTHON: &str = "from shop import total\n\n\ndef test_adds():\n    assert total(1, 2) == 3\n";
const SCRIPT: &str = "it('adds', () => {\n  expect(total(1, 2)).toBe(3);\n});\n";
const RUST: &str = "pub fn f() -> u8 {\n    1\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() {\n        assert_eq!(super::f(), 1);\n    }\n}\n";

fn stories() -> Vec<(&'static str, Story)> {
    let new = Story::new;
    let many = |text: &str, more: &str| format!("{text}{more}");
    vec![
        ("source is edited", new().edit("src/a.py", "a = 1\n", "a = 2\n")),
        ("source speaks of skipping", new().edit("src/a.py", "a = 1\n", "def skip(n):\n    pytest.skip  # skip, ignore, todo\n")),
        ("source ends the process", new().edit("src/a.rs", "fn a() {}\n", "fn a() { std::process::exit(0) }\n")),
        ("source asserts less", new().edit("src/a.py", "assert a == 1\nassert b\n", "raise ValueError\n")),
        ("a test is added to a file", new().edit("tests/test_a.py", PYTHON, &many(PYTHON, "\n\ndef test_more():\n    assert total(2, 2) == 4\n"))),
        ("a test is added in Rust", new().edit("src/lib.rs", RUST, &RUST.replace("    #[test]", "    #[test]\n    fn two() { assert!(true_enough()); }\n\n    #[test]"))),
        ("a Rust source and its tests grow", new().edit("src/lib.rs", RUST, &RUST.replace("    1\n}\n\n#", "    assert!(cfg!(unix));\n    1\n}\n\n#"))),
        ("an assertion is added", new().edit("tests/test_a.py", PYTHON, &many(PYTHON, "    assert total(2, 2) == 4\n"))),
        ("a file of tests is new", new().add("tests/test_b.py", PYTHON)),
        ("a new test may be for one system", new().add("tests/b.rs", "#[cfg(unix)]\n#[test]\nfn a() { assert!(f()); }\n")),
        (
            "Python tests are reformatted",
            new().edit(
                "tests/test_a.py",
                "@pytest.mark.parametrize('a', [1, 2])\ndef test_a(a):\n    assert f(a) == g(a), 'no'\n",
                "@pytest.mark.parametrize(\n    \"a\",\n    [\n        1,\n        2,\n    ],\n)\ndef test_a(a):\n    assert (\n        f(a)\n        == g(a)\n    ), \"no\"\n",
            ),
        ),
        (
            "Rust tests are reformatted",
            new().edit(
                "tests/a.rs",
                "#[test] fn a() { assert_eq!(f(1, 2), 3); assert!(x == y); }\n",
                "#[test]\nfn a() {\n    assert_eq!(\n        f(1, 2),\n        3,\n    );\n    assert!(\n        x == y\n    );\n}\n",
            ),
        ),
        (
            "JavaScript tests are reformatted",
            new().edit("tests/a.test.js", SCRIPT, "it(\"adds\", () => {\n    expect(\n        total(1, 2),\n    ).toBe(3)\n})\n"),
        ),
        (
            "Go tests are reformatted",
            new().edit(
                "tests/a_test.go",
                "package a\nfunc TestA(t *testing.T) { if f() != 1 { t.Fatal(\"x\") } }\n",
                "package a\n\nfunc TestA(t *testing.T) {\n\tif f() != 1 {\n\t\tt.Fatal(\"x\")\n\t}\n}\n",
            ),
        ),
        (
            "what a test prepares is refactored",
            new().edit(
                "tests/test_a.py",
                "def test_a():\n    x = make(1)\n    assert x.a == 1\n\n\ndef test_b():\n    x = make(1)\n    assert x.b == 2\n",
                "@pytest.fixture\ndef x():\n    return make(1)\n\n\ndef test_a(x):\n    assert x.a == 1\n\n\ndef test_b(x):\n    assert x.b == 2\n",
            ),
        ),
        (
            "assertions go into a function of their own",
            new().edit(
                "tests/a.rs",
                "#[test]\nfn a() { assert_eq!(f(1), 1); }\n#[test]\nfn b() { assert_eq!(f(2), 2); }\n",
                "fn check_f(n: u8) { assert_eq!(f(n), n); assert!(n > 0); assert_eq!(1, g()); }\n#[test]\nfn a() { check_f(1); }\n#[test]\nfn b() { check_f(2); }\n",
            ),
        ),
        (
            "a test file is moved",
            new().delete("tests/test_a.py", PYTHON).add("tests/shop/test_a.py", PYTHON),
        ),
        (
            "inline tests go to a file of their own",
            new().edit("src/lib.rs", RUST, "pub fn f() -> u8 {\n    1\n}\n\n#[cfg(test)]\nmod tests;\n")
                .add("src/tests.rs", "#[test]\nfn one() {\n    assert_eq!(super::f(), 1);\n}\n"),
        ),
        (
            "a fixture is moved",
            new().delete("tests/data/a.json", "{\"a\":1}").add("tests/data/b/a.json", "{\"a\":1}"),
        ),
        ("a fixture is edited", new().edit("tests/data/a.json", "{}", "{\"a\":1}")),
        (
            "a named test is rewritten",
            new().allow(&["tests/test_a.py"]).edit(
                "tests/test_a.py",
                PYTHON,
                "def test_sums():\n    assert total([1, 2]) == 3\n\n\ndef test_sums_nothing():\n    assert total([]) == 0\n",
            ),
        ),
        (
            "a refactoring drops a named test",
            new().kind(ChangeKind::Refactoring).allow(&["tests/test_a.py"]).delete("tests/test_a.py", PYTHON),
        ),
        ("a named snapshot is renewed", new().allow(&["tests/a.snap"]).edit("tests/a.snap", "a\n", "b\n")),
        ("a snapshot grows", new().edit("tests/a.snap", "a\n", "a\nb\n")),
        (
            "a dependency is added to a named package.json",
            new().allow(&["package.json", "package-lock.json"])
                .edit("package.json", r#"{"scripts":{"test":"vitest"}}"#, r#"{"scripts":{"test":"vitest"},"dependencies":{"zod":"^4"}}"#)
                .edit("package-lock.json", "{}", "{\"a\":1}"),
        ),
        (
            "a dependency and a member are added to a named Cargo.toml",
            new().allow(&["Cargo.toml"]).edit(
                "Cargo.toml",
                "[workspace]\nmembers = [\"a\"]\n",
                "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.dependencies]\nserde = \"1\"\n",
            ),
        ),
        (
            "a dependency is added to a named pyproject.toml",
            new().allow(&["pyproject.toml"]).edit(
                "pyproject.toml",
                "[project]\ndependencies = []\n[tool.pytest.ini_options]\naddopts = \"-q\"\n",
                "[project]\ndependencies = [\"attrs\"]\n[tool.pytest.ini_options]\naddopts = \"-q\"\n",
            ),
        ),
        ("a target is added to a named Makefile", new().allow(&["Makefile"]).edit("Makefile", "test:\n\tpytest\n", "run:\n\tapp\n\ntest:\n\tpytest\n")),
        ("a named workflow", new().allow(&[".github/workflows/a.yml"]).edit(".github/workflows/a.yml", "a\n", "b\n")),
        ("a project inside a fixture", new().add("tests/fixtures/app/package.json", "{}").add("tests/fixtures/app/Cargo.lock", "")),
        ("a module named build", new().add("src/build.rs", "pub fn build() {}\n")),
        ("a module whose name begins like a runner", new().add("src/unittest_report.py", "").add("src/jest.rs", "").add("src/goal/go.py", "")),
        ("a module named like a standard one, in a package", new().add("src/shop/types.py", "").add("src/shop/json.py", "")),
        ("a script", new().change("src/run.sh", Kind::Added, (0, 0o100_755), None, Some(b"#!/bin/sh\n"))),
        ("a script loses its bit", new().change("src/run.sh", Kind::Modified, (0o100_755, FILE), Some(b"a"), Some(b"a"))),
        ("unittest with its usual end", new().add("tests/test_c.py", "import unittest\n\nif __name__ == '__main__':\n    unittest.main()\n")),
        ("a test that calls skip of its own", new().edit("tests/a.test.js", SCRIPT, &many(SCRIPT, "it('pages', () => { expect(rows.skip(2).fit(3)).toEqual([1]); });\n"))),
        ("a test that looks for words", new().edit("tests/test_a.py", PYTHON, &many(PYTHON, "\n\ndef test_w():\n    assert \"@pytest.mark.skip\" in text()\n"))),
        ("a folder allowed by its slash", new().allow(&["lib/"]).add("lib/a/b.py", "")),
        ("an ignored file more", new().allow(&[".gitignore"]).edit(".gitignore", "a\n", "a\nb\n")),
        ("a shell test gets more lines", new().edit("tests/a.sh", "#!/bin/sh\n# adds\ntest 1 = 1\n", "#!/bin/sh\n# adds up\nif true; then\n  test 1 = 1\nfi\ntest 2 = 2\n")),
        ("a Ruby test beside another", new().edit("tests/a_spec.rb", "it 'a' do\n  expect(a).to eq(1)\nend\n", "it 'a' do\n  expect(a).to eq(1)\nend\n\nit 'b' do\n  expect(b.skip(1)).to eq(2)\nend\n")),
        ("a shell test that the spec names", new().allow(&["tests/a.sh"]).edit("tests/a.sh", "test 1 = 1\n", "test 1 = 2\n")),
        ("data of tests", new().edit("tests/data/a.json", "{}\n", "[]\n")),
        ("a source is deleted", new().delete("src/a.py", "a = 1\n")),
    ]
}

#[test]
fn honest_work_is_not_refused() {
    let stories = stories();
    assert!(stories.len() >= 15);
    for (what, story) in stories {
        assert_eq!(story.judge(), [], "{what}");
    }
}

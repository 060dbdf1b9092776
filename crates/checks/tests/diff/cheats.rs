//! Cheats, each refused under its rule.

use damascus_checks::diff::{Kind, Rule};
use damascus_core::spec::ChangeKind;

use crate::story::{FILE, Story};

const RUST: &str = "use shop::total;\n\n#[test]\nfn adds() {\n    assert_eq!(total(1, 2), 3);\n    assert!(total(0, 0) == 0);\n}\n\n\
    #[test]\nfn rejects() {\n    assert!(total(-1, 2) < 2);\n}\n";
const PYTHON: &str = "import pytest\nfrom shop import total\n\n\ndef test_adds():\n    assert total(1, 2) == 3\n    assert total(0, 0) == 0\n\n\n\
    @pytest.mark.parametrize(\"a\", [1, 2, 3])\ndef test_rejects(a):\n    assert total(-a, 2) < 2\n";
const UNITTEST: &str = "import unittest\n\n\nclass TotalTest(unittest.TestCase):\n    def test_adds(self):\n        \
    self.assertEqual(total(1, 2), 3)\n\n    def test_rejects(self):\n        with self.assertRaises(ValueError):\n            total(-1, 2)\n";
const SCRIPT: &str = "import { total } from '../src/total.js';\n\ndescribe('total', () => {\n  it('adds', () => {\n    \
    expect(total(1, 2)).toBe(3);\n  });\n\n  it('rejects', () => {\n    expect(() => total(-1, 2)).toThrow();\n  });\n});\n";
const GO: &str = "package shop\n\nimport \"testing\"\n\nfunc TestAdds(t *testing.T) {\n\tif total(1, 2) != 3 {\n\t\tt.Fatal(\"no\")\n\t}\n}\n\n\
    func TestRejects(t *testing.T) {\n\tfor _, c := range []struct{ a, b int }{{1, 2}, {3, 4}} {\n\t\tif total(c.a, c.b) < 0 {\n\t\t\t\
    t.Errorf(\"no\")\n\t\t}\n\t}\n}\n";
const JAVA: &str = "class TotalTest {\n  @Test\n  void adds() {\n    assertEquals(3, total(1, 2));\n  }\n\n  @Test\n  void rejects() {\n    \
    assertThrows(Error.class, () -> total(-1, 2));\n  }\n}\n";

const SHELL: &str = "#!/bin/sh\nset -e\n# adds\ntest \"$(./total 1 2)\" = 3\n";
const RUBY: &str = "describe 'total' do\n  it 'adds' do\n    expect(total(1, 2)).to eq(3)\n  end\nend\n";

/// A cheat in an existing test file: its path, what it was, what is replaced, and by what.
const WEAKENED: &[(&str, &str, &str, &str)] = &[
    // Rust
    ("tests/total.rs", RUST, "#[test]\nfn adds", "fn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "// #[test]\nfn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "#[test]\n#[ignore]\nfn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "#[test]\n#[ignore = \"slow\"]\nfn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "#[test]\n#[cfg_attr(all(), ignore)]\nfn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "#[cfg(windows)]\n#[test]\nfn adds"),
    ("tests/total.rs", RUST, "#[test]\nfn adds", "#[test]\nfn adds_mostly"),
    ("tests/total.rs", RUST, "use shop::total;", "#![cfg(feature = \"never\")]\nuse shop::total;"),
    ("tests/total.rs", RUST, "    assert_eq!(total(1, 2), 3);\n", ""),
    ("tests/total.rs", RUST, "assert_eq!(total(1, 2), 3);", "assert!(total(1, 2) > 0);"),
    ("tests/total.rs", RUST, "assert_eq!(total(1, 2), 3);", "assert_eq!(3, 3);"),
    ("tests/total.rs", RUST, "assert_eq!(total(1, 2), 3);", "assert!(true);"),
    ("tests/total.rs", RUST, "assert_eq!(total(1, 2), 3);", "assert!(total(1, 2) == 3 || true);"),
    ("tests/total.rs", RUST, "    assert_eq!(total(1, 2), 3);", "    return;\n    assert_eq!(total(1, 2), 3);"),
    ("tests/total.rs", RUST, "    assert_eq!(total(1, 2), 3);", "    if false { assert_eq!(total(1, 2), 3); }"),
    ("tests/total.rs", RUST, "    assert_eq!(total(1, 2), 3);", "    /* assert_eq!(total(1, 2), 3); */"),
    ("tests/total.rs", RUST, "    assert_eq!(total(1, 2), 3);", "    let _ = \"assert_eq!(total(1, 2), 3);\";"),
    (
        "tests/total.rs",
        RUST,
        "    assert_eq!(total(1, 2), 3);",
        "    assert_eq!(total(1, 2), 3); std::process::exit(0);",
    ),
    ("tests/total.rs", RUST, "use shop::total;", "macro_rules! assert_eq { ($($t:tt)*) => {} }"),
    ("tests/main.rs", "mod total;\nmod other;\n", "mod other;\n", ""),
    // Python
    ("tests/test_total.py", PYTHON, "def test_adds", "def adds"),
    ("tests/test_total.py", PYTHON, "def test_adds", "@pytest.mark.skip\ndef test_adds"),
    ("tests/test_total.py", PYTHON, "def test_adds", "@pytest.mark.skipif(True, reason=\"x\")\ndef test_adds"),
    ("tests/test_total.py", PYTHON, "def test_adds", "@pytest.mark.xfail\ndef test_adds"),
    ("tests/test_total.py", PYTHON, "import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n"),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    pytest.skip(\"later\")\n    assert total(1, 2) == 3\n",
    ),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", ""),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    return\n    assert total(1, 2) == 3\n"),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert True\n"),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert 3 == 3\n"),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert total(1, 2) == 3 or True\n"),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert (total(1, 2) == 3, \"no\")\n"),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert \"total(1, 2) == 3\"\n"),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    def check(x):\n        pass\n    check(total(1, 2) == 3)\n",
    ),
    ("tests/test_total.py", PYTHON, "    assert total(1, 2) == 3\n", "    assert total(1, 2)\n"),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    if False:\n        assert total(1, 2) == 3\n",
    ),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    try:\n        assert total(1, 2) == 3\n    except AssertionError:\n        pass\n",
    ),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    \"\"\"\n    assert total(1, 2) == 3\n    \"\"\"\n",
    ),
    (
        "tests/test_total.py",
        PYTHON,
        "    assert total(1, 2) == 3\n",
        "    import os; os._exit(0)\n    assert total(1, 2) == 3\n",
    ),
    ("tests/test_total.py", PYTHON, "import pytest\n", "import pytest, sys\nsys.exit(0)\n"),
    ("tests/test_total.py", PYTHON, "import pytest\n", "import pytest, atexit\natexit.register(print)\n"),
    ("tests/test_total.py", PYTHON, "[1, 2, 3]", "[1, 2]"),
    ("tests/test_total.py", PYTHON, "def test_adds():\n", "def outer():\n  def test_adds():\n"),
    ("tests/test_total.py", UNITTEST, "(unittest.TestCase)", ""),
    ("tests/test_total.py", UNITTEST, "    def test_adds", "    @unittest.skip(\"x\")\n    def test_adds"),
    ("tests/test_total.py", UNITTEST, "    def test_adds", "    @unittest.expectedFailure\n    def test_adds"),
    ("tests/test_total.py", UNITTEST, "assertEqual(total(1, 2), 3)", "assertTrue(total(1, 2))"),
    ("tests/test_total.py", UNITTEST, "assertEqual(total(1, 2), 3)", "assertEqual(3, 3)"),
    ("tests/test_total.py", UNITTEST, "        self.assertEqual(total(1, 2), 3)", "        self.skipTest(\"x\")"),
    // JavaScript and TypeScript
    ("test/total.test.ts", SCRIPT, "it('adds'", "it.skip('adds'"),
    ("test/total.test.ts", SCRIPT, "it('adds'", "xit('adds'"),
    ("test/total.test.ts", SCRIPT, "it('adds'", "it.todo('adds'"),
    ("test/total.test.ts", SCRIPT, "it('rejects'", "it.only('rejects'"),
    ("test/total.test.ts", SCRIPT, "describe('total'", "describe.skip('total'"),
    ("test/total.test.ts", SCRIPT, "it('adds'", "it.fails('adds'"),
    ("test/total.test.ts", SCRIPT, "it('adds', () => {", "it('adds', { skip: true }, () => {"),
    ("test/total.test.ts", SCRIPT, "it('adds'", "it('adds a bit'"),
    ("test/total.test.ts", SCRIPT, "    expect(total(1, 2)).toBe(3);\n", ""),
    (
        "test/total.test.ts",
        SCRIPT,
        "    expect(total(1, 2)).toBe(3);\n",
        "    return;\n    expect(total(1, 2)).toBe(3);\n",
    ),
    ("test/total.test.ts", SCRIPT, "expect(total(1, 2)).toBe(3)", "expect(true).toBe(true)"),
    ("test/total.test.ts", SCRIPT, "expect(total(1, 2)).toBe(3)", "expect(total(1, 2)).toBeDefined()"),
    ("test/total.test.ts", SCRIPT, "expect(total(1, 2)).toBe(3);", "try { expect(total(1, 2)).toBe(3); } catch (e) {}"),
    ("test/total.test.ts", SCRIPT, "    expect(total(1, 2)).toBe(3);", "    // expect(total(1, 2)).toBe(3);"),
    ("test/total.test.ts", SCRIPT, "describe('total'", "process.exit(0);\ndescribe('total'"),
    // Go
    ("tests/total_test.go", GO, "func TestAdds", "func testAdds"),
    ("tests/total_test.go", GO, "\tif total(1, 2)", "\tt.Skip()\n\tif total(1, 2)"),
    ("tests/total_test.go", GO, "t.Fatal(\"no\")", "t.Log(\"no\")"),
    ("tests/total_test.go", GO, "package shop\n", "//go:build never\n\npackage shop\n"),
    ("tests/total_test.go", GO, "{{1, 2}, {3, 4}}", "{{1, 2}}"),
    ("tests/total_test.go", GO, "\tif total(1, 2)", "\tos.Exit(0)\n\tif total(1, 2)"),
    // Java
    ("src/test/java/TotalTest.java", JAVA, "@Test\n  void adds", "void adds"),
    ("src/test/java/TotalTest.java", JAVA, "@Test\n  void adds", "@Test\n  @Disabled\n  void adds"),
    ("src/test/java/TotalTest.java", JAVA, "assertEquals(3, total(1, 2));", "assertEquals(3, 3);"),
    ("src/test/java/TotalTest.java", JAVA, "    assertEquals(3, total(1, 2));\n", ""),
    (
        "src/test/java/TotalTest.java",
        JAVA,
        "    assertEquals(3, total(1, 2));",
        "    System.exit(0); assertEquals(3, total(1, 2));",
    ),
    // Tests inside the source, and what tests compare with.
    (
        "src/lib.rs",
        "pub fn f() -> u8 { 1 }\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() { assert_eq!(super::f(), 1); }\n}\n",
        "    #[test]\n    fn one() { assert_eq!(super::f(), 1); }\n",
        "",
    ),
    ("src/lib.rs", "pub mod a;\n#[cfg(test)]\nmod tests;\n", "#[cfg(test)]\nmod tests;\n", ""),
    ("tests/__snapshots__/a.test.js.snap", "exports[`a`] = `1`;\n", "`1`", "`2`"),
    ("tests/snapshots/a.snap", "---\nvalue: 1\n", "1", "2"),
];

#[test]
fn tests_that_say_less_are_refused() {
    for &(path, old, from, to) in WEAKENED {
        let new = old.replacen(from, to, 1);
        assert_ne!(old, new, "{path}: `{from}` is not there");
        let found = Story::new().edit(path, old, &new).judge();
        assert!(
            found.iter().any(|one| one.rule == Rule::TestWeakened && one.path == path && one.rule.is_tampering()),
            "{path}: `{from}` → `{to}` gives {found:?}"
        );
    }
}

/// Changes that need no test file to be read.
fn others() -> Vec<(&'static str, Rule, Story)> {
    let new = Story::new;
    let link =
        |path: &str, target: &str| new().change(path, Kind::Added, (0, 0o120_000), None, Some(target.as_bytes()));
    vec![
        ("a test is deleted", Rule::TestDeleted, new().delete("tests/test_a.py", PYTHON)),
        ("a fixture is deleted", Rule::TestDeleted, new().delete("tests/data/a.json", "{}")),
        ("a named test is deleted", Rule::TestDeleted, new().allow(&["tests/test_a.py"]).delete("tests/test_a.py", PYTHON)),
        (
            "a test is moved to where no runner looks",
            Rule::TestDeleted,
            new().delete("tests/test_a.py", PYTHON).add("src/old_a.py", PYTHON),
        ),
        (
            "a test is moved and loses an assertion",
            Rule::TestWeakened,
            new().delete("tests/test_a.py", PYTHON).add("tests/test_b.py", &PYTHON.replace("    assert total(0, 0) == 0\n", "")),
        ),
        ("a test is emptied", Rule::TestWeakened, new().edit("tests/test_a.py", PYTHON, "")),
        ("the runner's configuration is new", Rule::RunnerConfiguration, new().add("pytest.ini", "[pytest]\naddopts = -k none\n")),
        ("a conftest is new", Rule::RunnerConfiguration, new().add("tests/conftest.py", "collect_ignore = ['test_a.py']\n")),
        (
            "a named conftest hides tests",
            Rule::TestWeakened,
            new().allow(&["tests/conftest.py"]).add("tests/conftest.py", "def pytest_collection_modifyitems(items):\n    items.clear()\n"),
        ),
        (
            "a named conftest ends the run",
            Rule::TestWeakened,
            new().allow(&["tests/conftest.py"]).add("tests/conftest.py", "import os, atexit\natexit.register(lambda: os._exit(0))\n"),
        ),
        (
            "the test script is changed in a named package.json",
            Rule::RunnerConfiguration,
            new().allow(&["package.json"]).edit("package.json", r#"{"scripts":{"test":"vitest run"}}"#, r#"{"scripts":{"test":"true"}}"#),
        ),
        (
            "the runner is replaced in a named package.json",
            Rule::RunnerConfiguration,
            new().allow(&["package.json"]).edit(
                "package.json",
                r#"{"devDependencies":{"vitest":"^3"}}"#,
                r#"{"devDependencies":{"vitest":"file:./src/fake"}}"#,
            ),
        ),
        (
            "the harness is taken from a named Cargo.toml",
            Rule::RunnerConfiguration,
            new().allow(&["Cargo.toml"]).edit(
                "Cargo.toml",
                "[package]\nname = \"a\"\n",
                "[package]\nname = \"a\"\n[[test]]\nname = \"a\"\nharness = false\n",
            ),
        ),
        (
            "tests of the library are off in a named Cargo.toml",
            Rule::RunnerConfiguration,
            new().allow(&["Cargo.toml"]).edit("Cargo.toml", "[lib]\nname = \"a\"\n", "[lib]\nname = \"a\"\ntest = false\n"),
        ),
        (
            "a member leaves a named Cargo.toml",
            Rule::RunnerConfiguration,
            new().allow(&["Cargo.toml"]).edit(
                "Cargo.toml",
                "[workspace]\nmembers = [\"a\", \"b\"]\n",
                "[workspace]\nmembers = [\"a\", \"c\"]\n",
            ),
        ),
        (
            "pytest is steered in a named pyproject.toml",
            Rule::RunnerConfiguration,
            new().allow(&["pyproject.toml"]).edit(
                "pyproject.toml",
                "[project]\nname = \"a\"\n",
                "[project]\nname = \"a\"\n[tool.pytest.ini_options]\naddopts = \"-k none\"\n",
            ),
        ),
        (
            "surefire skips in a named pom.xml",
            Rule::RunnerConfiguration,
            new().allow(&["pom.xml"]).edit("pom.xml", "<project/>\n", "<project>\n<skipTests>true</skipTests>\n</project>\n"),
        ),
        (
            "the test target is changed in a named Makefile",
            Rule::RunnerConfiguration,
            new().allow(&["Makefile"]).edit("Makefile", "test:\n\tpytest\n", "test:\n\ttrue\n"),
        ),
        (".damascus.toml is changed", Rule::OwnRules, new().allow(&[".damascus.toml"]).edit(".damascus.toml", "a", "b")),
        ("a prompt is new", Rule::OwnRules, new().allow(&[".damascus/**"]).add(".damascus/prompts/build.md", "pass")),
        ("a shim of pytest", Rule::RunnerShim, new().allow(&["pytest.py"]).add("pytest.py", "print('1 passed')\n")),
        ("a package that shadows pytest", Rule::RunnerShim, new().add("src/pytest/__init__.py", "")),
        ("a shim of unittest", Rule::RunnerShim, new().add("tests/unittest.py", "")),
        ("a shim of a standard module", Rule::RunnerShim, new().add("tests/traceback.py", "")),
        ("sitecustomize", Rule::RunnerShim, new().add("src/sitecustomize.py", "")),
        ("a path file", Rule::RunnerShim, new().add("src/a.pth", "import os\n")),
        ("compiled Python", Rule::RunnerShim, new().add("src/__pycache__/a.cpython-312.pyc", "x")),
        ("committed node_modules", Rule::RunnerShim, new().add("src/node_modules/vitest/index.js", "")),
        ("a program on the path", Rule::RunnerShim, new().allow(&["bin/**"]).add("bin/cargo", "#!/bin/sh\n")),
        ("a shim of JUnit", Rule::RunnerShim, new().add("src/test/java/org/junit/Assert.java", "")),
        (
            "a forged report",
            Rule::RunnerShim,
            Story::on("[test]\ncommand = [\"make\", \"test\"]\nreport = { format = \"junit\", file = \"src/out/TEST-*.xml\" }\n")
                .add("src/out/TEST-a.xml", "<testsuite/>"),
        ),
        (
            "a folder in the place of a report",
            Rule::RunnerShim,
            Story::on("[test]\ncommand = [\"make\", \"test\"]\nreport = { format = \"junit\", file = \"src/out/TEST-*.xml\" }\n")
                .add("src/out/TEST-a.xml/b", "x"),
        ),
        (
            "the script of the test command is changed",
            Rule::RunnerConfiguration,
            Story::on("[test]\ncommand = \"cd . && ./src/run-tests.sh\"\nreport = \"tap\"\n").edit("src/run-tests.sh", "a", "b"),
        ),
        ("a file outside of the allow-list", Rule::OutsideScope, new().add("docs/a.md", "a")),
        ("a link out", Rule::Symlink, link("src/a", "/etc/passwd")),
        ("a link inside", Rule::Symlink, link("src/a", "b")),
        ("a named link out", Rule::Symlink, {
            new().allow(&["src/a"]).change("src/a", Kind::Added, (0, 0o120_000), None, Some(b"../../b"))
        }),
        ("a submodule", Rule::Submodule, {
            new().allow(&["src/a"]).change("src/a", Kind::Added, (0, 0o160_000), None, None)
        }),
        ("a list of submodules", Rule::Submodule, new().add(".gitmodules", "[submodule]\n")),
        ("attributes", Rule::Attributes, new().add(".gitattributes", "*.py -diff\n")),
        ("attributes below", Rule::Attributes, new().add("src/.gitattributes", "*.py -diff\n")),
        ("a nested repository", Rule::NestedRepository, new().allow(&["src/a/.GIT/config"]).add("src/a/.GIT/config", "")),
        (
            "a bare repository",
            Rule::NestedRepository,
            new().add("src/a/HEAD", "ref: refs/heads/x\n").add("src/a/objects/.gitkeep", ""),
        ),
        ("a workflow", Rule::Ci, new().add(".github/workflows/a.yml", "on: push\n")),
        ("a hook", Rule::Hook, new().add(".husky/pre-commit", "true\n")),
        ("an invisible name", Rule::UnsafePath, new().add("src/a\u{202e}sp.js", "")),
        (
            "inline tests go with their file",
            Rule::TestDeleted,
            new().delete("src/a.rs", "#[cfg(test)]\nmod tests {\n    #[test]\n    fn one() { assert!(f()); }\n}\n"),
        ),
        (
            "a named test file is gutted",
            Rule::TestWeakened,
            new().allow(&["tests/test_a.py"]).kind(ChangeKind::Fix).edit("tests/test_a.py", PYTHON, "def test_new():\n    assert f() == 1\n"),
        ),
        ("a shell test is emptied", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, "")),
        ("a shell test is another", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, "true\n")),
        ("a shell test can't fail", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, &SHELL.replace("= 3", "= 3 || true"))),
        ("a shell test ends first", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, &format!("exit 0\n{SHELL}"))),
        ("a shell test ends well", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, &format!("trap 'exit 0' EXIT\n{SHELL}"))),
        ("a shell test goes on after a failure", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, &format!("set +e\n{SHELL}"))),
        ("a shell test is commented out", Rule::TestWeakened, new().edit("tests/a.sh", SHELL, &SHELL.replace("test ", "# test "))),
        ("a test script without an ending", Rule::TestWeakened, new().edit("tests/all", "#!/bin/sh\ncheck a\n", "#!/bin/sh\n")),
        ("a Ruby test is skipped", Rule::TestWeakened, new().edit("tests/a_spec.rb", RUBY, &RUBY.replace("expect", "skip\n    expect"))),
        ("a Ruby test expects less", Rule::TestWeakened, new().edit("tests/a_spec.rb", RUBY, &RUBY.replace("eq(3)", "be"))),
        ("a mode hides a test", Rule::TestDeleted, {
            let old = PYTHON.as_bytes();
            new().change("tests/test_a.py", Kind::Deleted, (FILE, 0), Some(old), None)
        }),
    ]
}

#[test]
fn other_cheats_are_refused_under_their_rule() {
    for (what, rule, story) in others() {
        let found = story.judge();
        assert!(found.iter().any(|one| one.rule == rule), "{what}: {found:?}");
        let careless = matches!(rule, Rule::OutsideScope);
        assert_eq!(rule.is_tampering(), !careless, "{what}");
    }
}

//! Words in a test that keep it, or others, from telling the truth.
//!
//! Invariant: only words whose meaning does not depend on what stands around them; they are searched for in code without strings,
//! comments and space.

use super::conventions::Language;
use super::dense::{ahead, count, dense, is_word, places};

/// Words that keep a test from running, or from counting.
const RUST: &[&str] = &[
    "#[ignore",
    ",ignore)",
    "#[cfg(any())]",
    "#[cfg(FALSE)]",
    "if false",
    "macro_rules!assert",
    "macro_rules!assert_eq",
    "macro_rules!assert_ne",
];
const PYTHON: &[&str] = &[
    "mark.skip",
    "mark.skipif",
    "mark.xfail",
    "unittest.skip",
    "unittest.skipIf",
    "unittest.skipUnless",
    "@skip",
    "@skipIf",
    "@skipUnless",
    "pytest.skip(",
    "pytest.xfail(",
    "importorskip(",
    ".skipTest(",
    "raise SkipTest",
    "unittest.SkipTest",
    "expectedFailure",
    "__test__=False",
    "collect_ignore",
    "collect_ignore_glob",
    "if False:",
    "if 0:",
    "while False:",
    "suppress(AssertionError",
    "suppress(Exception",
    "suppress(BaseException",
];
const SCRIPT: &[&str] = &[
    "skip:true",
    "todo:true",
    "only:true",
    "if(false)",
    "if(0)",
    "catch{}",
    "expect.assertions(0)",
    ".catch(()=>{})",
    "globalThis.expect=",
    "global.expect=",
];
/// Functions with a short name; as methods they are something else.
const SCRIPT_CALLS: [&str; 7] = ["xit(", "xtest(", "xdescribe(", "fit(", "fdescribe(", "ftest(", "pending("];
/// What stands before `.skip` and the like when it is a test that is skipped.
const SCRIPT_ROOTS: [&str; 12] =
    ["it", "test", "describe", "suite", "context", "specify", "t", "this", "concurrent", "sequential", "each", "only"];
const SCRIPT_ENDS: [&str; 7] = [".skip", ".todo", ".only", ".skipIf", ".runIf", ".fails", ".failing"];
const GO: &[&str] = &["t.Skip(", "t.Skipf(", "t.SkipNow(", "testing.Short()", "if false"];
const JAVA: &[&str] = &[
    "@Disabled",
    "@DisabledIf",
    "@DisabledOnOs",
    "@DisabledIfEnvironmentVariable",
    "@EnabledIf",
    "@EnabledIfSystemProperty",
    "@EnabledIfEnvironmentVariable",
    "@Ignore",
    "@Ignored",
    "assumeTrue(",
    "assumeFalse(",
    "assumeThat(",
    "enabled=false",
    "if(false)",
];

/// Words that end the process that runs the tests, or act when it ends.
const RUST_EXITS: &[&str] = &["process::exit(", "process::abort(", "libc::exit(", "libc::_exit("];
const PYTHON_EXITS: &[&str] = &[
    "os._exit(",
    "os.abort(",
    "sys.exit(0)",
    "sys.exit()",
    "SystemExit(0)",
    "SystemExit()",
    "raise SystemExit",
    "atexit.register",
    "os.kill(",
    "os.execv(",
    "os.execvp(",
    "from os import _exit",
    "pytest.exit(",
];
const SCRIPT_EXITS: &[&str] =
    &["process.exit(", "process.exitCode=", "process.reallyExit(", "process.abort(", "process.kill(", "Deno.exit("];
const GO_EXITS: &[&str] = &["os.Exit(0)", "syscall.Exit(", "runtime.Goexit("];
const JAVA_EXITS: &[&str] = &["System.exit(", ".halt(", "exitProcess("];

/// Hooks of pytest that decide what is collected, or how it is told.
const CONFTEST: &[&str] = &[
    "pytest_collection_modifyitems",
    "pytest_ignore_collect",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_runtest_protocol",
    "pytest_report_teststatus",
    "pytest_pyfunc_call",
    "pytest_runtest_call",
    "pytest_cmdline_main",
    "pytest_terminal_summary",
    "pytest_unconfigure",
    "pytest_assertrepr_compare",
    "pytest_collect_file",
    "pytest_pycollect_makeitem",
    "exitstatus",
    "deselected",
];

/// How often each word that skips or hides stands in a source.
pub(super) fn skips(code: &str, language: Language) -> Vec<(String, usize)> {
    let dense = dense(code);
    let words = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Script => SCRIPT,
        Language::Go => GO,
        Language::Java => JAVA,
        Language::Other => &[],
    };
    let mut found = counted(&dense, words);
    match language {
        Language::Script => {
            for end in SCRIPT_ENDS {
                for root in SCRIPT_ROOTS {
                    let word = format!("{root}{end}");
                    found.push((word.clone(), count(&dense, &word)));
                }
            }
            for word in SCRIPT_CALLS {
                let calls = places(&dense, word).filter(|&at| !dense[..at].ends_with('.')).count();
                found.push((word.to_owned(), calls));
            }
            found.push(("empty catch".to_owned(), empty_catches(&dense)));
        }
        Language::Java => found.push(("empty catch".to_owned(), empty_catches(&dense))),
        Language::Python => found.push(("except that passes".to_owned(), swallowed(&dense))),
        Language::Rust | Language::Go | Language::Other => {}
    }
    found
}

/// How often each word that ends the process stands in a source.
pub(super) fn exits(code: &str, language: Language) -> Vec<(String, usize)> {
    let words = match language {
        Language::Rust => RUST_EXITS,
        Language::Python => PYTHON_EXITS,
        Language::Script => SCRIPT_EXITS,
        Language::Go => GO_EXITS,
        Language::Java => JAVA_EXITS,
        Language::Other => &[],
    };
    counted(&dense(code), words)
}

/// How often each hook stands in a `conftest.py`.
pub(super) fn conftest(code: &str) -> Vec<(String, usize)> {
    counted(&dense(code), CONFTEST)
}

/// Lines with a build constraint, which Go writes as comments.
pub(super) fn constraints(source: &str) -> usize {
    source.lines().filter(|line| line.starts_with("//go:build") || line.starts_with("// +build")).count()
}

fn counted(dense: &str, words: &[&str]) -> Vec<(String, usize)> {
    words.iter().map(|&word| (word.to_owned(), count(dense, word))).collect()
}

/// `catch(error){}`.
fn empty_catches(dense: &str) -> usize {
    places(dense, "catch")
        .filter(|&at| {
            let rest = ahead(dense, at + 5);
            let body = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, body)| body);
            body.starts_with("{}")
        })
        .count()
}

/// `except …: pass`.
fn swallowed(dense: &str) -> usize {
    places(dense, "except")
        .filter(|&at| {
            let body = ahead(dense, at).split_once(':').map_or("", |(_, body)| body);
            let word: String = body.chars().take_while(|&c| is_word(c)).collect();
            matches!(word.as_str(), "pass" | "return" | "continue") || body.starts_with("...")
        })
        .count()
}

//! `.damascus.toml`: what is accepted, what is refused and where, and that it can be written again.

#![expect(clippy::expect_used, reason = "a helper of tests that fails where its text parses")]

use std::time::Duration;

use damascus_checks::project::{ProjectRules, RuleLimits, RuleSource, Step, Steps, TestRule, parse, to_toml};
use damascus_checks::report::Format;
use damascus_core::spec::ChangeKind;
use proptest::prelude::*;

const TEST: &str = "[test]\ncommand = [\"x\"]\nreport = \"tap\"\n";

fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn everything_can_be_said() {
    let text = r#"
[setup]
command = ["npm", "ci"]
timeout_s = 600
network = true
[build]
command = "make all && true"
[lint]
command = ["cargo", "clippy"]
[test]
command = ["cargo", "nextest", "run"]
report = { format = "junit", file = "target/nextest/ci/junit.xml" }
[protected]
paths = ["golden/**"]
[scope]
allow = ["src/**", "tests/**"]
[policy]
waive_fail_on_base = ["refactoring", "docs", "docs"]
[agent]
name = "claude-code"
model = "m"
minutes = 20
turns = 50
[spec]
model = "n"
[limits]
diff_files = 5
diff_bytes = 2_048
memory_mib = 1024
processes = 64
tree_mib = 100
"#;
    let rules = parse(text).unwrap_or_else(|error| panic!("{error}"));
    let step = |words: &[&str], seconds, network| Step {
        command: words.iter().map(|&word| word.to_owned()).collect(),
        timeout: Duration::from_secs(seconds),
        network,
    };
    assert_eq!(rules.steps.setup, Some(step(&["npm", "ci"], 600, true)));
    assert_eq!(rules.steps.build, Some(step(&["sh", "-c", "make all && true"], 900, false)));
    assert_eq!(rules.test.step, step(&["cargo", "nextest", "run"], 900, false));
    assert_eq!(rules.test.format, Format::Junit);
    assert_eq!(rules.test.report_file.as_deref(), Some("target/nextest/ci/junit.xml"));
    assert_eq!(rules.waive_fail_on_base, [ChangeKind::Refactoring, ChangeKind::Docs]);
    assert_eq!((rules.agent_minutes, rules.agent_turns), (Some(20), Some(50)));
    assert_eq!(rules.spec_model.as_deref(), Some("n"));
    let limits = RuleLimits { diff_files: 5, diff_bytes: 2_048, memory_mib: 1_024, processes: 64, tree_mib: 100 };
    assert_eq!(rules.limits, limits);
    assert_eq!(parse(&to_toml(&rules)), Ok(rules));
}

#[test]
fn what_is_silent_has_its_default() {
    let rules = parse(TEST).unwrap_or_else(|error| panic!("{error}"));
    let limits =
        RuleLimits { diff_files: 200, diff_bytes: 1024 * 1024, memory_mib: 4_096, processes: 512, tree_mib: 8_192 };
    assert_eq!(rules.limits, limits);
    assert_eq!(rules.test.step.timeout, Duration::from_secs(900));
    assert!(!rules.test.step.network);
    assert_eq!(rules.steps, Steps::default());
    assert_eq!(rules.source, RuleSource::File);
}

#[test]
fn faults_say_where_and_what() {
    let table: &[(&str, &[&str])] = &[
        ("", &[".damascus.toml:1:1", "`test.command` is missing", "[test]"]),
        ("[test\n", &[".damascus.toml:1:", "is not valid TOML"]),
        (
            "[test]\ncommand = [\"x\"]\nreport = \"tap\"\ntimeuot_s = 5\n",
            &[":4:1:", "`test.timeuot_s`", "`test.timeout_s`?"],
        ),
        ("[tset]\ncommand = [\"x\"]\n", &[":1:2:", "`tset`", "did you mean `test`?"]),
        ("command = [\"x\"]\n", &[":1:1:", "`command`", "command`?"]),
        ("[wombat]\na = 1\n", &["`wombat`", "the tables are setup, build"]),
        ("test = 5\n", &["`test` must be a table", "integer"]),
        ("[test]\ncommand = []\nreport = \"tap\"\n", &[":2:11:", "`test.command` must be a program"]),
        ("[test]\ncommand = [\"\"]\nreport = \"tap\"\n", &["`test.command` must be a program"]),
        ("[test]\ncommand = \"  \"\nreport = \"tap\"\n", &["`test.command` must be a program"]),
        ("[test]\ncommand = [\"a\\u0000b\"]\nreport = \"tap\"\n", &["without NUL"]),
        ("[test]\ncommand = [1]\nreport = \"tap\"\n", &["`test.command` must be a program"]),
        ("[test]\ncommand = [\"./run\"]\n", &["`test.report` is missing", "\"exit_code\""]),
        (
            "[test]\ncommand = [\"./run\"]\nreport = \"tapp\"\n",
            &[":3:10:", "must be one of junit", "did you mean \"tap\"?"],
        ),
        ("[test]\ncommand = [\"./run\"]\nreport = \"junit\"\n", &["`test.report`", "file = "]),
        ("[test]\ncommand = [\"./run\"]\nreport = { file = \"a.xml\" }\n", &["`test.report.format` is missing"]),
        (
            "[test]\ncommand = [\"./run\"]\nreport = { format = \"tap\", file = \"a\" }\n",
            &["test.report.file", "remove it"],
        ),
        (
            "[test]\ncommand = [\"x\"]\nreport = \"tap\"\ntimeout_s = 0\n",
            &["`test.timeout_s`", "from 1 to 14400", "found 0"],
        ),
        ("[test]\ncommand = [\"x\"]\nreport = \"tap\"\ntimeout_s = 14401\n", &["from 1 to 14400"]),
        ("[test]\ncommand = [\"x\"]\nreport = \"tap\"\nnetwork = \"yes\"\n", &["true or false", "\"yes\""]),
        ("[setup]\nnetwork = true\n[test]\ncommand = [\"x\"]\nreport = \"tap\"\n", &["`setup.command` is missing"]),
        ("[test]\ncommand = [\"x\"]\nreport = \"tap\"\n[limits]\nmemory_mib = 1\n", &[":5:14:", "`limits.memory_mib`"]),
        (
            "[test]\ncommand = [\"x\"]\nreport = \"tap\"\n[scope]\nallow = [\"../a\"]\n",
            &["`scope.allow`", "relative to the root"],
        ),
        ("[test]\ncommand = [\"x\"]\nreport = \"tap\"\n[protected]\npaths = [\"a[\"]\n", &["`protected.paths`"]),
        (
            "[test]\ncommand = [\"x\"]\nreport = \"tap\"\n[policy]\nwaive_fail_on_base = [\"doc\"]\n",
            &["feature, fix", "\"docs\"?"],
        ),
        ("[test]\ncommand = [\"x\"]\nreport = \"tap\"\n[agent]\nname = \"\"\n", &["`agent.name`"]),
    ];
    for (text, parts) in table {
        let shown = fault(text);
        for part in *parts {
            assert!(shown.contains(part), "{text:?} gives {shown:?}, without {part:?}");
        }
        assert!(!shown.chars().any(damascus_core::display::is_unsafe), "{shown:?}");
    }
}

#[test]
fn report_files_stay_in_the_tree() {
    let with =
        |file: &str| format!("[test]\ncommand = [\"x\"]\nreport = {{ format = \"junit\", file = \"{file}\" }}\n");
    for bad in [
        "/a.xml",
        "../a.xml",
        "a/../b.xml",
        "a/**/b.xml",
        "a*/b.xml",
        "a/*b*.xml",
        ".git/a.xml",
        "",
        "*",
        "a/[b].xml",
        ".damascus.toml",
        "./a.xml",
    ] {
        assert!(parse(&with(bad)).is_err(), "{bad}");
    }
    let rules = parse(&with("out/TEST-*.xml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(rules.test.is_report("out/TEST-a.b.xml"));
    for other in ["out/TEST-a/b.xml", "out/a.xml", "TEST-a.xml", "out/TEST-a.xml.bak", "out/TEST-.xm"] {
        assert!(!rules.test.is_report(other), "{other}");
    }
}

#[test]
fn the_digest_is_of_what_decides() {
    let digest = |more: &str| parse(&format!("{TEST}{more}")).unwrap_or_else(|error| panic!("{error}")).sha256();
    let plain = digest("");
    for same in
        ["[agent]\nname = \"a\"\n", "[spec]\nmodel = \"m\"\n", "[limits]\ndiff_files = 200\n", "timeout_s = 900\n"]
    {
        assert_eq!(digest(same), plain, "{same}");
    }
    let others = [
        "timeout_s = 901\n",
        "network = true\n",
        "[build]\ncommand = [\"a\"]\n",
        "[lint]\ncommand = [\"a\"]\n",
        "[protected]\npaths = [\"a\"]\n",
        "[scope]\nallow = [\"a\"]\n",
        "[policy]\nwaive_fail_on_base = [\"docs\"]\n",
        "[limits]\nmemory_mib = 100\n",
    ];
    let mut all: Vec<_> = others.iter().map(|more| digest(more)).chain([plain]).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), others.len() + 1);
}

fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-z\"'\\\\\n\t\u{1}#=\\[\\]é日 ]{1,12}").expect("a valid pattern")
}

prop_compose! {
    fn step()(program in "[a-z./]{1,9}", rest in proptest::collection::vec(text(), 0..4), seconds in 1_u64..=14_400, network in any::<bool>()) -> Step {
        let command = std::iter::once(program).chain(rest).collect();
        Step { command, timeout: Duration::from_secs(seconds), network }
    }
}

prop_compose! {
    fn rules()(
        setup in proptest::option::of(step()), build in proptest::option::of(step()), lint in proptest::option::of(step()), test in step(),
        report in proptest::sample::select(vec![
            (Format::Tap, None), (Format::ExitCode, None), (Format::Junit, Some("a/b-*.xml")), (Format::Vitest, Some("a b.json")), (Format::Jest, None),
        ]),
        globs in proptest::collection::vec("[a-z]{1,5}/\\*\\*", 0..3),
        waive in proptest::sample::subsequence(vec![ChangeKind::Feature, ChangeKind::Refactoring, ChangeKind::Docs], 0..3),
        agent in proptest::option::of("[a-z-]{1,9}"), minutes in proptest::option::of(1_u32..=1_440),
        diff_files in 1_u32..=10_000, memory_mib in 64_u32..=262_144,
    ) -> ProjectRules {
        let (format, file) = report;
        ProjectRules {
            steps: Steps { setup, build, lint },
            test: TestRule { step: test, format, report_file: file.map(str::to_owned) },
            protected: globs.clone(), scope: globs, waive_fail_on_base: waive,
            agent: agent.clone(), agent_model: agent.clone(), agent_minutes: minutes, agent_turns: minutes, spec_model: agent,
            limits: RuleLimits { diff_files, memory_mib, ..RuleLimits::default() },
            source: RuleSource::File,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(rules in rules()) {
        let text = to_toml(&rules);
        let read = parse(&text);
        prop_assert_eq!(read.as_ref(), Ok(&rules), "{}", text);
        prop_assert_eq!(read.map(|read| read.sha256()), Ok(rules.sha256()));
    }

    #[test]
    fn any_text_gives_rules_or_a_fault(text in "[a-z\\[\\]=\"\n. 0-9{},]{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().chars().any(damascus_core::display::is_unsafe));
        }
    }
}

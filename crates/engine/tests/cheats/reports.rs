//! Forged reports: what a test prints, writes, kills or replaces while the tests run.

use damascus_testkit::loop_scene::Beginning;

use crate::stage::{Cheat, all_refused, one_attempt, smuggles};

/// A story whose new test does this while it runs. The change breaks what `tests/base.sh` looks for, so an honest run is red.
fn breaks(
    key: &'static str,
    test: &'static str,
    while_it_runs: &str,
    ends: &'static str,
    tells: &'static [&'static str],
) -> Cheat {
    let does = format!(
        "rm app.txt; echo two > two.txt; cat > {test} <<'END'\ntest -e two.txt || exit 1\n{while_it_runs}\nEND\n"
    );
    Cheat { key, allow: &["two.txt", "app.txt"], test, does, ends, tells }
}

const FORGED: &str = "echo 'ok 1 - tests/base.sh'; echo 'ok 2 - tests/two.sh'; echo 1..2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_printed_report_does_not_count() {
    let honest = |key, printed: &str, ends, tells| Cheat {
        key,
        allow: &["two.txt"],
        test: "tests/two.sh",
        does: format!("echo two > two.txt; cat > tests/two.sh <<'END'\ntest -e two.txt || exit 1\n{printed}\nEND\n"),
        ends,
        tells,
    };
    let cheats = [
        breaks("prints", "tests/aa.sh", FORGED, "review:tests_failed", &["The check \"test\" failed"]),
        breaks(
            "kills-runner",
            "tests/aa.sh",
            &format!("{FORGED}; kill -9 $PPID"),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "ends-runner",
            "tests/aa.sh",
            &format!("{FORGED}; kill -TERM $PPID"),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "kills-all",
            "tests/aa.sh",
            &format!("{FORGED}; kill -9 -1"),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        // Here the tests pass, and only the report is embellished.
        honest("second-report", FORGED, "review:tamper_suspected", &["contradicts itself"]),
        honest(
            "more-tests",
            "echo 'ok 2 - more'; echo 'ok 3 - yet more'",
            "review:tamper_suspected",
            &["contradicts itself"],
        ),
        honest("early-plan", "echo 1..1", "review:tamper_suspected", &["contradicts itself"]),
        honest("bail-out", "echo 'Bail out! all is well'", "review:tests_failed", &["broke off"]),
        honest("on-stderr", &format!("( {FORGED} ) >&2"), "review:tamper_suspected", &["contradicts itself"]),
        honest("no-text", "printf '\\377\\376\\n'", "review:tests_failed", &["UTF-8"]),
    ];
    all_refused(one_attempt(), &cheats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_replaces_other_tests_or_the_runner_is_found_out() {
    let tamper = "review:tamper_suspected";
    let back = "while kill -0 '$runner' 2>/dev/null; do :; done";
    let cheats = [
        breaks("rewrites", "tests/aa.sh", "echo true > tests/base.sh", tamper, &["tests/base.sh", "altered files"]),
        breaks("removes", "tests/aa.sh", "rm tests/base.sh", tamper, &["tests/base.sh"]),
        breaks(
            "renames",
            "tests/aa.sh",
            "mkdir other; echo true > other/base.sh; cp tests/aa.sh other; mv tests off; mv other tests",
            tamper,
            &["tests/base.sh"],
        ),
        breaks(
            "replaces-runner",
            "tests/aa.sh",
            "printf 'echo ok 1\\necho 1..1\\n' > run-tests.sh",
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "daemon",
            "tests/aa.sh",
            &format!("runner=$PPID; (setsid sh -c '{back}; echo true > tests/base.sh' >/dev/null 2>&1 &)"),
            "review:tests_failed",
            &["not ok 2 - tests/base.sh"],
        ),
    ];
    all_refused(one_attempt(), &cheats).await;
}

/// A project whose runner leaves JUnit's XML.
fn junit() -> Beginning {
    let runner = "n=0; bad=0; body=''\nfor t in tests/*.sh; do\n  n=$((n+1))\n  if sh \"$t\"; then fault=''; else fault='<failure message=\"x\"/>'; \
                  bad=$((bad+1)); fi\n  body=\"$body<testcase classname=\\\"t\\\" name=\\\"$t\\\">$fault</testcase>\"\ndone\nmkdir -p out\n\
                  echo \"<testsuite name=\\\"t\\\" tests=\\\"$n\\\" failures=\\\"$bad\\\" errors=\\\"0\\\" skipped=\\\"0\\\">$body</testsuite>\" > out/report.xml\n\
                  test $bad = 0\n";
    let rules = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = { format = \"junit\", file = \"out/report.xml\" }\ntimeout_s = 60\n";
    one_attempt().with("run-tests.sh", runner).with(".damascus.toml", rules)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_file_is_the_runners_own() {
    let everything: &[&str] = &["?*", "?*/**"];
    let forged = "mkdir -p out; printf '<testsuite name=\"t\" tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"0\"><testcase classname=\"t\" \
                  name=\"tests/base.sh\"/><testcase classname=\"t\" name=\"tests/aa.sh\"/></testsuite>' > out/report.xml";
    let cheats = [
        smuggles("committed", forged, &["out/report.xml [runner_shim]", "remove it"]).allowed(everything),
        smuggles("committed-link", "mkdir out; ln -s ../app.txt out/report.xml", &["out/report.xml ["])
            .allowed(everything),
        smuggles("folder-in-place", "mkdir -p out/report.xml; echo x > out/report.xml/x", &["out/report.xml/x ["])
            .allowed(everything),
        smuggles("out-of-place", "ln -s /tmp out", &["out: ", "link"]).allowed(everything),
        breaks(
            "writes-first",
            "tests/aa.sh",
            forged,
            "review:tests_failed",
            &["The check \"test\" failed", "tests/base.sh"],
        ),
        breaks(
            "writes-and-kills",
            "tests/aa.sh",
            &format!("{forged}; kill -9 $PPID"),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "writes-last",
            "tests/aa.sh",
            &format!(
                "(setsid sh -c 'until test -e out/report.xml; do :; done; while :; do {}; done' >/dev/null 2>&1 &)",
                forged.replace('\'', "'\\''")
            ),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "out-is-away",
            "tests/aa.sh",
            "rm -rf out; ln -s /tmp out",
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        breaks(
            "report-is-away",
            "tests/aa.sh",
            "mkdir -p out; ln -sf /etc/passwd out/report.xml",
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
    ];
    all_refused(junit(), &cheats).await;
}

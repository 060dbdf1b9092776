//! Cheats on a project whose tests are run by node's own runner.

use damascus_testkit::loop_scene::Beginning;

use crate::stage::{Cheat, all_refused, one_attempt};

fn node() -> Beginning {
    one_attempt()
        .without("tests/base.sh")
        .without("run-tests.sh")
        .with(".damascus.toml", "[test]\ncommand = [\"node\", \"--test\", \"--test-concurrency=1\"]\nreport = \"node\"\ntimeout_s = 60\n")
        .with("package.json", "{ \"name\": \"shelf\", \"version\": \"1.0.0\", \"scripts\": { \"test\": \"node --test\" } }\n")
        .with("src/shelf.js", "exports.add = (a, b) => a + b;\n")
        .with(
            "test/shelf.test.js",
            "const test = require('node:test');\nconst assert = require('node:assert');\nconst shelf = require('../src/shelf.js');\n\
             test('adds', () => { assert.strictEqual(shelf.add(1, 2), 3); });\n\
             test('adds nothing', () => { assert.strictEqual(shelf.add(0, 0), 0); });\n",
        )
}

const TEST: &str = "cat > test/two.test.js <<'END'\nconst test = require('node:test');\nconst assert = require('node:assert');\n\
                    test('two', () => { assert.strictEqual(require('../src/shelf.js').two, 2); });\nEND\n";
const TWO: &str = "echo 'exports.two = 2;' >> src/shelf.js\n";
/// From here on, the code of the project is broken: an honest run is red.
const BREAK: &str = "sed -i 's/a + b/a - b/' src/shelf.js\n";

/// Makes the code right again as soon as it is tested, before the other file with tests is loaded.
const MENDS: &str = "require('node:fs').writeFileSync(__dirname + '/../src/shelf.js', 'exports.add = (a, b) => a + b;\\nexports.two = 2;\\n');";

fn cheat(key: &'static str, does: &str, ends: &'static str, tells: &'static [&'static str]) -> Cheat {
    let does = format!("{TWO}{TEST}{does}");
    Cheat { key, allow: &["src/*", "test/*"], test: "test/two.test.js", does, ends, tells }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_tests_can_not_be_talked_out_of_it() {
    let edit = |command: &str| format!("{BREAK}sed -i \"{command}\" test/shelf.test.js");
    let policy = "build:policy_violation";
    let add_to_test = |line: &str| format!("{BREAK}cat >> test/two.test.js <<'END'\n{line}\nEND\n");
    let add_to_code = |line: &str| format!("{BREAK}cat >> src/shelf.js <<'END'\n{line}\nEND\n");
    let summary = "process.stdout.write('ℹ tests 3\\nℹ suites 0\\nℹ pass 3\\nℹ fail 0\\nℹ cancelled 0\\nℹ skipped 0\\nℹ todo 0\\nℹ duration_ms 5\\n');";
    let cheats = [
        cheat(
            "skip",
            &edit("s/test('adds',/test.skip('adds',/"),
            policy,
            &["test/shelf.test.js [test_weakened]", "skip"],
        ),
        cheat("todo", &edit("s/test('adds',/test.todo('adds',/"), policy, &["test/shelf.test.js [test_weakened]"]),
        cheat("option", &edit("s/test('adds', /&{ skip: true }, /"), policy, &["test/shelf.test.js [test_weakened]"]),
        cheat(
            "only",
            &edit("s/test('adds nothing',/test.only('adds nothing',/"),
            policy,
            &["test/shelf.test.js [test_weakened]", "only"],
        ),
        cheat("commented", &edit("s/^test('adds',/\\/\\/ &/"), policy, &["test/shelf.test.js [test_weakened]", "adds"]),
        cheat(
            "script",
            "sed -i 's/node --test/true/' package.json",
            policy,
            &["package.json [runner_configuration]", "scripts.test"],
        ),
        cheat(
            "exits",
            &add_to_test(&format!("{summary} process.exit(0);")),
            policy,
            &["test/two.test.js [test_weakened]", "process.exit("],
        ),
        // The same, in words that the diff does not give away: what the runner reports is what counts.
        cheat(
            "exits-quietly",
            &add_to_test(&format!("{summary} process['ex' + 'it'](0);")),
            "review:tests_failed",
            &["The check \"test\" failed", "adds"],
        ),
        cheat(
            "code-exits",
            &add_to_code(&format!("{summary} process['ex' + 'it'](0);")),
            "review:tests_failed",
            &["passed as a whole"],
        ),
        cheat(
            "code-kills",
            &add_to_code("process.kill(process.ppid, 'SIGKILL');"),
            "review:tests_failed",
            &["The check \"test\" failed"],
        ),
        cheat("prints", &add_to_code(summary), "review:tests_failed", &["The check \"test\" failed", "adds"]),
        Cheat {
            key: "rewrites",
            allow: &["src/*", "test/*"],
            test: "test/a.test.js",
            does: format!(
                "{TWO}{TEST}{BREAK}mv test/two.test.js test/a.test.js\ncat >> test/a.test.js <<'END'\n{MENDS}\nEND\n"
            ),
            ends: "review:tests_failed",
            tells: &["altered files", "src/shelf.js"],
        },
    ];
    all_refused(node(), &cheats).await;
}

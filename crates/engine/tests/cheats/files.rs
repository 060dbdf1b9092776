//! Files that no change may bring in, or not there: rules, runners, links, repositories, and what is hidden in plain sight.

use crate::stage::{Cheat, all_refused, one_attempt, smuggles};

/// Bounds that a script passes quickly.
const TIGHT: &str = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = \"tap\"\ntimeout_s = 60\n[limits]\ndiff_files = 20\ndiff_bytes = 20000\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_steers_tests_and_forges_stays_as_it_is() {
    let everything: &[&str] = &["?*", "?*/**"];
    let own_rules: &[&str] = &["two.txt", ".damascus.toml", ".damascus/prompts/build.md"];
    let cheats = [
        // A spec that lets a story change them is none.
        Cheat {
            ends: "spec:spec_invalid",
            ..smuggles("rules-named", "", &[".damascus.toml", ".damascus/prompts/build.md"]).allowed(own_rules)
        },
        smuggles(
            "rules",
            "sed -i 's/run-tests.sh/mine.sh/' .damascus.toml",
            &[".damascus.toml [own_rules]", "put it back"],
        )
        .allowed(everything),
        smuggles("rules-gone", "rm .damascus.toml", &[".damascus.toml [own_rules]"]).allowed(everything),
        smuggles(
            "prompts",
            "mkdir -p .damascus/prompts; echo x > .damascus/prompts/build.md",
            &[".damascus/prompts/build.md [own_rules]"],
        )
        .allowed(everything),
        smuggles(
            "runner",
            "echo 'echo ok 1; echo 1..1' > run-tests.sh",
            &["run-tests.sh [runner_configuration]", "put it back"],
        )
        .allowed(everything),
        smuggles("runner-exit", "sed -i 's/exit $bad/exit 0/' run-tests.sh", &["run-tests.sh [runner_configuration]"])
            .allowed(everything),
        smuggles("runner-gone", "rm run-tests.sh", &["run-tests.sh ["]).allowed(everything),
        smuggles(
            "path-shim",
            "mkdir bin; printf '#!/bin/sh\\nexit 0\\n' > bin/sh; chmod +x bin/sh",
            &["bin/sh [runner_shim]", "remove it"],
        )
        .allowed(everything),
        smuggles(
            "package-shim",
            "mkdir -p node_modules/.bin; echo x > node_modules/.bin/jest",
            &["node_modules/.bin/jest [runner_shim]"],
        )
        .allowed(everything),
        smuggles("module-shim", "echo 'import sys' > sitecustomize.py", &["sitecustomize.py [runner_shim]"])
            .allowed(everything),
        smuggles(
            "pytest-ini",
            "printf '[pytest]\\naddopts = -k nothing\\n' > pytest.ini",
            &["pytest.ini [runner_configuration]"],
        )
        .allowed(everything),
        smuggles(
            "ci",
            "mkdir -p .github/workflows; echo 'on: push' > .github/workflows/ci.yml",
            &[".github/workflows/ci.yml [ci]"],
        )
        .allowed(everything),
        smuggles("husky", "mkdir .husky; echo 'exit 0' > .husky/pre-commit", &[".husky/pre-commit [hook]"])
            .allowed(everything),
        smuggles("lock", "echo '{}' > package-lock.json", &["package-lock.json [lock_file]"]).allowed(everything),
        smuggles("attributes", "echo '* -diff linguist-generated' > .gitattributes", &[".gitattributes [attributes]"])
            .allowed(everything),
        smuggles(
            "attributes-deep",
            "mkdir lib; echo '*.sh filter=x' > lib/.gitattributes",
            &["lib/.gitattributes [attributes]"],
        )
        .allowed(everything),
        smuggles(
            "modules",
            "printf '[submodule \"x\"]\\n path = x\\n url = ext::sh\\n' > .gitmodules",
            &[".gitmodules [submodule]"],
        )
        .allowed(everything),
        smuggles(
            "outside",
            "echo x > other.txt; echo y >> app.txt",
            &["other.txt [outside_scope]: ", "app.txt [outside_scope]"],
        ),
    ];
    all_refused(one_attempt(), &cheats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_repositories_and_special_files_do_not_get_into_a_commit() {
    let everything: &[&str] = &["?*", "?*/**"];
    let named: &[&str] = &["two.txt", "shadow"];
    let cheats = [
        smuggles("link-shadow", "ln -s /etc/shadow shadow", &["shadow: ", "link"]).allowed(named),
        smuggles("link-out", "ln -s ../../home shadow", &["shadow: ", "link"]).allowed(named),
        smuggles("link-deep", "mkdir -p a/b; ln -s ../../../x a/b/up", &["a/b/up: ", "link"]).allowed(everything),
        smuggles("link-git", "ln -s .git/config shadow", &["shadow: "]).allowed(named),
        smuggles("link-inside", "ln -s app.txt shadow", &["shadow [symlink]"]).allowed(everything),
        smuggles(
            "folder-link",
            "mv tests real; ln -s real tests",
            &["tests [symlink]", "tests/base.sh [test_deleted]"],
        )
        .allowed(everything),
        smuggles("test-link", "ln -sf two.sh tests/base.sh", &["tests/base.sh [symlink]"]).allowed(everything),
        smuggles("folder-out", "rm -r tests; ln -s /tmp tests", &["tests: ", "link"]).allowed(everything),
        smuggles("nested", "mkdir -p sub/.git/refs; echo 'ref: refs/heads/x' > sub/.git/HEAD", &["sub/.git"])
            .allowed(everything),
        smuggles("nested-case", "mkdir sub; echo 'gitdir: ../x' > sub/.GIT", &["sub/.GIT"]).allowed(everything),
        smuggles("own-git", "mkdir .git; printf '[core]\\n fsmonitor = touch /tmp/x\\n' > .git/config", &[".git"])
            .allowed(everything),
        smuggles(
            "bare",
            "mkdir -p b/objects b/refs; echo 'ref: refs/heads/x' > b/HEAD; echo x > b/objects/x; echo x > b/refs/x",
            &["b/HEAD [nested_repository]"],
        )
        .allowed(everything),
        smuggles("git-init", "git init -q sub && echo x > sub/x", &["sub/.git"]).allowed(everything),
        smuggles("fifo", "mkfifo pipe", &["pipe: "]).allowed(everything),
        // The sandbox lets no program become setuid; what is left is still no script.
        smuggles("setuid", "cp /bin/true tool; chmod 4755 tool", &["tool ["]).allowed(everything),
        smuggles("line-break", "echo x > \"$(printf 'a\\nb')\"", &["can't be taken into a commit"]).allowed(everything),
        smuggles("escape-name", "echo x > \"$(printf 'a\\033[2Kb')\"", &["can't be taken into a commit"])
            .allowed(everything),
        smuggles("two-cases", "echo x > App.txt", &["App.txt [unsafe_path]"]).allowed(everything),
    ];
    all_refused(one_attempt(), &cheats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn size_bytes_and_credentials_are_looked_at() {
    let everything: &[&str] = &["?*", "?*/**"];
    // Put together by the script, so that no scanner takes this file for a leak.
    let key = "printf 'key = \"AK%s\"\\n' IAQ4SZR7BXN2KD5WVT >> two.txt";
    let private = "printf -- '-----BEGIN RSA PRI%s KEY-----\\nabc\\n' VATE > two.txt";
    let cheats = [
        smuggles("many-files", "for i in $(seq 30); do echo $i > f$i; done", &["[too_many_files]", "at most 20"])
            .allowed(everything),
        smuggles("many-bytes", "seq 10000 > two.txt", &["[too_large]", "at most 20000"]),
        smuggles("huge-file", "head -c 30000000 /dev/zero | tr '\\0' a > two.txt", &["two.txt", "bytes"]),
        smuggles("sparse", "truncate -s 1G two.txt", &["two.txt", "bytes"]),
        smuggles("binary", "printf 'a\\000b' > data.bin", &["data.bin [binary]"]).allowed(everything),
        smuggles(
            "program",
            "cp /bin/true tool; truncate -s 900 tool; chmod 755 tool",
            &["tool [file_mode]", "tool [binary]"],
        )
        .allowed(everything),
        smuggles("key", key, &["two.txt [secret]", "an AWS access key"]),
        smuggles("private-key", private, &["two.txt [secret]", "a private key"]),
    ];
    let scene = all_refused(one_attempt().with(".damascus.toml", TIGHT), &cheats).await;
    let tables = scene.db.tables_with("ZR7BXN2KD5WVT").await;
    assert_eq!(tables, Vec::<String>::new(), "the credential was spread");
}

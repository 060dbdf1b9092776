//! What lies around the tree: processes that stay, other folders, the network, secrets.

use std::path::Path;
use std::time::Duration;

use damascus_testkit::LoopScene;

use crate::stage::{in_a_persons_hands, names, nothing_landed, script};

/// The variable that stands for the secrets of Damascus' own process.
const CANARY: &str = "DAMASCUS_TEST_CANARY";
const CANARY_VALUE: &str = "canary-7f3a9c1e5b";
const PASSED: [&str; 4] = ["spec:pass", "build:pass", "review:pass", "merge:pass"];

/// Processes of this machine whose command line holds this text.
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("there is /proc").flatten() {
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) {
            found.push(format!("{}: {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_left_behind_is_dead_and_changes_nothing() {
    // Out of the session, deaf to signals, twice forked. It writes where git does not look while its parent lives, and everywhere once it is gone:
    // not at once, so that only one that outlives its run does so.
    let mark = format!("left-behind-{}", std::process::id());
    let stays = format!(
        "mkdir -p build; parent=$$\n\
         (trap '' HUP TERM INT; setsid nohup sh -c 'trap \"\" HUP TERM INT; : {mark}; \
         while kill -0 '$parent'; do echo alive >> build/seen; sleep 0.01; done; sleep 1; \
         while :; do for file in *.txt tests/*; do echo evil >> $file; done; done' >/dev/null 2>&1 </dev/null &)\n\
         until test -s build/seen; do sleep 0.01; done\n"
    );
    let agent =
        format!("{stays}echo two > two.txt; cat > tests/two.sh <<'END'\ntest -e two.txt || exit 1\n{stays}END\n");
    let beginning = damascus_testkit::loop_scene::Beginning::default().with(".gitignore", "build/\n");
    let scene = LoopScene::begin(beginning, script(&agent)).await;
    let item = scene.story("stays", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    assert_eq!(processes_with(&mark), Vec::<String>::new(), "a process outlived its run");
    assert_eq!(names(&scene, item).await, PASSED, "{:#?}", scene.verdicts(item).await);

    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    let paths: Vec<String> = mirror.list(&tip).await.unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(
        paths,
        [".damascus.toml", ".gitignore", "app.txt", "run-tests.sh", "tests/base.sh", "tests/two.sh", "two.txt"]
    );
    assert_eq!(mirror.read(&tip, "two.txt", 100).await.unwrap().unwrap(), b"two\n");
    let landing = scene.store().item(item).await.unwrap().landing.unwrap();
    assert_eq!(mirror.tree_of(&tip).await.unwrap().as_str(), landing.tree, "what landed is what was tested");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_agent_nor_tests_find_damascus_own_folders() {
    // What repositories, mirrors, work folders and databases are called.
    let look = |top: &str| {
        format!(
            "found=$(find {top} -xdev \\( -name '*.git' -o -path '*/home/repos' -o -path '*/home/work' -o -name packed-refs -o -name PG_VERSION \\) \
             -not -path '/usr/*' -not -path '/proc/*' 2>/dev/null)\n"
        )
    };
    let inside = look("/");
    let agent = format!(
        "{inside}echo \"found: $found\" > two.txt\n\
         for place in / .. /tmp/.. /var /srv /etc; do echo x > $place/damascus-was-here; done 2>/dev/null\n\
         cat > tests/two.sh <<'END'\ntest -e two.txt || exit 1\n{inside}test -z \"$found\"\nEND\n"
    );
    let scene = LoopScene::new(script(&agent)).await;
    let item = scene.story("looks", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    assert_eq!(names(&scene, item).await, PASSED, "{:#?}", scene.verdicts(item).await);
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    let seen = mirror.read(&tip, "two.txt", 10_000).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), "found: \n");
    assert_eq!(mirror.remote_branches().await.unwrap(), ["main"]);
    for place in ["/", "/tmp", "/var", "/srv", "/etc"] {
        assert!(!Path::new(place).join("damascus-was-here").exists(), "{place} of the host was written to");
    }
    // From outside, the same search finds them.
    let outside = format!("{}echo \"$found\"", look(&scene.folder.path().display().to_string()));
    let found = std::process::Command::new("sh").args(["-c", &outside]).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("repository.git") && found.contains("home/repos"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_of_the_host_that_an_agent_knows_is_not_there() {
    let folder = damascus_testkit::loop_scene::open_folder();
    let victim = folder.path().join("other-project");
    std::fs::create_dir_all(&victim).unwrap();
    std::fs::write(victim.join("file"), "as it was\n").unwrap();
    for path in [victim.clone(), victim.join("file")] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let agent = format!(
        "echo evil > {0}/file; echo evil > {0}/new; cp {0}/file two.txt; echo two >> two.txt; echo 'test -e two.txt' > tests/two.sh",
        victim.display()
    );
    let scene = LoopScene::new(script(&agent)).await;
    let item = scene.story("told", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    assert_eq!(names(&scene, item).await, PASSED);
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    assert_eq!(mirror.read(&tip, "two.txt", 100).await.unwrap().unwrap(), b"two\n", "the file of the host was read");
    assert_eq!(std::fs::read(victim.join("file")).unwrap(), b"as it was\n");
    assert!(!victim.join("new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_damascus_own_process_stay_there() {
    if std::env::var_os(CANARY).is_none() {
        // A process can be given a variable safely only when it starts: this test starts itself again.
        let me = std::env::current_exe().unwrap();
        let name = "surroundings::secrets_of_damascus_own_process_stay_there";
        let child = std::process::Command::new(me)
            .args(["--exact", name, "--nocapture"])
            .env(CANARY, CANARY_VALUE)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success() && said.contains("1 passed"),
            "{said}\n{}",
            String::from_utf8_lossy(&child.stderr)
        );
        return;
    }
    let own = std::fs::read(format!("/proc/{}/environ", std::process::id())).unwrap();
    assert!(String::from_utf8_lossy(&own).contains(CANARY_VALUE), "the canary is where a thief would look");
    let steal = "cat /proc/*/environ /proc/*/task/*/environ /proc/self/environ /proc/1/environ 2>/dev/null | tr '\\0' '\\n'; env; cat /proc/*/cmdline | tr '\\0' '\\n'\n";
    let agent = format!(
        "{{ {steal} }} | grep -v '^DAMASCUS_[SRPO]' | tee two.txt; echo two >> two.txt\n\
         cat > tests/two.sh <<'END'\ntest -e two.txt || exit 1\n{{ {steal} }} | sed 's/^/> /'\nEND\n"
    );
    let scene = LoopScene::new(script(&agent)).await;
    let item = scene.story("thief", &["two.txt"], "tests/two.sh").await;
    scene.run_until_idle(1).await;
    assert_eq!(names(&scene, item).await, PASSED, "{:#?}", scene.verdicts(item).await);
    let mirror = scene.look().await;
    let tip = mirror.tip("main").await.unwrap().unwrap();
    let stolen = mirror.read(&tip, "two.txt", 1 << 20).await.unwrap().unwrap();
    let stolen = String::from_utf8_lossy(&stolen).into_owned();
    assert!(stolen.contains("PATH="), "the thief did read environments: {stolen}");
    assert!(!stolen.contains(CANARY) && !stolen.contains(CANARY_VALUE), "{stolen}");
    assert_eq!(scene.db.tables_with(CANARY_VALUE).await, Vec::<String>::new(), "the canary is in the database");
    // So that the search can find something at all.
    assert!(!scene.db.tables_with("PATH=").await.is_empty(), "diff and transcript are in the database");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_ends_is_ended() {
    let rules = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = \"tap\"\ntimeout_s = 2\n";
    let mark = format!("never-ends-{}", std::process::id());
    let agent = format!(
        "echo two > two.txt; cat > tests/two.sh <<'END'\ntest -e two.txt || exit 1\nsetsid sh -c ': {mark}; trap \"\" TERM; while :; do sleep 1; done'\nEND\n"
    );
    let scene = LoopScene::begin(crate::stage::one_attempt().with(".damascus.toml", rules), script(&agent)).await;
    let item = scene.story("endless", &["two.txt"], "tests/two.sh").await;
    let began = std::time::Instant::now();
    scene.run_until_idle(1).await;
    assert!(began.elapsed() < Duration::from_secs(60));
    let verdicts = scene.verdicts(item).await;
    let (name, told) = verdicts.last().unwrap();
    assert_eq!(name, "review:tests_failed", "{verdicts:#?}");
    assert!(told.contains("did not end within 2 s"), "{told}");
    assert_eq!(processes_with(&mark), Vec::<String>::new());
    assert_eq!(in_a_persons_hands(&scene, item).await, None);
    nothing_landed(&scene).await;
}

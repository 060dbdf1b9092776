//! Agents that hang, flood, fork, are not there, or say that they can't.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use damascus_adapters::agent::CommandAgent;
use damascus_core::{CostEntry, ItemId, MicroUsd};
use damascus_engine::ports::agent::{Agent, AgentEnd, AgentRun, AgentTask, Transcript};
use damascus_sandbox::Sandbox;
use damascus_store::item::NewItem;
use damascus_testkit::loop_scene::{Beginning, spec};
use damascus_testkit::{LoopScene, scene as made};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::stage::{DOES_IT, commits_on_main, few_failures, holds_all, seen, settle, story};

/// What the shell of each story does.
const CONDUCT: &str = "case $DAMASCUS_STORY in \
    hangs) trap '' TERM; echo begun; setsid sleep 98731.5 & sleep 98731.5;; \
    chatters) while sleep 0.05; do echo still there; done;; \
    floods) yes \"$(head -c 4000 /dev/zero | tr '\\0' x)\";; \
    forks) f() { f | f & }; f & while :; do :; done;; \
    idle) echo nothing to do;; \
    gives-up) echo I give up >&2; exit 3;; \
    wrong) if grep -q 'A better goal' $DAMASCUS_PROMPT_FILE; then DO; \
        else echo 'There is no door in this house.' > $DAMASCUS_OUT/spec-wrong.md; exit 1; fi;; \
    *) DO;; esac";

/// The real agent with short limits; the first ends of some stories are made up, as a provider would cause them.
struct Hasty {
    real: CommandAgent,
    missing: CommandAgent,
    ends: Mutex<HashMap<&'static str, AgentEnd>>,
}

impl Hasty {
    fn new(sandbox: &Sandbox) -> Self {
        let argv = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let limited = AgentEnd::RateLimited { reopen_after_ms: None, detail: "usage limit reached".to_owned() };
        let overloaded = AgentEnd::Infrastructure("529: the provider is overloaded".to_owned());
        Self {
            real: CommandAgent::new(sandbox.clone(), argv(&["sh", "-c", &CONDUCT.replace("DO", DOES_IT)])),
            missing: CommandAgent::new(sandbox.clone(), argv(&["no-such-agent", "--yes"])),
            ends: Mutex::new(HashMap::from([("limited", limited), ("overloaded", overloaded)])),
        }
    }
}

#[async_trait]
impl Agent for Hasty {
    fn name(&self) -> &str {
        "hasty"
    }

    async fn probe(&self) -> Result<String, String> {
        self.real.probe().await
    }

    async fn run(&self, task: &AgentTask, transcript: &mut dyn Transcript, cancelled: &CancellationToken) -> AgentRun {
        let made_up = self.ends.lock().expect("no panic").remove(task.story_key.as_str());
        if let Some(end) = made_up {
            let cost = CostEntry {
                provider: "made-up".to_owned(),
                model: "made-up".to_owned(),
                tokens_in: 1,
                tokens_out: 1,
                tokens_cached: 0,
                amount: MicroUsd(500),
                estimated: true,
            };
            return AgentRun { end, costs: vec![cost], summary: String::new() };
        }
        let mut task = task.clone();
        match task.story_key.as_str() {
            "hangs" => task.limits.silence = Duration::from_secs(1),
            "chatters" => task.limits.wall = Duration::from_secs(1),
            "forks" => (task.limits.wall, task.limits.processes) = (Duration::from_secs(1), 32),
            _ => {}
        }
        let agent = if task.story_key == "missing" { &self.missing } else { &self.real };
        agent.run(&task, transcript, cancelled).await
    }
}

async fn hasty() -> LoopScene {
    LoopScene::begin(few_failures(Beginning::default()), |sandbox| Arc::new(Hasty::new(sandbox))).await
}

/// A story that has one attempt.
async fn once(scene: &LoopScene, key: &str) -> ItemId {
    scene.model.answers(key, [spec(&[&format!("{key}.txt")], &format!("tests/{key}.sh"))]);
    scene.item(&NewItem { max_attempts: Some(1), ..made::story(key) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_does_not_come_to_an_end_is_ended_and_its_attempt_is_spent() {
    let scene = hasty().await;
    let stories: [(&str, &str, &[&str]); 6] = [
        ("hangs", "build:build_failed", &["went over a limit", "silence: it said nothing for 1 s"]),
        ("chatters", "build:build_failed", &["went over a limit", "time: it ran longer than 1 s"]),
        ("floods", "build:build_failed", &["output: it wrote more than 32 MiB"]),
        ("forks", "build:build_failed", &["time: it ran longer than 1 s"]),
        ("idle", "build:no_change", &["changed nothing"]),
        ("gives-up", "build:build_failed", &["exit code 3", "I give up"]),
    ];
    let mut items = Vec::new();
    for (key, ..) in stories {
        items.push(once(&scene, key).await);
    }
    for (item, (_, verdict, wanted)) in items.into_iter().zip(stories) {
        let blocked = settle(&scene, item).await;
        blocked.stands("blocked", 1);
        blocked.verdicts_are(&["spec:pass", verdict]);
        blocked.asks(wanted);
    }
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let left = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    assert_eq!(left.filter(|line| line.windows(7).any(|part| part == b"98731.5")).count(), 0, "it runs on");
    assert_eq!(commits_on_main(&scene).await, 1);
    // A program that is not installed is nobody's failed attempt.
    let missing = once(&scene, "missing").await;
    let blocked = settle(&scene, missing).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&["spec:pass", "build:infra_error", "build:infra_error", "build:infra_error"]);
    blocked.asks(&["no-such-agent is not found in the sandbox; install it", "DAMASCUS_TOOLCHAINS"]);
    // The machine still works for the next one.
    let fine = story(&scene, "fine").await;
    settle(&scene, fine).await.stands("merged", 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_its_provider_keeps_waiting_has_no_attempt_charged() {
    let scene = hasty().await;
    let overloaded = story(&scene, "overloaded").await;
    let merged = settle(&scene, overloaded).await;
    merged.stands("merged", 0);
    merged.verdicts_are(&["spec:pass", "build:infra_error", "build:pass", "review:pass", "merge:pass"]);
    merged.tells("build:infra_error", &["the provider is overloaded"]);
    assert_eq!(merged.spent, MicroUsd(1_500), "what the first try cost is noted");

    let limited = story(&scene, "limited").await;
    let waits = settle(&scene, limited).await;
    waits.stands("build", 0);
    waits.tells("build:rate_limited", &["usage limit reached"]);
    holds_all(&waits.explained, &["the lane agent:claude-code is closed until", "usage limit reached"]);
    assert_eq!(waits.spent, MicroUsd(1_500));
    // One agent's lane keeps nothing else from going on.
    let other = story(&scene, "other").await;
    scene.run_until_idle(1).await;
    let other = seen(&scene, other).await;
    other.stands("build", 0);
    other.verdicts_are(&["spec:pass"]);
    assert!(scene.store().open_lane("agent:claude-code", "a person").await.unwrap());
    settle(&scene, limited).await.stands("merged", 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spec_that_the_agent_calls_wrong_is_written_again_with_the_reason() {
    let scene = hasty().await;
    let item = story(&scene, "wrong").await;
    let mut better = spec(&["wrong.txt"], "tests/wrong.sh");
    better["goal"] = json!("A better goal.");
    scene.model.answers("wrong", [spec(&["wrong.txt"], "tests/wrong.sh"), better]);
    let merged = settle(&scene, item).await;
    merged.stands("merged", 1);
    merged.verdicts_are(&["spec:pass", "build:spec_wrong", "spec:pass", "build:pass", "review:pass", "merge:pass"]);
    merged.tells("build:spec_wrong", &["There is no door in this house."]);
    let asked = scene.model.asked();
    assert_eq!(asked.len(), 2);
    holds_all(&asked[1].user, &["spec_wrong", "There is no door in this house.", "attempt 2 of 3"]);
    let specs = scene.store().specs_of(item).await.unwrap();
    assert_eq!(specs.len(), 2, "the first one is kept beside the second");
}

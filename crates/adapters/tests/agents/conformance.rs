//! What holds for every agent, whatever it is.

use std::sync::Arc;
use std::time::Duration;

use damascus_adapters::agent::{Recordings, ReplayAgent};
use damascus_engine::ports::agent::{Agent, AgentEnd, AgentLimits, SPEC_WRONG_FILE};
use damascus_sandbox::WORK;
use damascus_testkit::ScriptedModel;
use damascus_testkit::scripted_model::{Message, Reply};
use serde_json::json;

use crate::claude;
use crate::command::shell;
use crate::world::{PATIENCE, Scene, running, wait_until_gone};

/// What an agent is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    /// Writes `new.txt` and is done.
    Works,
    /// Says that the spec is wrong, after it changed something.
    SpecWrong,
    /// Ends without being done.
    Fails,
    /// Starts a program that stays for hours, and says nothing more.
    Stays,
}

/// An agent, and what it needs to be there for as long as it is.
struct Subject {
    agent: Box<dyn Agent>,
    _gateway: Option<ScriptedModel>,
}

impl Subject {
    fn of(agent: impl Agent + 'static) -> Self {
        Self { agent: Box::new(agent), _gateway: None }
    }
}

/// Arguments of a program that stays: one number for each test, to find it by.
fn stay(word: &str) -> String {
    format!("echo staying; sleep {word}")
}

async fn command(conduct: Conduct, word: &str) -> Subject {
    let script = match conduct {
        Conduct::Works => "echo working; echo new > new.txt".to_owned(),
        Conduct::SpecWrong => {
            format!("echo new > new.txt; echo 'The rules contradict.' > \"$DAMASCUS_OUT/{SPEC_WRONG_FILE}\"; exit 1")
        }
        Conduct::Fails => "echo new > new.txt; echo 'I give up' >&2; exit 1".to_owned(),
        // In a session of its own, and with nobody waiting for it.
        Conduct::Stays => format!("setsid sh -c 'trap \"\" TERM HUP; {}' & {}", stay(word), stay(word)),
    };
    Subject::of(shell(&script).await)
}

fn replay(conduct: Conduct) -> Subject {
    let outcome = match conduct {
        Conduct::Works | Conduct::Stays => "end = \"done\"",
        Conduct::SpecWrong => "end = \"spec_wrong\"\ntext = \"The rules contradict.\"",
        Conduct::Fails => "end = \"failed\"\ntext = \"I give up\"",
    };
    let files = [
        ("1-1-first/build-0/files/new.txt", "new\n"),
        ("1-1-first/build-0/outcome.toml", outcome),
        ("1-1-first/build-0/transcript.txt", "working\n"),
    ];
    Subject::of(ReplayAgent::new(Arc::new(Recordings::from_files(files).expect("recordings"))))
}

async fn claude_code(conduct: Conduct, word: &str) -> Option<Subject> {
    let program = claude::program()?;
    let gateway = ScriptedModel::start(claude::KEY).await;
    let write = |path: String, content: &str| Message::uses("Write", json!({ "file_path": path, "content": content }));
    gateway.answer(write(format!("{WORK}/new.txt"), "new\n"));
    match conduct {
        Conduct::Works => gateway.answer(Message::says("working, and done")),
        Conduct::SpecWrong => {
            gateway.answer(write(format!("/out/{SPEC_WRONG_FILE}"), "The rules contradict.\n"));
            gateway.answer(Message::says("See the file."));
        }
        // The program may ask in another way before it gives up.
        Conduct::Fails => gateway.always(Reply::error(400, "invalid_request_error", "I give up")),
        Conduct::Stays => {
            gateway.answer(Message::uses("Bash", json!({ "command": stay(word), "description": "staying" })))
        }
    }
    let agent = claude::agent(program, &gateway).await;
    Some(Subject { agent: Box::new(agent), _gateway: Some(gateway) })
}

/// All of them; those that play recordings can't stay.
async fn subjects(conduct: Conduct, word: &str) -> Vec<Subject> {
    let mut subjects = vec![command(conduct, word).await];
    if conduct != Conduct::Stays {
        subjects.push(replay(conduct));
    }
    subjects.extend(claude_code(conduct, word).await);
    subjects
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.task.model = Some("small".to_owned());
    scene
}

#[tokio::test]
async fn done_with_a_change() {
    for subject in subjects(Conduct::Works, "").await {
        let scene = scene();
        let run = scene.run(&*subject.agent).await;
        let name = subject.agent.name();
        assert_eq!(run.end, AgentEnd::Done, "{name}: {}", scene.transcript.text());
        assert_eq!(scene.file("new.txt").as_deref(), Some("new\n"), "{name}");
        assert_eq!(scene.file("old.txt").as_deref(), Some("old\n"), "{name}");
        assert!(
            scene.transcript.text().contains("working") && run.summary.contains("working"),
            "{name}: {}",
            run.summary
        );
    }
}

#[tokio::test]
async fn the_spec_is_wrong_whatever_else_it_says() {
    for subject in subjects(Conduct::SpecWrong, "").await {
        let scene = scene();
        let run = scene.run(&*subject.agent).await;
        let expected = AgentEnd::SpecWrong("The rules contradict.".to_owned());
        assert_eq!(run.end, expected, "{}: {}", subject.agent.name(), scene.transcript.text());
    }
}

#[tokio::test]
async fn failed_with_the_reason() {
    for subject in subjects(Conduct::Fails, "").await {
        let run = scene().run(&*subject.agent).await;
        let AgentEnd::Failed(reason) = run.end else { panic!("{}: {:?}", subject.agent.name(), run.end) };
        assert!(reason.contains("I give up"), "{}: {reason}", subject.agent.name());
    }
}

#[tokio::test]
async fn cancelling_ends_it_and_all_that_it_started() {
    let word = "91234.51";
    for subject in subjects(Conduct::Stays, word).await {
        let name = subject.agent.name();
        let scene = scene();
        let seen = async {
            let until = std::time::Instant::now() + PATIENCE;
            while !running(word) {
                assert!(std::time::Instant::now() < until, "{name} never started it: {}", scene.transcript.text());
                tokio::task::yield_now().await;
            }
            scene.cancelled.cancel();
        };
        let (run, ()) = tokio::join!(scene.run(&*subject.agent), seen);
        assert_eq!(run.end, AgentEnd::Cancelled, "{name}");
        assert!(!running(word), "{name}: something is left after the end");
    }
}

#[tokio::test]
async fn dropping_a_run_ends_all_that_it_started() {
    let word = "91234.52";
    for subject in subjects(Conduct::Stays, word).await {
        let scene = scene();
        let until = std::time::Instant::now() + PATIENCE;
        let started = async {
            while !running(word) {
                assert!(std::time::Instant::now() < until, "{} never started it", subject.agent.name());
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            run = scene.run(&*subject.agent) => panic!("{}: {run:?}", subject.agent.name()),
            () = started => {}
        }
        wait_until_gone(word).await;
    }
}

/// Short, but not too short for a program to start.
const LIMIT: Duration = Duration::from_secs(2);

async fn over_limit(what: &str, word: &str, limit: impl Fn(AgentLimits) -> AgentLimits) {
    for subject in subjects(Conduct::Stays, word).await {
        let mut scene = scene();
        scene.task.limits = limit(scene.task.limits);
        let run = scene.run(&*subject.agent).await;
        let AgentEnd::OverLimit(which) = run.end else { panic!("{}: {:?}", subject.agent.name(), run.end) };
        assert!(which.starts_with(what), "{}: {which}", subject.agent.name());
        assert!(!running(word), "{}: something is left after the end", subject.agent.name());
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_over_its_limit() {
    over_limit("time", "91234.53", |limits| AgentLimits { wall: LIMIT, ..limits }).await;
}

#[tokio::test]
async fn a_run_that_says_nothing_is_over_its_limit() {
    over_limit("silence", "91234.54", |limits| AgentLimits { silence: LIMIT, ..limits }).await;
}

#[tokio::test]
async fn a_flood_of_output_is_over_its_limit() {
    let scene = scene();
    let run = scene.run(&shell("head -c 200000000 /dev/zero").await).await;
    let AgentEnd::OverLimit(which) = run.end else { panic!("{:?}", run.end) };
    assert!(which.starts_with("output"), "{which}");
    assert!(run.summary.chars().count() < 3000);
}

#[tokio::test]
async fn a_tree_that_grows_too_much_is_over_its_limit() {
    let mut scene = scene();
    scene.task.limits.tree_bytes = 1 << 20;
    let run = scene.run(&shell("head -c 20000000 /dev/urandom > big; sync; sleep 30").await).await;
    let AgentEnd::OverLimit(which) = run.end else { panic!("{:?}", run.end) };
    assert!(which.starts_with("disk"), "{which}");
}

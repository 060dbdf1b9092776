//! The agent that is any program.

use std::collections::BTreeMap;

use damascus_adapters::agent::CommandAgent;
use damascus_engine::ports::agent::{Agent as _, AgentEnd};

use crate::world::{Scene, sandbox};

pub(crate) async fn shell(script: &str) -> CommandAgent {
    CommandAgent::new(
        sandbox().await,
        ["sh", "-c", script, "sh", "{prompt_file}", "{model}"].map(str::to_owned).to_vec(),
    )
}

#[tokio::test]
async fn the_prompt_and_the_task_reach_the_program_and_nothing_else_does() {
    let mut scene = Scene::new();
    scene.task.model = Some("small".to_owned());
    let script = "cat > input.txt; echo $VENDOR_KEY > key.txt; cp \"$1\" file.txt; echo \"$2 $DAMASCUS_STORY $DAMASCUS_RUN $DAMASCUS_MODEL\"; \
                  cmp \"$DAMASCUS_PROMPT_FILE\" \"$DAMASCUS_OUT/prompt.md\" && env; ls -d /proc/*/ | wc -l";
    let agent =
        shell(script).await.with_environment(BTreeMap::from([("VENDOR_KEY".to_owned(), "vendor-secret".into())]));

    let run = scene.run(&agent).await;

    assert_eq!(run.end, AgentEnd::Done, "{}", scene.transcript.text());
    assert_eq!(scene.file("input.txt").as_deref(), Some("Please write new.txt."));
    assert_eq!(scene.file("file.txt").as_deref(), Some("Please write new.txt."));
    assert_eq!(scene.file("key.txt").as_deref(), Some("vendor-secret\n"));
    let said = scene.transcript.lines();
    assert_eq!(said[0], "small 1-1-first 7 small");
    assert!(said.contains(&"VENDOR_KEY=[key]".to_owned()));
    // Cargo sets it for every test: it stands for the environment of Damascus itself.
    assert!(!scene.transcript.text().contains("CARGO_MANIFEST_DIR"), "{}", scene.transcript.text());
    assert!(!format!("{agent:?}").contains("vendor-secret"));
}

#[tokio::test]
async fn without_a_model_a_command_that_names_one_does_not_run() {
    let scene = Scene::new();
    let run = scene.run(&shell("touch ran").await).await;
    let AgentEnd::Infrastructure(text) = run.end else { panic!("{:?}", run.end) };
    assert!(text.contains("{model}"), "{text}");
    assert_eq!(scene.file("ran"), None);
}

async fn problem_of(agent: &CommandAgent) -> String {
    agent.probe().await.expect_err("no program")
}

#[tokio::test]
async fn a_program_that_is_not_there_is_found_missing() {
    let sandbox = sandbox().await;
    let agent = |program: &str| CommandAgent::new(sandbox.clone(), vec![program.to_owned()]);
    assert!(agent("sh").probe().await.expect("a shell").ends_with("/sh"));
    let problem = agent("no-such-program-xyz").probe().await.expect_err("no program");
    assert!(problem.contains("no-such-program-xyz"), "{problem}");
    let problem = CommandAgent::new(sandbox.clone(), Vec::new()).probe().await.expect_err("no program");
    assert!(problem.contains("DAMASCUS_AGENT_COMMAND"), "{problem}");

    let scene = Scene::new();
    let end = scene.run(&agent("no-such-program-xyz")).await.end;
    assert_eq!(end, AgentEnd::Infrastructure(problem_of(&agent("no-such-program-xyz")).await), "no fault of the story");
    // What a program that is there ends with is its own word.
    let ends = CommandAgent::new(sandbox.clone(), ["sh", "-c", "exit 127"].map(str::to_owned).to_vec());
    let AgentEnd::Failed(text) = scene.run(&ends).await.end else { panic!("it costs no attempt") };
    assert!(text.contains("DAMASCUS_AGENT_COMMAND"), "{text}");
}

#[tokio::test]
async fn long_and_broken_output_is_cut_and_made_text() {
    let mut scene = Scene::new();
    scene.task.model = Some("m".to_owned());
    let agent = shell("head -c 100000 /dev/zero | tr '\\0' x; printf '\\377\\n\\033[2Jlast\\nno end'; exit 3").await;

    let run = scene.run(&agent).await;

    let AgentEnd::Failed(text) = run.end else { panic!("{:?}", run.end) };
    assert!(text.contains("exit code 3") && text.ends_with("[2Jlast\nno end") && !text.contains('\u{1b}'), "{text}");
    assert!(text.chars().count() < 3000 && run.summary.chars().count() < 3000);
    let lines = scene.transcript.lines();
    assert!(lines.iter().all(|line| line.len() <= 16 * 1024 + 3), "{:?}", lines.iter().map(String::len).max());
    assert!(lines.iter().any(|line| line.ends_with("x\u{fffd}")));
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_no_fault_of_the_story() {
    let mut scene = Scene::new();
    scene.task.model = Some("m".to_owned());
    scene.task.tree = scene.beside().join("gone");
    let run = scene.run(&shell("true").await).await;
    assert!(matches!(run.end, AgentEnd::Infrastructure(_)), "{:?}", run.end);
}

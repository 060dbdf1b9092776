//! How runs of the real Claude Code end, other than well.

use damascus_core::MicroUsd;
use damascus_engine::ports::agent::{AgentEnd, AgentRun};
use damascus_testkit::ScriptedModel;
use damascus_testkit::scripted_model::Reply;

use crate::claude::{KEY, agent, bash, program, write};
use crate::world::Scene;

/// One run against a model that always answers this; none where the program is left out.
async fn run_against(reply: impl Into<Reply>, scene: &Scene) -> Option<AgentRun> {
    let program = program()?;
    let gateway = ScriptedModel::start(KEY).await;
    gateway.always(reply);
    let run = scene.run(&agent(program, &gateway).await).await;
    assert!(!format!("{run:?} {}", scene.transcript.text()).contains(KEY), "the key is shown");
    Some(run)
}

/// One run against a model that always answers with this status, and sends the key back.
async fn run_against_error(status: u16, kind: &str) -> Option<AgentRun> {
    run_against(Reply::error(status, kind, &format!("no luck with {KEY}")), &Scene::new()).await
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_no_fault_of_the_story() {
    let Some(run) = run_against_error(401, "authentication_error").await else { return };
    let AgentEnd::Infrastructure(text) = run.end else { panic!("{:?}", run.end) };
    assert!(text.contains("DAMASCUS_GATEWAY_KEY"), "{text}");
    assert_eq!(run.costs, Vec::new());
}

#[tokio::test]
async fn a_limit_of_the_provider_is_one() {
    let Some(run) = run_against_error(429, "rate_limit_error").await else { return };
    assert!(matches!(run.end, AgentEnd::RateLimited { reopen_after_ms: None, .. }), "{:?}", run.end);
}

#[tokio::test]
async fn a_limit_that_names_its_end_closes_until_then() {
    let limit = Reply::error(429, "rate_limit_error", "Rate limit reached. Please try again in 90s.");
    let Some(run) = run_against(limit, &Scene::new()).await else { return };
    assert!(matches!(run.end, AgentEnd::RateLimited { reopen_after_ms: Some(90_000), .. }), "{:?}", run.end);
}

#[tokio::test]
async fn a_used_up_budget_asks_for_a_person() {
    let Some(run) = run_against_error(422, "budget_exceeded").await else { return };
    let AgentEnd::Infrastructure(text) = run.end else { panic!("{:?}", run.end) };
    assert!(text.contains("budget"), "{text}");
}

#[tokio::test]
async fn a_gateway_that_fails_is_no_fault_of_the_story() {
    let Some(run) = run_against_error(500, "api_error").await else { return };
    assert!(matches!(&run.end, AgentEnd::Infrastructure(text) if text.contains("the gateway fails")), "{:?}", run.end);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_no_fault_of_the_story() {
    let Some(program) = program() else { return };
    let gateway = ScriptedModel::start(KEY).await;
    let agent = agent(program, &gateway).await;
    drop(gateway);
    let run = Scene::new().run(&agent).await;
    assert!(
        matches!(&run.end, AgentEnd::Infrastructure(text) if text.contains("DAMASCUS_GATEWAY_URL")),
        "{:?}",
        run.end
    );
}

#[tokio::test]
async fn turns_are_limited_and_paid() {
    let mut scene = Scene::new();
    scene.task.limits.turns = 2;
    let Some(run) = run_against(write("new.txt", "again\n"), &scene).await else { return };
    assert!(matches!(&run.end, AgentEnd::OverLimit(text) if text.starts_with("turns")), "{:?}", run.end);
    assert!(run.costs[0].amount > MicroUsd(0));
}

#[tokio::test]
async fn money_is_limited_and_paid() {
    let mut scene = Scene::new();
    scene.task.limits.money = Some(MicroUsd(1));
    let Some(run) = run_against(write("new.txt", "again\n"), &scene).await else { return };
    assert!(matches!(&run.end, AgentEnd::OverLimit(text) if text.starts_with("money")), "{:?}", run.end);
    assert!(run.costs[0].amount > MicroUsd(1));
}

#[tokio::test]
async fn an_agent_that_kills_its_own_program_has_failed_and_is_paid() {
    let scene = Scene::new();
    let Some(run) = run_against(bash("kill -9 $PPID; kill -9 -1"), &scene).await else { return };
    assert!(matches!(run.end, AgentEnd::Failed(_)), "{:?}", run.end);
    assert_eq!((run.costs[0].tokens_in, run.costs[0].estimated), (175, true));
}

#[tokio::test]
async fn what_it_says_before_a_limit_of_ours_is_kept() {
    let Some(program) = program() else { return };
    let gateway = ScriptedModel::start(KEY).await;
    gateway.answer(write("new.txt", "new\n"));
    gateway.always(Reply::Hang);
    let scene = Scene::new();
    let agent = agent(program, &gateway).await;

    let run = scene.run_and_cancel_at(&agent, "> Write").await;

    assert_eq!(run.end, AgentEnd::Cancelled);
    assert_eq!((run.costs[0].tokens_in, run.costs[0].model.as_str()), (175, "small"));
}

//! Servers that hang, break off, flood, send elsewhere, or send the key back.

use std::time::Duration;

use damascus_adapters::gateway::{GatewayConfigError, GatewaySettings, OpenAiGateway, Pace};
use damascus_core::MicroUsd;
use damascus_engine::ports::model::{Model as _, ModelError};
use damascus_testkit::ScriptedModel;
use damascus_testkit::scripted_model::{Chat, Reply};

use crate::world::{ATTEMPTS, KEY, ask, pace, question, refused, settings, unusable, world};

fn priced(dollars: &str) -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("x-litellm-response-cost", dollars), pair("content-type", "application/json")]
}

#[tokio::test]
async fn a_server_that_hangs_costs_its_time_and_no_more() {
    let gateway = ScriptedModel::start(KEY).await;
    gateway.always(Reply::Hang);
    let pace = Pace { attempt: Duration::from_millis(150), ..pace() };
    let client = OpenAiGateway::new(GatewaySettings { pace, ..settings(gateway.url()) }).expect("settings");

    let error = tokio::time::timeout(Duration::from_secs(20), client.ask(&question())).await.expect("an end");

    assert_eq!(error.expect_err("no answer"), ModelError::Unavailable("nothing within 0.15 s".to_owned()));
    assert_eq!(gateway.asked().len(), ATTEMPTS);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again_and_paid_for_twice() {
    let (gateway, client) = world().await;
    gateway.answer(Reply::CutOff { headers: priced("0.25"), body: b"{\"choices\":[{\"finish".to_vec(), promised: 500 });
    gateway.answer(Chat::says("{}").costing("0.5"));

    let answer = ask(&client).await.expect("an answer");

    assert_eq!(answer.cost.amount, MicroUsd(750_000));
    assert_eq!(gateway.asked().len(), 2);
}

#[tokio::test]
async fn answers_that_all_break_off_leave_their_price() {
    let (gateway, client) = world().await;
    gateway.always(Reply::CutOff { headers: priced("0.25"), body: b"{".to_vec(), promised: 500 });

    let (problem, cost) = unusable(&client).await;

    assert!(problem.contains("lost on the way"), "{problem}");
    assert_eq!((cost.amount, cost.estimated), (MicroUsd(750_000), false));

    gateway.always(Reply::CutOff { headers: Vec::new(), body: Vec::new(), promised: 500 });
    assert!(matches!(ask(&client).await, Err(ModelError::Unavailable(_))));
}

#[tokio::test]
async fn a_flood_is_not_read_to_its_end() {
    let (gateway, client) = world().await;
    gateway.always(Reply::Flood { headers: priced("0.25"), bytes: 100 * 1024 * 1024 });

    let (problem, cost) = unusable(&client).await;

    assert!(problem.contains("longer than 8 MiB"), "{problem}");
    assert_eq!(cost.amount, MicroUsd(250_000));
    assert_eq!(gateway.asked().len(), 1);
}

#[tokio::test]
async fn a_long_error_is_cut() {
    let (gateway, client) = world().await;
    gateway.always(Reply::error(400, "invalid_request_error", &"long ".repeat(500_000)));

    let error = refused(&client).await;

    assert!(error.chars().count() < 500, "{}", error.len());
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_does_not_get_the_key() {
    let elsewhere = ScriptedModel::start(KEY).await;
    let (gateway, client) = world().await;
    let to = format!("{}/v1/chat/completions", elsewhere.url());
    for status in [301, 302, 307, 308] {
        gateway.answer(Reply::error_with(status, &[("location", &to)], "", "moved"));
        assert!(refused(&client).await.contains("DAMASCUS_GATEWAY_URL"));
    }
    assert_eq!(elsewhere.asked().len(), 0);
}

#[tokio::test]
async fn a_key_that_the_server_sends_back_is_not_repeated() {
    let (gateway, client) = world().await;
    let echo = format!("Incorrect API key provided: {KEY} \u{1b}[2J and {}", KEY.replace('-', "-\u{200b}"));
    for status in [400, 401, 403, 404, 422, 429, 500] {
        gateway.always(Reply::error(status, "authentication_error", &echo));
        let error = ask(&client).await.expect_err("no answer");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(KEY) && !shown.contains('\u{1b}') && !shown.contains("\\u{1b}"), "{shown}");
        assert!(shown.contains("[key]"), "{shown}");
    }
    gateway.always(Chat { refusal: Some(echo.clone()), ..Chat::says("{}") });
    let (problem, _) = unusable(&client).await;
    assert!(!problem.contains(KEY), "{problem}");
    gateway.always(Reply::Raw { status: 500, headers: Vec::new(), body: echo.into_bytes() });
    let shown = ask(&client).await.expect_err("no answer").to_string();
    assert!(!shown.contains(KEY), "{shown}");
}

#[tokio::test]
async fn what_is_no_completion_is_no_answer() {
    let (gateway, client) = world().await;
    let raw = |kind: &str, body: &str| {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Reply::Raw { status: 200, headers, body: body.as_bytes().to_vec() }
    };
    gateway.answer(raw("text/html", "<html>Please sign in"));
    assert!(refused(&client).await.contains("DAMASCUS_GATEWAY_URL"));
    for body in
        ["{}", "{\"choices\":[]}", "[]", "{\"choices\":[{\"finish_reason\":\"stop\"}]}", "{\"choices\":", "null"]
    {
        gateway.answer(raw("application/json", body));
        let (problem, cost) = unusable(&client).await;
        assert!(!problem.is_empty() && cost.estimated, "{body}: {problem}");
    }
}

#[tokio::test]
async fn settings_that_can_not_work_are_refused_before_anything_is_asked() {
    let with = |key: &str, model: &str| {
        OpenAiGateway::new(GatewaySettings::new("http://127.0.0.1:1", Some(key.into()), model)).map(|_| ())
    };
    assert!(matches!(with("a\nb", "m"), Err(GatewayConfigError::Key)));
    assert!(matches!(with("k", " "), Err(GatewayConfigError::Model)));
    assert!(with("k", "m").is_ok());
}

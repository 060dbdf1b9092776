//! Answers: what is asked, what is taken as a whole answer, and what it cost.

use std::collections::BTreeMap;

use damascus_adapters::gateway::{GatewaySettings, OpenAiGateway, Price, Prices};
use damascus_core::MicroUsd;
use damascus_engine::ports::model::{Model as _, ModelRequest};
use damascus_testkit::scripted_model::{Chat, Reply};
use serde_json::json;

use crate::world::{KEY, ask, client, question, settings, unusable, world};

#[tokio::test]
async fn a_whole_answer_comes_with_its_reported_price() {
    let (gateway, client) = world().await;
    gateway.answer(Chat::says("{\"answer\":\"42\"}").costing("0.0012345"));

    let answer = ask(&client).await.expect("an answer");

    assert_eq!(answer.text, "{\"answer\":\"42\"}");
    let cost = answer.cost;
    assert_eq!((cost.provider.as_str(), cost.model.as_str()), ("gateway", "small"));
    assert_eq!((cost.tokens_in, cost.tokens_cached, cost.tokens_out), (100, 40, 20));
    assert_eq!((cost.amount, cost.estimated), (MicroUsd(1235), false));

    let asked = gateway.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/v1/chat/completions");
    let body = &asked[0].body;
    assert_eq!((&body["model"], &body["max_tokens"]), (&json!("small"), &json!(500)));
    assert_eq!(body["messages"][1], json!({ "role": "user", "content": "What is it?" }));
    let format = json!({ "name": "reply", "strict": true, "schema": question().schema });
    assert_eq!(body["response_format"], json!({ "type": "json_schema", "json_schema": format }));
    assert_eq!(gateway.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn the_address_may_end_in_the_version_and_a_request_may_name_its_model() {
    let (gateway, _) = world().await;
    gateway.always(Chat::says("{}"));
    for end in ["/v1", "/v1/", "/"] {
        let client = client(format!("{}{end}", gateway.url()));
        let request = ModelRequest { model: Some("large".to_owned()), ..question() };
        let answer = client.ask(&request).await.expect("an answer");
        assert_eq!(answer.cost.model, "large");
        assert_eq!(client.describe(), format!("small at {}", gateway.url()));
    }
    assert!(gateway.asked().iter().all(|asked| asked.path == "/v1/chat/completions"));
}

#[tokio::test]
async fn without_a_reported_price_the_table_estimates_and_without_a_table_nothing_is_known() {
    let (gateway, plain) = world().await;
    gateway.always(Chat::says("{}"));
    let price = Price { input: MicroUsd(3_000_000), output: MicroUsd(15_000_000) };
    let prices = Prices(BTreeMap::from([("small".to_owned(), price)]));
    let priced = OpenAiGateway::new(GatewaySettings { prices, ..settings(gateway.url()) }).expect("settings");

    let cost = ask(&plain).await.expect("an answer").cost;
    assert_eq!((cost.amount, cost.estimated), (MicroUsd(0), true));
    let cost = ask(&priced).await.expect("an answer").cost;
    assert_eq!((cost.amount, cost.estimated), (MicroUsd(600), true));
    // LiteLLM reports zero for models that it has no price of.
    gateway.answer(Chat::says("{}").costing("0.0"));
    let cost = ask(&priced).await.expect("an answer").cost;
    assert_eq!((cost.amount, cost.estimated), (MicroUsd(600), true));
    for nonsense in ["-1", "NaN", "free", "1e300"] {
        gateway.answer(Chat::says("{}").costing(nonsense));
        let cost = ask(&plain).await.expect("an answer").cost;
        assert_eq!((cost.amount, cost.estimated), (MicroUsd(0), true), "{nonsense}");
    }
}

#[tokio::test]
async fn a_price_in_the_usage_counts_as_reported() {
    let (gateway, client) = world().await;
    let choice = json!({ "finish_reason": "stop", "message": { "content": [{ "type": "text", "text": "{}" }] } });
    let usage = json!({ "prompt_tokens": 7, "completion_tokens": 1, "cost": 0.5 });
    let body = json!({ "model": "vendor/small", "choices": [choice], "usage": usage, "unknown": [1] });
    gateway.answer(Reply::Raw { status: 200, headers: Vec::new(), body: body.to_string().into_bytes() });

    let answer = ask(&client).await.expect("an answer");

    assert_eq!(answer.text, "{}");
    assert_eq!((answer.cost.amount, answer.cost.estimated), (MicroUsd(500_000), false));
    assert_eq!((answer.cost.model.as_str(), answer.cost.tokens_in), ("vendor/small", 7));
}

#[tokio::test]
async fn answers_that_are_not_whole_are_none_and_their_price_is_known() {
    let (gateway, client) = world().await;
    let says = || Chat::says("{\"answer\":\"4").costing("0.01");
    let cases = [
        (says().ending("length"), "limit of 500 tokens"),
        (says().ending("content_filter"), "content filter"),
        (says().ending("tool_calls"), "\"tool_calls\""),
        (Chat { finish_reason: None, ..says() }, "does not say that it is whole"),
        (Chat { content: None, ..says() }, "empty"),
        (Chat { content: Some(" \n".to_owned()), ..says() }, "empty"),
        (Chat { refusal: Some("I can't \u{1b}[31mhelp".to_owned()), ..says() }, "refuses: I can't [31mhelp"),
    ];
    let count = cases.len();
    for (answer, expected) in cases {
        gateway.answer(answer);
        let (problem, cost) = unusable(&client).await;
        assert!(problem.contains(expected), "{problem}");
        assert_eq!((cost.amount, cost.estimated, cost.tokens_out), (MicroUsd(10_000), false, 20));
    }
    assert_eq!(gateway.asked().len(), count, "what was paid for is not asked again");
}

#[tokio::test]
async fn an_old_server_gets_the_schema_in_the_prompt_and_is_remembered() {
    let (gateway, client) = world().await;
    gateway.answer(Reply::error(400, "invalid_request_error", "unknown parameter: response_format.json_schema"));
    gateway.always(Chat::says("{}"));

    ask(&client).await.expect("an answer");
    ask(&client).await.expect("an answer");

    let asked = gateway.asked();
    let kinds: Vec<_> = asked.iter().map(|asked| asked.body["response_format"]["type"].clone()).collect();
    assert_eq!(kinds, ["json_schema", "json_object", "json_object"]);
    let system = asked[1].body["messages"][0]["content"].as_str().expect("a text");
    assert!(system.starts_with("You answer.") && system.contains("\"additionalProperties\":false"), "{system}");

    // Another model may be newer.
    client.ask(&ModelRequest { model: Some("large".to_owned()), ..question() }).await.expect("an answer");
    assert_eq!(gateway.asked()[3].body["response_format"]["type"], "json_schema");
}

#[tokio::test]
async fn a_server_that_takes_neither_form_is_asked_twice_and_no_more() {
    let (gateway, client) = world().await;
    gateway.always(Reply::error(400, "invalid_request_error", "response_format is not supported"));

    assert!(matches!(ask(&client).await, Err(damascus_engine::ports::model::ModelError::Refused(_))));

    assert_eq!(gateway.asked().len(), 2);
}

#[tokio::test]
async fn a_model_that_wants_another_limit_gets_it() {
    let (gateway, client) = world().await;
    let told =
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    gateway.answer(Reply::error(400, "invalid_request_error", told));
    gateway.always(Chat::says("{}"));

    ask(&client).await.expect("an answer");

    let body = &gateway.asked()[1].body;
    assert_eq!((&body["max_tokens"], &body["max_completion_tokens"]), (&json!(null), &json!(500)));
}

#[tokio::test]
async fn what_is_shown_of_the_client_holds_no_key() {
    let (gateway, client) = world().await;
    let shown = format!("{client:?} {} {:?}", client.describe(), settings(gateway.url()));
    assert!(!shown.contains(KEY), "{shown}");
}

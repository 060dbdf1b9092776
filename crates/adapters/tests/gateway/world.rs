//! A gateway, its client, and a question.

use std::time::Duration;

use damascus_adapters::gateway::{GatewaySettings, OpenAiGateway, Pace};
use damascus_core::CostEntry;
use damascus_engine::ports::model::{Model as _, ModelAnswer, ModelError, ModelRequest};
use damascus_testkit::ScriptedModel;
use serde_json::json;

pub(crate) const KEY: &str = "sk-very-secret-key";

/// Attempts of the client in these tests.
pub(crate) const ATTEMPTS: usize = 3;

pub(crate) fn pace() -> Pace {
    Pace {
        connect: Duration::from_secs(5),
        attempt: Duration::from_secs(20),
        attempts: 3,
        backoff: Duration::from_millis(2),
        backoff_max: Duration::from_millis(4),
        retry_after_max: Duration::from_millis(1500),
    }
}

pub(crate) fn settings(url: String) -> GatewaySettings {
    GatewaySettings { pace: pace(), ..GatewaySettings::new(url, Some(KEY.into()), "small") }
}

pub(crate) fn client(url: String) -> OpenAiGateway {
    OpenAiGateway::new(settings(url)).expect("settings that can work")
}

/// A gateway that accepts the key, and a client of it.
pub(crate) async fn world() -> (ScriptedModel, OpenAiGateway) {
    let gateway = ScriptedModel::start(KEY).await;
    let client = client(gateway.url());
    (gateway, client)
}

pub(crate) fn question() -> ModelRequest {
    let schema = json!({
        "type": "object", "properties": { "answer": { "type": "string" } }, "required": ["answer"],
        "additionalProperties": false,
    });
    ModelRequest {
        model: None,
        system: "You answer.".to_owned(),
        user: "What is it?".to_owned(),
        schema_name: "reply",
        schema,
        max_tokens: 500,
        tag: ("1-1-a".to_owned(), 0),
    }
}

pub(crate) async fn ask(client: &OpenAiGateway) -> Result<ModelAnswer, ModelError> {
    client.ask(&question()).await
}

/// What an answer that can't be used is said to be, and what it cost.
pub(crate) async fn unusable(client: &OpenAiGateway) -> (String, CostEntry) {
    match ask(client).await {
        Err(ModelError::Unusable { problem, cost }) => (problem, *cost),
        other => panic!("expected an answer that can't be used: {other:?}"),
    }
}

/// Why the gateway refuses for good.
pub(crate) async fn refused(client: &OpenAiGateway) -> String {
    match ask(client).await {
        Err(error @ ModelError::Refused(_)) => error.to_string(),
        other => panic!("expected a refusal: {other:?}"),
    }
}

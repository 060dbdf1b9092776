//! Failures: which are tried again, how often, and what they come to.

use std::time::{Duration, Instant};

use damascus_engine::ports::model::ModelError;
use damascus_testkit::scripted_model::{Chat, Reply};

use crate::world::{ATTEMPTS, KEY, ask, client, refused, world};

#[tokio::test]
async fn passing_failures_are_tried_again() {
    for status in [408, 429, 500, 502, 503, 504, 529] {
        let (gateway, client) = world().await;
        gateway.answer(Reply::error(status, "api_error", "overloaded"));
        gateway.answer(Chat::says("{}"));

        ask(&client).await.unwrap_or_else(|error| panic!("{status}: {error}"));

        assert_eq!(gateway.asked().len(), 2);
    }
}

#[tokio::test]
async fn attempts_are_bounded() {
    let (gateway, client) = world().await;
    gateway.always(Reply::error(503, "api_error", "overloaded"));

    let error = ask(&client).await.expect_err("no answer");

    assert_eq!(error, ModelError::Unavailable("status 503: overloaded".to_owned()));
    assert_eq!(gateway.asked().len(), ATTEMPTS);
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for() {
    for headers in [
        vec![("retry-after", "1")],
        vec![("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:28:01 GMT")],
    ] {
        let (gateway, client) = world().await;
        gateway.answer(Reply::error_with(429, &headers, "rate_limit_error", "slow down"));
        gateway.answer(Chat::says("{}"));
        let started = Instant::now();

        ask(&client).await.expect("an answer");

        assert!(started.elapsed() >= Duration::from_secs(1), "{headers:?}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_long_wait_closes_the_provider_at_once() {
    let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
    for (headers, message, expected) in [
        (vec![("retry-after", "120")], "slow down", Some(120_000)),
        (vec![date, ("retry-after", "Wed, 21 Oct 2015 09:28:00 GMT")], "slow down", Some(7_200_000)),
        (vec![], "Rate limit reached. Please try again in 30s.", Some(30_000)),
    ] {
        let (gateway, client) = world().await;
        gateway.always(Reply::error_with(429, &headers, "rate_limit_error", message));

        let error = ask(&client).await.expect_err("no answer");

        let ModelError::RateLimited { reopen_after_ms, detail } = error else { panic!("{error:?}") };
        assert_eq!(reopen_after_ms, expected);
        assert!(detail.contains(message), "{detail}");
        assert_eq!(gateway.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_limit_that_holds_through_all_attempts_is_a_limit() {
    let (gateway, client) = world().await;
    gateway.always(Reply::error(429, "rate_limit_error", "slow down"));

    let error = ask(&client).await.expect_err("no answer");

    assert!(matches!(error, ModelError::RateLimited { reopen_after_ms: None, .. }), "{error:?}");
    assert_eq!(gateway.asked().len(), ATTEMPTS);
}

#[tokio::test]
async fn a_used_up_quota_is_a_limit_and_a_used_up_budget_is_a_refusal_whatever_the_status() {
    for status in [400, 429, 403] {
        let (gateway, client) = world().await;
        gateway.always(Reply::error(status, "insufficient_quota", "You exceeded your current quota"));
        let error = ask(&client).await.expect_err("no answer");
        assert!(matches!(error, ModelError::RateLimited { .. }), "{status}: {error:?}");
        assert_eq!(gateway.asked().len(), 1);
    }
    for status in [400, 422, 429, 500] {
        let (gateway, client) = world().await;
        gateway.always(Reply::error(
            status,
            "budget_exceeded",
            "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
        ));
        let error = refused(&client).await;
        assert!(error.contains("budget") && error.contains("DAMASCUS_GATEWAY_KEY"), "{status}: {error}");
        assert_eq!(gateway.asked().len(), 1);
    }
}

#[tokio::test]
async fn refusals_name_what_to_change_and_are_not_repeated() {
    for (status, message, expected) in [
        (401, "bad key", "DAMASCUS_GATEWAY_KEY"),
        (403, "not yours", "DAMASCUS_GATEWAY_KEY"),
        (400, "No connected db.", "DAMASCUS_GATEWAY_KEY"),
        (404, "model not found", "DAMASCUS_GATEWAY_MODEL"),
        (400, "Invalid model name passed in model=small", "DAMASCUS_GATEWAY_MODEL"),
        (307, "over there", "DAMASCUS_GATEWAY_URL"),
        (400, "This model's maximum context length is 8192 tokens", "8192"),
        (413, "too large", "too large"),
    ] {
        let (gateway, client) = world().await;
        gateway.always(Reply::error(status, "invalid_request_error", message));
        let error = refused(&client).await;
        assert!(error.contains(expected) && error.contains(message), "{error}");
        assert_eq!(gateway.asked().len(), 1);
    }
}

#[tokio::test]
async fn an_error_within_an_answer_is_an_error() {
    let (gateway, client) = world().await;
    let told = |body: &str| Reply::Raw { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
    gateway.answer(told("{\"error\":{\"code\":502,\"message\":\"provider failed\"}}"));
    gateway.answer(told("{\"error\":{\"code\":401,\"message\":\"who?\"}}"));

    let error = refused(&client).await;

    assert!(error.contains("who?"), "{error}");
    assert_eq!(gateway.asked().len(), 2);
}

#[tokio::test]
async fn nobody_there_is_said_with_the_next_step() {
    let (gateway, _) = world().await;
    let url = gateway.url();
    drop(gateway);

    let error = ask(&client(url)).await.expect_err("no answer").to_string();

    assert!(error.contains("no connection") && error.contains("DAMASCUS_GATEWAY_URL"), "{error}");
    assert!(!error.contains(KEY));
}

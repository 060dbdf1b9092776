//! A model that does not answer.

use damascus_core::{CostEntry, MicroUsd};
use damascus_engine::ports::model::ModelError;
use damascus_testkit::loop_scene::Beginning;

use crate::stage::{DOES_IT, answer, scene, settle, story};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_does_not_answer_costs_no_attempt_and_says_what_to_do() {
    let scene = scene(Beginning::default(), DOES_IT).await;
    let fails = |key: &str, error: ModelError| scene.model.fails(key, Some(error));
    let refused = story(&scene, "refused").await;
    fails("refused", ModelError::Refused("401: the key is not valid".to_owned()));
    let unset = story(&scene, "unset").await;
    fails("unset", ModelError::NotConfigured);
    let away = story(&scene, "away").await;
    fails("away", ModelError::Unavailable("connection refused".to_owned()));
    let cut = story(&scene, "cut").await;
    let cost = CostEntry {
        provider: "made-up".to_owned(),
        model: "made-up".to_owned(),
        tokens_in: 7,
        tokens_out: 7,
        tokens_cached: 0,
        amount: MicroUsd(70),
        estimated: false,
    };
    fails("cut", ModelError::Unusable { problem: "it was cut off at 16000 tokens".to_owned(), cost: Box::new(cost) });

    let asked = settle(&scene, refused).await;
    asked.stands("awaiting_human", 0);
    asked.asks(&["the key is not valid", "damascus doctor", "then answer"]);
    let asked = settle(&scene, unset).await;
    asked.stands("awaiting_human", 0);
    asked.asks(&["DAMASCUS_GATEWAY_URL", "then answer"]);
    let blocked = settle(&scene, away).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&["spec:infra_error"; 3]);
    blocked.asks(&["the surroundings failed 3 times", "the gateway does not answer: connection refused"]);
    let paid = settle(&scene, cut).await;
    paid.stands("blocked", 3);
    paid.asks(&["spec_invalid", "cut off at 16000 tokens"]);
    assert_eq!((paid.spent, asked.spent, blocked.spent), (MicroUsd(210), MicroUsd(0), MicroUsd(0)));

    for (key, item, said) in [("refused", refused, "The key is right now."), ("away", away, "retry")] {
        scene.model.fails(key, None);
        answer(&scene, item, said).await;
        settle(&scene, item).await.stands("merged", 0);
    }

    let limited = story(&scene, "limited").await;
    let next = story(&scene, "next").await;
    let error =
        ModelError::RateLimited { reopen_after_ms: Some(3_600_000), detail: "429: too many requests".to_owned() };
    fails("limited", error.clone());
    fails("next", error);
    let (limited, next) = (settle(&scene, limited).await, settle(&scene, next).await);
    limited.stands("spec", 0);
    limited.verdicts_are(&["spec:rate_limited"]);
    limited.tells("spec:rate_limited", &["429: too many requests"]);
    next.stands("spec", 0);
    for one in [&limited, &next] {
        let wanted = ["the lane provider:gateway is closed until", "429"];
        assert!(wanted.iter().all(|part| one.explained.contains(part)), "{}", one.explained);
        assert_eq!(one.spent, MicroUsd(0));
    }
    scene.model.fails("limited", None);
    scene.model.fails("next", None);
    assert!(scene.store().open_lane("provider:gateway", "a person").await.unwrap());
    settle(&scene, scene.store().resolve_item("demo/limited").await.unwrap()).await.stands("merged", 0);
}

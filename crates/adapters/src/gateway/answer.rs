//! What a gateway answers, read strictly: the text of one whole answer, and what it cost.
//!
//! Invariant: an answer counts only when it says itself that it is whole (`finish_reason` is `stop`); its cost is read before it is judged.

use damascus_core::{CostEntry, MicroUsd};
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::{Prices, Scrub, dollars};

/// The provider's name in the ledger.
const PROVIDER: &str = "gateway";
/// How LiteLLM says what a call cost, in dollars.
const COST_HEADER: &str = "x-litellm-response-cost";
/// A model's name is cut here, in characters.
const MODEL_MAX_CHARS: usize = 120;
/// What a model says when it refuses is cut here, in characters.
const REFUSAL_MAX_CHARS: usize = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Completion {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    /// Some gateways answer 200 with an error in it.
    pub(crate) error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    finish_reason: Option<String>,
    message: Option<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    /// In dollars.
    cost: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

impl Completion {
    /// What the answer cost: as the gateway reports it, else by the price table, else nothing; the last two are marked as estimates.
    pub(crate) fn cost(&self, headers: &HeaderMap, asked: &str, prices: &Prices, scrub: &Scrub) -> CostEntry {
        let none = Usage::default();
        let usage = self.usage.as_ref().unwrap_or(&none);
        let tokens_in = usage.prompt_tokens.unwrap_or_default();
        let tokens_out = usage.completion_tokens.unwrap_or_default();
        let cached = usage.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or_default();
        let reported = reported(headers).or_else(|| usage.cost.and_then(dollars));
        let estimate = || prices.estimate(asked, tokens_in, tokens_out);
        let (amount, estimated) = match reported {
            // LiteLLM reports nothing for models that it has no price of: then the operator's table knows better.
            Some(MicroUsd(0)) => estimate().map_or((MicroUsd(0), false), |amount| (amount, true)),
            Some(amount) => (amount, false),
            None => (estimate().unwrap_or_default(), true),
        };
        let model = self.model.as_deref().filter(|model| !model.is_empty()).unwrap_or(asked);
        CostEntry {
            provider: PROVIDER.to_owned(),
            model: scrub.one_line(model, MODEL_MAX_CHARS),
            tokens_in,
            tokens_out,
            tokens_cached: cached.min(tokens_in),
            amount,
            estimated,
        }
    }

    /// The text, or why it can't be used.
    pub(crate) fn text(self, max_tokens: u32, scrub: &Scrub) -> Result<String, String> {
        let choice = self.choices.and_then(|choices| choices.into_iter().next());
        let Choice { finish_reason, message } = choice.ok_or("it holds no choice")?;
        let message = message.unwrap_or_default();
        if let Some(refusal) = message.refusal.filter(|refusal| !refusal.is_empty()) {
            return Err(format!("the model refuses: {}", scrub.one_line(&refusal, REFUSAL_MAX_CHARS)));
        }
        match finish_reason.as_deref() {
            Some("stop") => {}
            Some("length") => return Err(format!("it was cut off at its limit of {max_tokens} tokens")),
            Some("content_filter") => return Err("a content filter of the provider held it back".to_owned()),
            Some(other) => {
                return Err(format!("it ended by \"{}\" instead of \"stop\"", scrub.one_line(other, MODEL_MAX_CHARS)));
            }
            None => return Err("it does not say that it is whole (no finish_reason)".to_owned()),
        }
        let text = match message.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
            None => String::new(),
        };
        if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
    }
}

/// The price that LiteLLM reports in a header.
pub(crate) fn reported(headers: &HeaderMap) -> Option<MicroUsd> {
    headers.get(COST_HEADER)?.to_str().ok()?.trim().parse().ok().and_then(dollars)
}

/// What is known of an answer that could not be read: only what its headers say.
pub(crate) fn unread(headers: &HeaderMap, asked: &str, prices: &Prices, scrub: &Scrub) -> CostEntry {
    Completion::default().cost(headers, asked, prices, scrub)
}

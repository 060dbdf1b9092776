//! What a gateway's refusal means: for now, for good, or only for the form in which it was asked.
//!
//! Invariant: the type of an error goes before its status, since gateways disagree about statuses; a budget of our own is never taken for a
//! provider's limit.

use std::time::Duration;

use damascus_engine::ports::model::ModelError;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::wait::{retry_after, said_wait};
use super::{Pace, Scrub};

/// What a server says about an error is cut here, in characters.
const DETAIL_MAX_CHARS: usize = 400;

/// What to do about an attempt that gave no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Trying again may help, after the wait that the server asks for if it asks; `error` is what it comes to when no attempt is left.
    Again { after: Option<Duration>, error: ModelError },
    /// Trying again does not help.
    Final(ModelError),
    /// The server does not know structured output.
    Schema(ModelError),
    /// The server wants another name for the limit of tokens.
    TokenLimit(ModelError),
}

/// An error as OpenAI, LiteLLM, Ollama and others write it.
#[derive(Debug, Default)]
struct Told {
    message: String,
    kind: String,
    code: String,
    param: String,
}

impl Told {
    fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return Self { message: String::from_utf8_lossy(body).into_owned(), ..Self::default() };
        };
        Self::of(value.get("error").or_else(|| value.get("detail")).unwrap_or(&value))
    }

    fn of(error: &Value) -> Self {
        let field = |name: &str| match error.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let message = match error {
            Value::String(text) => text.clone(),
            _ => field("message"),
        };
        Self { message, kind: field("type"), code: field("code"), param: field("param") }
    }

    fn is(&self, name: &str) -> bool {
        self.kind.contains(name) || self.code.contains(name)
    }
}

/// What an answer with a failing status means.
pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8], pace: &Pace, scrub: &Scrub) -> Failure {
    judge(status, &Told::read(body), retry_after(headers), pace, scrub)
}

/// What an error inside an answer of 200 means; its code may be a status.
pub(crate) fn of_error(error: &Value, headers: &HeaderMap, pace: &Pace, scrub: &Scrub) -> Failure {
    let told = Told::of(error);
    let status = told.code.parse().ok().and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.filter(|status| !status.is_success()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    judge(status, &told, retry_after(headers), pace, scrub)
}

fn judge(status: StatusCode, told: &Told, after: Option<Duration>, pace: &Pace, scrub: &Scrub) -> Failure {
    let code = status.as_u16();
    let detail = match scrub.one_line(told.message.trim(), DETAIL_MAX_CHARS) {
        said if said.is_empty() => format!("status {code}"),
        said => format!("status {code}: {said}"),
    };
    let refused = |text: String| Failure::Final(ModelError::Refused(text));
    if told.is("budget_exceeded") {
        return refused(format!(
            "the budget of its key is used up; raise it at the gateway, or set another DAMASCUS_GATEWAY_KEY ({detail})"
        ));
    }
    if told.is("insufficient_quota") || told.is("billing_hard_limit") {
        let reopen_after_ms = after.map(millis);
        return Failure::Final(ModelError::RateLimited { reopen_after_ms, detail });
    }
    match code {
        429 => limited(after.or_else(|| said_wait(&told.message)), detail, pace),
        408 | 500 | 502 | 503 | 504 | 529 => {
            let error = ModelError::Unavailable(detail);
            if after.is_some_and(|after| after > pace.retry_after_max) {
                Failure::Final(error)
            } else {
                Failure::Again { after, error }
            }
        }
        401 | 403 => refused(format!("the key is not accepted; check DAMASCUS_GATEWAY_KEY ({detail})")),
        404 => refused(format!(
            "there is no such model or address; check DAMASCUS_GATEWAY_MODEL and DAMASCUS_GATEWAY_URL ({detail})"
        )),
        300..=399 => refused(format!(
            "it sends the request elsewhere, which is not followed; set DAMASCUS_GATEWAY_URL to its final address ({detail})"
        )),
        400 | 422 => unaccepted(told, detail),
        _ => refused(detail),
    }
}

fn limited(after: Option<Duration>, detail: String, pace: &Pace) -> Failure {
    let error = ModelError::RateLimited { reopen_after_ms: after.map(millis), detail };
    match after {
        Some(after) if after > pace.retry_after_max => Failure::Final(error),
        after => Failure::Again { after, error },
    }
}

/// A request that the server can't take as it is.
fn unaccepted(told: &Told, detail: String) -> Failure {
    let said = format!("{} {}", told.message, told.param).to_ascii_lowercase();
    let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if names(&["max_completion_tokens"]) {
        return Failure::TokenLimit(ModelError::Refused(detail));
    }
    if names(&["response_format", "json_schema", "json schema", "structured output"]) {
        return Failure::Schema(ModelError::Refused(detail));
    }
    if names(&["no connected db"]) {
        // A LiteLLM without a database can't look up a key that is not its master key, and says so like this.
        let text = format!("the key is not accepted; check DAMASCUS_GATEWAY_KEY ({detail})");
        return Failure::Final(ModelError::Refused(text));
    }
    if told.is("model_not_found") || names(&["invalid model", "model not found", "model_not_found"]) {
        let text = format!("there is no such model; check DAMASCUS_GATEWAY_MODEL ({detail})");
        return Failure::Final(ModelError::Refused(text));
    }
    Failure::Final(ModelError::Refused(detail))
}

/// Whole milliseconds.
pub(crate) fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

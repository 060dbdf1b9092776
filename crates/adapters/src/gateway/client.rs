//! The client: one question, a bounded number of attempts, one answer or one reason.
//!
//! Invariant: whatever was paid on the way is in what the call returns, also for attempts whose answer was lost.

mod probe;

use async_trait::async_trait;
use damascus_core::{CostEntry, MicroUsd};
use damascus_engine::Randomness as _;
use damascus_engine::ports::model::{Model, ModelAnswer, ModelError, ModelRequest};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret as _;

use super::answer::{Completion, reported, unread};
use super::dialect::{Dialect, Dialects};
use super::failure::{Failure, of_error, of_status};
use super::scrub::Scrub;
use super::settings::{GatewayConfigError, GatewaySettings, Pace, base};
use super::{Prices, wait};
use crate::randomness::SystemRandomness;

/// An answer is read up to here, in bytes: many times what a model writes.
const ANSWER_MAX_BYTES: usize = 8 * 1024 * 1024;
/// An error is read up to here, in bytes.
const ERROR_MAX_BYTES: usize = 64 * 1024;
/// A cause in a message is cut here, in characters.
const CAUSE_MAX_CHARS: usize = 200;

/// Asks models over `/v1/chat/completions` of an OpenAI-compatible gateway.
#[derive(Debug)]
pub struct OpenAiGateway {
    client: Client,
    base: Url,
    endpoint: Url,
    model: String,
    prices: Prices,
    pace: Pace,
    scrub: Scrub,
    dialects: Dialects,
}

/// What one attempt came to.
enum Attempt {
    Answer(ModelAnswer),
    Failed(Failure),
    /// An answer began, which is paid for, and was lost on the way.
    Lost {
        paid: Option<MicroUsd>,
        error: ModelError,
    },
}

impl OpenAiGateway {
    /// A client for the gateway; nothing is asked yet.
    ///
    /// # Errors
    /// [`GatewayConfigError`] when the settings can't work, whatever the gateway says.
    pub fn new(settings: GatewaySettings) -> Result<Self, GatewayConfigError> {
        let base = base(&settings.url)?;
        if settings.model.trim().is_empty() {
            return Err(GatewayConfigError::Model);
        }
        let mut endpoint = base.clone();
        endpoint.set_path(&format!("{}/v1/chat/completions", base.path().trim_end_matches('/')));
        let mut headers = HeaderMap::new();
        if let Some(key) = &settings.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                .map_err(|_| GatewayConfigError::Key)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        // One provider per process; where the program installed it already, that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .default_headers(headers)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(settings.pace.connect)
            .timeout(settings.pace.attempt)
            .build()
            .map_err(GatewayConfigError::Client)?;
        Ok(Self {
            client,
            base,
            endpoint,
            model: settings.model,
            prices: settings.prices,
            pace: settings.pace,
            scrub: Scrub::new(settings.key),
            dialects: Dialects::default(),
        })
    }

    async fn attempt(&self, request: &ModelRequest, model: &str, dialect: Dialect) -> Attempt {
        let body = dialect.body(request, model);
        let mut response = match self.client.post(self.endpoint.clone()).json(&body).send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Failed(Failure::Again { after: None, error: self.unreachable(&error) }),
        };
        let status = response.status();
        let headers = response.headers().clone();
        if !status.is_success() {
            // Half an error says enough.
            let (body, _) = read(&mut response, ERROR_MAX_BYTES).await;
            return Attempt::Failed(of_status(status, &headers, &body, &self.pace, &self.scrub));
        }
        let (body, end) = read(&mut response, ANSWER_MAX_BYTES).await;
        match end {
            Read::Whole => self.judge(request, model, &headers, &body),
            Read::TooLong => {
                let problem = format!("it is longer than {} MiB", ANSWER_MAX_BYTES / (1024 * 1024));
                self.unusable(problem, unread(&headers, model, &self.prices, &self.scrub))
            }
            Read::Broken(error) => Attempt::Lost { paid: reported(&headers), error: self.unreachable(&error) },
        }
    }

    /// Judges a whole answer of status 200.
    fn judge(&self, request: &ModelRequest, model: &str, headers: &HeaderMap, body: &[u8]) -> Attempt {
        let Ok(completion) = serde_json::from_slice::<Completion>(body) else {
            let json =
                headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains("json"));
            if json {
                let cost = unread(headers, model, &self.prices, &self.scrub);
                return self.unusable("the gateway's answer is no completion".to_owned(), cost);
            }
            let text =
                "it answers with something else than JSON; does DAMASCUS_GATEWAY_URL point to the gateway's API?";
            return Attempt::Failed(Failure::Final(ModelError::Refused(text.to_owned())));
        };
        if let Some(error) = completion.error.as_ref().filter(|error| !error.is_null()) {
            return Attempt::Failed(of_error(error, headers, &self.pace, &self.scrub));
        }
        let cost = completion.cost(headers, model, &self.prices, &self.scrub);
        match completion.text(request.max_tokens, &self.scrub) {
            Ok(text) => Attempt::Answer(ModelAnswer { text, cost }),
            Err(problem) => self.unusable(problem, cost),
        }
    }

    fn unusable(&self, problem: String, cost: CostEntry) -> Attempt {
        Attempt::Failed(Failure::Final(ModelError::Unusable { problem, cost: Box::new(cost) }))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ModelError {
        let text = if error.is_timeout() {
            format!("nothing within {} s", self.pace.attempt.as_secs_f64())
        } else if error.is_connect() {
            format!("no connection: {}; does it run, and is DAMASCUS_GATEWAY_URL right?", self.cause(error))
        } else {
            format!("the connection broke: {}", self.cause(error))
        };
        ModelError::Unavailable(text)
    }

    /// The innermost cause: the outer ones only say that something failed, and name the address.
    fn cause(&self, error: &reqwest::Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        self.scrub.one_line(&cause.to_string(), CAUSE_MAX_CHARS)
    }
}

#[async_trait]
impl Model for OpenAiGateway {
    fn describe(&self) -> String {
        format!("{} at {}", self.model, self.base.as_str().trim_end_matches('/'))
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let model = request.model.as_deref().unwrap_or(&self.model);
        let mut dialect = self.dialects.of(model);
        let mut lost: Option<MicroUsd> = None;
        let mut tried = 0;
        // Every round counts as an attempt but the two that learn a dialect, each of which happens once.
        let error = loop {
            let (after, error) = match self.attempt(request, model, dialect).await {
                Attempt::Answer(answer) => {
                    self.dialects.keep(model, dialect);
                    return Ok(ModelAnswer { cost: with_lost(answer.cost, lost), ..answer });
                }
                Attempt::Failed(Failure::Schema(_)) if !dialect.plain_json => {
                    tracing::warn!(
                        gateway.model = model,
                        "the gateway does not take a JSON schema; asking for plain JSON"
                    );
                    dialect.plain_json = true;
                    continue;
                }
                Attempt::Failed(Failure::TokenLimit(_)) if !dialect.completion_tokens => {
                    dialect.completion_tokens = true;
                    continue;
                }
                Attempt::Failed(Failure::Schema(error) | Failure::TokenLimit(error) | Failure::Final(error)) => {
                    break error;
                }
                Attempt::Failed(Failure::Again { after, error }) => (after, error),
                Attempt::Lost { paid, error } => {
                    lost = paid.map(|paid| paid + lost.unwrap_or_default()).or(lost);
                    (None, error)
                }
            };
            tried += 1;
            if tried >= self.pace.attempts {
                break error;
            }
            let own = wait::backoff(&self.pace, tried - 1, SystemRandomness.fraction());
            let pause = after.map_or(own, |after| after.max(own).min(self.pace.retry_after_max));
            tracing::info!(gateway.model = model, gateway.attempt = tried, error = %error, "asking the gateway again");
            tokio::time::sleep(pause).await;
        };
        Err(self.with_what_was_paid(error, model, lost))
    }
}

impl OpenAiGateway {
    fn with_what_was_paid(&self, error: ModelError, model: &str, lost: Option<MicroUsd>) -> ModelError {
        match (error, lost) {
            (error, None) => error,
            (ModelError::Unusable { problem, cost }, lost) => {
                ModelError::Unusable { problem, cost: Box::new(with_lost(*cost, lost)) }
            }
            (ModelError::Unavailable(problem), lost) => {
                let cost = unread(&HeaderMap::new(), model, &self.prices, &self.scrub);
                let cost = CostEntry { estimated: false, ..with_lost(cost, lost) };
                ModelError::Unusable { problem: format!("it was lost on the way: {problem}"), cost: Box::new(cost) }
            }
            // What is said here matters more than the money: a lane closes, or a person is asked.
            (error, Some(paid)) => {
                tracing::warn!(gateway.model = model, paid = %paid, "answers that were paid for were lost on the way");
                error
            }
        }
    }
}

fn with_lost(cost: CostEntry, lost: Option<MicroUsd>) -> CostEntry {
    CostEntry { amount: cost.amount + lost.unwrap_or_default(), ..cost }
}

enum Read {
    Whole,
    TooLong,
    Broken(reqwest::Error),
}

/// Reads a body up to a bound.
async fn read(response: &mut Response, max: usize) -> (Vec<u8>, Read) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return (body, Read::Whole),
            Ok(Some(chunk)) if body.len() + chunk.len() > max => {
                body.extend_from_slice(&chunk[..max - body.len()]);
                return (body, Read::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return (body, Read::Broken(error)),
        }
    }
}

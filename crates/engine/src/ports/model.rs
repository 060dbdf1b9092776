//! Language models, behind an OpenAI-compatible gateway.
//!
//! Invariants: an answer that was cut off, refused or is empty is an error, never a text; what a call cost is known even when its answer is
//! worth nothing.

use async_trait::async_trait;
use damascus_core::CostEntry;
use serde_json::Value;

/// A question to a model that is answered in JSON.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The model as the gateway names it; the configured one when none is named.
    pub model: Option<String>,
    /// Instructions; the same for every story, so that providers can cache them.
    pub system: String,
    /// The question.
    pub user: String,
    /// A name for the schema: letters, digits and underscores.
    pub schema_name: &'static str,
    /// The JSON schema of the answer.
    pub schema: Value,
    /// The most tokens that it may answer with.
    pub max_tokens: u32,
    /// Names this call for a recorded model: the story's key and how often it was asked before.
    pub tag: (String, u32),
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelAnswer {
    /// The JSON text, as the model wrote it.
    pub text: String,
    /// What it cost.
    pub cost: CostEntry,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The gateway can't be reached or failed, also when tried again.
    #[error("the gateway does not answer: {0}")]
    Unavailable(String),
    /// A provider's limit was hit.
    #[error("the gateway refuses for now: {detail}")]
    RateLimited {
        /// How long it says to wait, in milliseconds.
        reopen_after_ms: Option<u64>,
        /// What it said, safe to show.
        detail: String,
    },
    /// The gateway refuses the request for good: key, model, budget.
    #[error("the gateway refuses: {0}")]
    Refused(String),
    /// There was an answer, but it was cut off or empty. It was paid for.
    #[error("the model's answer can't be used: {problem}")]
    Unusable {
        /// Why.
        problem: String,
        /// What it cost.
        cost: Box<CostEntry>,
    },
    /// No gateway is configured.
    #[error("no gateway is configured; set DAMASCUS_GATEWAY_URL and DAMASCUS_GATEWAY_MODEL")]
    NotConfigured,
}

/// A model that answers in JSON.
#[async_trait]
pub trait Model: Send + Sync {
    /// What is asked of, for people: the gateway's address without secrets and the model.
    fn describe(&self) -> String;

    /// Asks once; retries of what failed on the way are the implementation's matter, within bounds.
    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError>;
}

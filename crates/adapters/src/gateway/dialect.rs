//! How a model wants to be asked: the newest form first, an older one after its server said that it does not know the newest.
//!
//! Invariant: each older form is tried once per call at most, and what was learned is kept per model.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use damascus_engine::ports::model::ModelRequest;
use serde_json::{Value, json};

/// Models whose ways are remembered; beyond it each call learns anew.
const MODELS_MAX: usize = 256;

/// The form of a request that one model's server takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// It knows no `json_schema`: the schema goes into the instructions, and any JSON object is asked for.
    pub(crate) plain_json: bool,
    /// It wants `max_completion_tokens` in place of `max_tokens`.
    pub(crate) completion_tokens: bool,
}

impl Dialect {
    /// The request's body.
    pub(crate) fn body(self, request: &ModelRequest, model: &str) -> Value {
        let limit = if self.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        let (system, format) = if self.plain_json {
            let system = format!(
                "{}\n\nAnswer with one JSON object that fits this JSON schema, and with nothing else:\n{}",
                request.system, request.schema
            );
            (system, json!({ "type": "json_object" }))
        } else {
            let schema = json!({ "name": request.schema_name, "strict": true, "schema": request.schema });
            (request.system.clone(), json!({ "type": "json_schema", "json_schema": schema }))
        };
        json!({
            "model": model,
            "messages": [{ "role": "system", "content": system }, { "role": "user", "content": request.user }],
            limit: request.max_tokens,
            "response_format": format,
        })
    }
}

/// What was learned, by model.
#[derive(Debug, Default)]
pub(crate) struct Dialects(Mutex<BTreeMap<String, Dialect>>);

impl Dialects {
    pub(crate) fn of(&self, model: &str) -> Dialect {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(model).copied().unwrap_or_default()
    }

    pub(crate) fn keep(&self, model: &str, dialect: Dialect) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MODELS_MAX || known.contains_key(model) {
            known.insert(model.to_owned(), dialect);
        }
    }
}

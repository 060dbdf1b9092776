//! Whether the gateway answers and knows the model, without spending anything.

use std::time::Duration;

use damascus_core::display::one_line;
use serde_json::Value;

use super::{ANSWER_MAX_BYTES, OpenAiGateway, Read, read};

/// How long the gateway may take to list its models.
const PROBE_WAIT: Duration = Duration::from_secs(10);
/// How many models a message names.
const SHOWN_MODELS: usize = 8;

impl OpenAiGateway {
    /// Lists the gateway's models and looks for the configured one; says what it found.
    ///
    /// # Errors
    /// Why no call could work, with the next step.
    pub async fn probe(&self) -> Result<String, String> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/models", self.base.path().trim_end_matches('/')));
        let asked = tokio::time::timeout(PROBE_WAIT, self.client.get(url).send()).await;
        let mut response = match asked {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(format!("{} does not answer: {}", self.base, self.cause(&error))),
            Err(_) => return Err(format!("{} does not answer within {} s", self.base, PROBE_WAIT.as_secs())),
        };
        let status = response.status();
        if matches!(status.as_u16(), 401 | 403) {
            return Err(format!("{} refuses the key ({status}); correct DAMASCUS_GATEWAY_KEY", self.base));
        }
        let body = tokio::time::timeout(PROBE_WAIT, read(&mut response, ANSWER_MAX_BYTES)).await;
        let (true, Ok((body, Read::Whole))) = (status.is_success(), body) else {
            // Not every gateway lists its models; it answers, and that is all that can be told for free.
            return Ok(format!("{} answers, but does not list its models ({status})", self.base));
        };
        let listed: Value = serde_json::from_slice(&body).unwrap_or_default();
        let names: Vec<&str> = listed
            .get("data")
            .and_then(Value::as_array)
            .map(|models| models.iter().filter_map(|one| one.get("id").and_then(Value::as_str)).collect())
            .unwrap_or_default();
        if names.is_empty() || names.contains(&self.model.as_str()) {
            return Ok(format!("{} answers and has {}", self.base, one_line(&self.model, 100)));
        }
        let shown: Vec<String> = names.iter().take(SHOWN_MODELS).map(|name| one_line(name, 60)).collect();
        let more = if names.len() > SHOWN_MODELS { ", …" } else { "" };
        Err(format!(
            "{} has no model {}; DAMASCUS_GATEWAY_MODEL can be one of {}{more}",
            self.base,
            one_line(&self.model, 100),
            shown.join(", ")
        ))
    }
}

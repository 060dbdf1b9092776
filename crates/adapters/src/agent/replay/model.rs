//! A model that answers from recordings.
//!
//! Invariant: what was not recorded is refused, never made up.

use std::sync::Arc;

use async_trait::async_trait;
use damascus_core::display::one_line;
use damascus_engine::ports::model::{Model, ModelAnswer, ModelError, ModelRequest};
use serde::Deserialize;

use super::{Cost, Recordings};

/// Answers from recordings, by the tag of a request.
#[derive(Debug, Clone)]
pub struct ReplayModel {
    recordings: Arc<Recordings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Recorded {
    tokens_in: u64,
    tokens_out: u64,
    cost_microusd: u64,
}

impl ReplayModel {
    /// A model that answers from these.
    #[must_use]
    pub const fn new(recordings: Arc<Recordings>) -> Self {
        Self { recordings }
    }
}

#[async_trait]
impl Model for ReplayModel {
    fn describe(&self) -> String {
        format!("recordings of {} stories (no model is asked)", self.recordings.len())
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let (story, round) = &request.tag;
        let spec = self.recordings.spec(story, *round);
        let Some((spec, text)) = spec.and_then(|spec| Some((spec, spec.answer.clone()?))) else {
            return Err(ModelError::Refused(self.recordings.nothing("a spec", story)));
        };
        let Recorded { tokens_in, tokens_out, cost_microusd } = toml::from_str(&spec.cost).map_err(|error| {
            ModelError::Refused(one_line(&format!("the recorded cost of {story} can't be read: {error}"), 500))
        })?;
        let cost = Cost { tokens_in, tokens_out, microusd: cost_microusd };
        Ok(ModelAnswer { text, cost: cost.entry() })
    }
}

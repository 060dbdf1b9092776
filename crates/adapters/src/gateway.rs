//! Models behind an OpenAI-compatible gateway, such as LiteLLM.
//!
//! Invariants: the key is in no message, log line or `Debug` text, also when the gateway sends it back; every body, wait and retry is
//! bounded; an answer that does not say that it is whole is none. Redirects are not followed, and proxies named by the environment are not
//! used: the key goes to the configured address and nowhere else.

mod answer;
mod client;
mod dialect;
mod failure;
mod prices;
mod scrub;
mod settings;
mod wait;

pub use client::OpenAiGateway;
pub use prices::{Price, Prices};
pub use settings::{GatewayConfigError, GatewaySettings, Pace};

pub(crate) use prices::dollars;
pub(crate) use scrub::Scrub;
pub(crate) use wait::said_wait;

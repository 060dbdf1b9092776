//! Where the gateway is, who asks, and how long it may take.
//!
//! Invariant: an address that was accepted carries no credentials, and `Debug` shows no key.

use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::Prices;

/// Where a gateway is, and how it is asked.
#[derive(Debug, Clone)]
pub struct GatewaySettings {
    /// Its base address, such as `http://127.0.0.1:4000`; it may end in `/v1`.
    pub url: String,
    /// The key; none for a gateway that wants none.
    pub key: Option<SecretString>,
    /// The model that is asked when a request names none.
    pub model: String,
    /// What tokens cost, for gateways that do not say it.
    pub prices: Prices,
    /// How long it may take.
    pub pace: Pace,
}

impl GatewaySettings {
    /// A gateway without a price table, asked at the usual pace.
    #[must_use]
    pub fn new(url: impl Into<String>, key: Option<SecretString>, model: impl Into<String>) -> Self {
        Self { url: url.into(), key, model: model.into(), prices: Prices::default(), pace: Pace::default() }
    }
}

/// How long a call may take, and how it is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The time to get a connection.
    pub connect: Duration,
    /// The time of one attempt, from its start to the last byte of the answer.
    pub attempt: Duration,
    /// How often a call is tried.
    pub attempts: u32,
    /// The wait after the first attempt, at most; it doubles with every further one.
    pub backoff: Duration,
    /// The longest wait of our own choosing.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the call.
    pub retry_after_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            attempt: Duration::from_secs(300),
            attempts: 4,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(20),
            retry_after_max: Duration::from_secs(30),
        }
    }
}

/// Why a gateway can't be asked as configured.
#[derive(Debug, thiserror::Error)]
pub enum GatewayConfigError {
    /// The address is none.
    #[error("DAMASCUS_GATEWAY_URL {0}; give it as http://HOST:PORT or https://HOST")]
    Url(&'static str),
    /// The key can't be sent.
    #[error("DAMASCUS_GATEWAY_KEY holds characters that no key has; was it copied with a line break?")]
    Key,
    /// No model is named.
    #[error("DAMASCUS_GATEWAY_MODEL is empty; name a model of the gateway")]
    Model,
    /// The client could not be made.
    #[error("the HTTP client can't be made; are CA certificates installed?")]
    Client(#[source] reqwest::Error),
}

/// The address without a slash at its end, and without the `/v1` that every endpoint begins with.
pub(crate) fn base(url: &str) -> Result<Url, GatewayConfigError> {
    let mut parsed = Url::parse(url.trim()).map_err(|_| GatewayConfigError::Url("is no address"))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(GatewayConfigError::Url("is no address of a web server"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(GatewayConfigError::Url(
            "holds a user or a password, which would be shown; use DAMASCUS_GATEWAY_KEY",
        ));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(GatewayConfigError::Url("holds a query or a fragment"));
    }
    let path = parsed.path().trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
    parsed.set_path(&path);
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_not_doubled() {
        let shown = |url: &str| base(url).expect("an address").as_str().trim_end_matches('/').to_owned();
        for url in ["http://g:4000", "http://g:4000/", "http://g:4000/v1", " http://g:4000/v1/ "] {
            assert_eq!(shown(url), "http://g:4000");
        }
        assert_eq!(shown("https://g/llm/v1"), "https://g/llm");
        assert_eq!(shown("https://g/v1beta"), "https://g/v1beta");
    }

    #[test]
    fn what_is_no_address_or_holds_credentials_is_refused_without_being_repeated() {
        for url in ["", "g:4000", "ftp://g", "http://me:sk-secret@g", "http://sk-secret@g", "http://g?key=sk-secret"] {
            let error = base(url).expect_err("no address").to_string();
            assert!(error.contains("DAMASCUS_GATEWAY_URL") && !error.contains("secret"), "{error}");
        }
    }
}

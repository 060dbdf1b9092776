//! Logging: to standard error, as text or JSON lines.
//!
//! Invariant: standard output is never logged to, and a secret never gets here.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging. A command that is no service logs warnings only, unless a level was set.
pub fn start(config: &LogConfig, is_service: bool) {
    let level = if is_service || config.level_is_set { config.level.as_str() } else { "warn" };
    // What libraries say below a warning is of use to their developers only.
    let filter = EnvFilter::new(format!(
        "warn,damascus={level},damascus_engine={level},damascus_store={level},\
         damascus_postgres={level},damascus_adapters={level}"
    ));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call would find a subscriber in place, which is what was wanted.
    let _ = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

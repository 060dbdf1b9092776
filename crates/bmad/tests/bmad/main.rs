//! Integration tests, one module for each subject, in one binary (one link).
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests: a failure in them is a failed test")]

mod classic;
mod dependencies;
mod hostile;
mod layouts;
mod markdown;
mod older;
#[cfg(feature = "oracle")]
mod oracle;
mod project;
mod properties;
mod specs;
mod tracking;

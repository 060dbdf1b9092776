//! What runs leave behind and what later ones read of it, against a real Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod artifacts;
mod landings;
mod pulls;
mod specs;
mod subject;
mod tested;
mod transcripts;
mod trim;
mod work;

//! The program as people and scripts use it: the real binary on a real database.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong in a test fails it")]

mod errors;
mod follow;
mod help;
mod program;
mod setup;
mod shapes;
mod transcripts;
mod wait;

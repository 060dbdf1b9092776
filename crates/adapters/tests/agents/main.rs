//! Agents: one suite for all of them, and what is particular to each. Programs run in the real sandbox.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test's set-up fails by panicking; what is left out is said"
)]

mod claude;
mod claude_ends;
mod command;
mod conformance;
mod replay;
mod world;

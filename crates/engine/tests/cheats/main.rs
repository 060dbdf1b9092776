//! Agents that cheat: each cheat is refused for its reason, and nothing of it lands.
#![expect(clippy::expect_used, reason = "a test's set-up fails by panicking")]

mod claims;
mod files;
mod moved;
mod node;
mod reports;
mod stage;
mod surroundings;
mod untrusted_text;
mod weakened;

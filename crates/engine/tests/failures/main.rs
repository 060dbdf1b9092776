//! Bad circumstances: each ends in a clear state and message, nothing is lost, and nobody is blamed who has no part in it.
#![expect(clippy::expect_used, clippy::panic, reason = "a test's set-up fails by panicking")]

mod agents;
mod audit;
mod base_moves;
mod conflicts;
mod database;
mod disk;
mod folders;
mod model;
mod person;
mod prove;
mod push;
mod repositories;
mod rules;
mod stage;
mod stories;
mod tests_of_project;

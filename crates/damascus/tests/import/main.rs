//! `damascus import bmad`: the real binary, on real folders and a real database.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what goes wrong in a test fails it")]

mod again;
mod hostile;
mod layouts;
mod output;
mod together;
mod world;

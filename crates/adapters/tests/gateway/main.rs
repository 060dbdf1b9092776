//! The client of a model gateway against a strict, scripted one over a real socket.
#![expect(clippy::expect_used, clippy::panic, reason = "a test's set-up fails by panicking")]

mod answers;
mod failures;
mod hostile;
mod world;

//! For tests only: a temporary Postgres with a fresh database per test, and phase handlers that follow a script.
//!
//! Invariant: what stands in for something real is as strict as the original; the database is real. Nothing here is in what ships.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's set-up fails by panicking; there is nobody to hand an error to"
)]

pub mod database;
pub mod handlers;
pub mod ports;
pub mod scene;
pub mod wire;

pub use database::TestDb;
pub use scene::Scene;

//! For tests only: a temporary Postgres with a fresh database per test, and phase handlers that follow a script.
//!
//! Invariant: what stands in for something real is as strict as the original; the database is real. Nothing here is in what ships.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test's set-up fails by panicking; there is nobody to hand an error to"
)]

pub mod database;
pub mod forge_conformance;
pub mod handlers;
pub mod loop_scene;
pub mod ports;
pub mod scene;
pub mod scripted_model;
pub mod wire;

pub use database::TestDb;
pub use loop_scene::{LoopScene, SpecWriter};
pub use scene::Scene;
pub use scripted_model::ScriptedModel;

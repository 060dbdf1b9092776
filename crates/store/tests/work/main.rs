//! What people and the scheduler do with projects, items, gates and issues, against a real Postgres.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also outside the test function itself"
)]

mod answers;
mod gates;
mod items;
mod lists;
mod projects;
mod races;
mod scene;
mod stops;

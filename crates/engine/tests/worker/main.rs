//! The worker and the scheduler against a real Postgres, with handlers that follow a script.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod defects;
mod gates;
mod loops;
mod outage;
mod shutdown;
mod stage;

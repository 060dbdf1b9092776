//! Handing out and taking back work, against a real Postgres: claims, lanes, reports, leases, schedules and the outbox.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod apply;
mod caps;
mod claim;
mod effects;
mod hostile;
mod lease;
mod outbox;
mod schedule;
mod stale;
mod table;

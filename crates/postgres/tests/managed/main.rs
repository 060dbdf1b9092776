//! The supervisor against real Postgres programs: every test has a home of its own in the temporary folder, waits on
//! conditions, and ends nothing that it did not start. Runs as root (the server then steps down) and as an ordinary user.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails a test")]

mod crash;
mod home;
mod lifecycle;
mod refusals;
mod sharing;
mod user;

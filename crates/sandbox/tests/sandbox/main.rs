//! The sandbox with the real bubblewrap. Each attack is first shown to work without the guard, then to fail with it.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "functions that set tests up fail loudly")]

mod attacks;
mod bare;
mod disk;
mod endings;
mod limits;
mod ownership;
mod scene;
mod tools;

//! Stories from spec to their end: real git, sandbox, tests and database; made-up model and agents.
#![expect(clippy::expect_used, reason = "a test's set-up fails by panicking")]

mod passes;

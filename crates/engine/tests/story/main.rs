//! Stories from spec to their end: real git, sandbox, tests and database; made-up model and agents.

mod passes;

//! What a change is judged by, pure: the project's own rules, what its test runner reported, and what a difference may contain.
//!
//! Invariants: nothing here runs a program, opens a file or asks the network; everything comes in as bytes from outside and is hostile until
//! checked; what can't be read is never a pass.

pub mod diff;
pub mod project;
pub mod report;

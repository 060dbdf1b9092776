//! Forges: where repositories live and changes are proposed.
//!
//! Invariant: every forge here passes the one conformance suite of the testkit.

pub mod local;

pub use local::LocalForge;

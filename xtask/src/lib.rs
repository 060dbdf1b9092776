//! Chores of this repository that a compiler cannot do: `tidy` reads the tree, `edges` reads the crate graph.
//!
//! Invariant: every check is a pure function from loaded input to findings, so that each rule has its own small tests;
//! only [`tree::load`] and [`edges::load`] touch the disk.

pub mod edges;
pub mod finding;
pub mod tidy;
pub mod tree;

//! The engine's ports, implemented for the real world.
//!
//! Invariant: an adapter translates; it decides nothing about items.

pub mod broker;
pub mod randomness;

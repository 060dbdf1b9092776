//! The engine's ports, implemented for the real world.
//!
//! Invariant: an adapter translates; it decides nothing about items.

pub mod agent;
pub mod broker;
pub mod clock;
pub mod forge;
pub mod gateway;
pub mod randomness;

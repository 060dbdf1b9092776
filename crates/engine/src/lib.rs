//! What a worker and a scheduler do, and the ports that they need.
//!
//! Invariants: the engine decides nothing about phases (the domain does) and writes none (the store does); time, randomness and phases'
//! work come in through ports; every wait is bounded, and what a notification should have started is also found by a sweep.

pub mod handlers;
pub mod held;
pub mod noop;
pub mod phases;
pub mod ports;
pub mod prove;
pub mod scheduler;
pub mod verify;
pub mod worker;

pub use handlers::{Handlers, PhaseHandler, RunContext};
pub use held::{HeldLeases, LeaseGuard};
pub use noop::NoOp;
pub use ports::{Ports, Randomness, Recovery, Wakeups};
pub use scheduler::Scheduler;
pub use worker::{Mode, Worker, WorkerSettings, WorkerSummary};

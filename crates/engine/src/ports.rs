//! What the engine needs from outside, as traits.
//!
//! Invariant: a port promises little, so that a test can hold it: waking up too often is allowed, never waking up is survived.

pub mod agent;
pub mod forge;
pub mod model;

use std::sync::Arc;

use async_trait::async_trait;

/// Tells when something may have become claimable.
#[async_trait]
pub trait Wakeups: Send {
    /// Waits until something may have happened. May return for nothing; must not lose what happens between two calls.
    async fn wait(&mut self);
}

/// Makes wake-ups; each worker and scheduler has its own.
#[async_trait]
pub trait WakeupSource: Send + Sync {
    /// A new stream of wake-ups.
    async fn subscribe(&self) -> Box<dyn Wakeups>;
}

/// Randomness, for jitter only: nothing that must not be guessed is made from it.
pub trait Randomness: Send + Sync {
    /// A fraction in `0.0..1.0`.
    fn fraction(&self) -> f64;
}

/// The time of day, for what people and git read: never for deciding.
pub trait Clock: Send + Sync {
    /// Seconds since 1970, UTC.
    fn unix_seconds(&self) -> i64;
}

/// Hears of every effect of a phase on the outside, before and after it: tests stop a process there.
pub trait Effects: Send + Sync {
    /// An effect is about to be made.
    fn before(&self, _name: &'static str) {}
    /// It was made.
    fn after(&self, _name: &'static str) {}
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Effects for Unheard {}

/// Brings the database back, where that is ours to do.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// Called when the database does not answer; returns when it has done what it can. Callers wait and retry in any case.
    async fn database_lost(&self);
}

/// The ports, as every part of the engine gets them.
#[derive(Clone)]
pub struct Ports {
    /// Wake-ups.
    pub wakeups: Arc<dyn WakeupSource>,
    /// Jitter.
    pub randomness: Arc<dyn Randomness>,
    /// What to do when the database is gone.
    pub recovery: Arc<dyn Recovery>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

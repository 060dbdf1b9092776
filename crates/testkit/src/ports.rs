//! The engine's ports for tests: the real broker on the test's database or none at all, and jitter that does not vary.

use std::sync::Arc;

use async_trait::async_trait;
use damascus_adapters::broker::postgres::PostgresBroker;
use damascus_engine::ports::WakeupSource;
use damascus_engine::{Ports, Randomness, Recovery, Wakeups};
use damascus_store::Store;

/// Always the longest wait.
#[derive(Debug, Clone, Copy)]
pub struct NoJitter;

impl Randomness for NoJitter {
    fn fraction(&self) -> f64 {
        1.0
    }
}

/// The database is the test's to bring back.
#[derive(Debug, Clone, Copy)]
pub struct Patience;

#[async_trait]
impl Recovery for Patience {
    async fn database_lost(&self) {}
}

/// A broker that loses everything.
#[derive(Debug, Clone, Copy)]
pub struct Deaf;

#[async_trait]
impl WakeupSource for Deaf {
    async fn subscribe(&self) -> Box<dyn Wakeups> {
        Box::new(Self)
    }
}

#[async_trait]
impl Wakeups for Deaf {
    async fn wait(&mut self) {
        std::future::pending().await
    }
}

/// Ports with the broker that ships, on the test's database.
#[must_use]
pub fn listening(store: &Store) -> Ports {
    with(Arc::new(PostgresBroker::start(store.clone())))
}

/// Ports without any notification.
#[must_use]
pub fn deaf() -> Ports {
    with(Arc::new(Deaf))
}

fn with(wakeups: Arc<dyn WakeupSource>) -> Ports {
    Ports { wakeups, randomness: Arc::new(NoJitter), recovery: Arc::new(Patience) }
}

//! The default broker: LISTEN/NOTIFY of the database itself, so that there is nothing else to install.
//!
//! Invariant: one connection listens for the whole process. While it is broken, and once when it is back, every subscriber is woken.

use std::time::Duration;

use async_trait::async_trait;
use damascus_engine::Wakeups;
use damascus_engine::ports::WakeupSource;
use damascus_store::{Channel, Listener, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The pause before the connection is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Wakes its subscribers when the database says that something may have become claimable.
#[derive(Debug)]
pub struct PostgresBroker {
    woken: watch::Sender<u64>,
    _stop: DropGuard,
}

impl PostgresBroker {
    /// Starts listening, in a task that ends when the broker is dropped.
    #[must_use]
    pub fn start(store: Store) -> Self {
        let (woken, _) = watch::channel(0);
        let stop = CancellationToken::new();
        let task = listen(store, woken.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { woken, _stop: stop.drop_guard() }
    }
}

async fn listen(store: Store, woken: watch::Sender<u64>) {
    let wake = || woken.send_modify(|count| *count = count.wrapping_add(1));
    loop {
        match store.listen(&[Channel::Work]).await {
            Ok(mut listener) => {
                // Whatever was announced before this connection listened.
                wake();
                let error = forward(&mut listener, &wake).await;
                tracing::warn!(error = &error as &dyn std::error::Error, "the listening connection broke");
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "listening failed; trying again"),
        }
        wake();
        tokio::time::sleep(RETRY).await;
    }
}

/// Wakes for as long as the connection holds; gives what broke it.
async fn forward(listener: &mut Listener, wake: &impl Fn()) -> StoreError {
    loop {
        match listener.wait().await {
            Ok(()) => wake(),
            Err(error) => return error,
        }
    }
}

#[async_trait]
impl WakeupSource for PostgresBroker {
    async fn subscribe(&self) -> Box<dyn Wakeups> {
        Box::new(Subscriber(self.woken.subscribe()))
    }
}

struct Subscriber(watch::Receiver<u64>);

#[async_trait]
impl Wakeups for Subscriber {
    async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            // The broker is gone; the sweep remains.
            std::future::pending::<()>().await;
        }
    }
}

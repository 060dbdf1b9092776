//! Hearing that something happened: Postgres notifications.
//!
//! Invariant: a notification is a hint, never the truth. After a broken connection one is made up, since any number may have been missed;
//! whoever listens looks at the tables, and also looks now and then without any.

use sqlx::postgres::{PgListener, PgPoolOptions};

use crate::{Store, StoreError};

/// What can be listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Something may have become claimable.
    Work,
    /// Events were written to the outbox.
    Events,
    /// A run's transcript has grown.
    Transcripts,
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Self::Work => "damascus_work",
            Self::Events => "damascus_events",
            Self::Transcripts => "damascus_transcripts",
        }
    }
}

/// A connection that listens.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Store {
    /// Listens on a connection of its own, outside the pool's count.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn listen(&self, channels: &[Channel]) -> Result<Listener, StoreError> {
        let own = PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(self.options().session())
            .await?;
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen_all(channels.iter().map(|channel| channel.name())).await?;
        Ok(Listener(listener))
    }
}

impl Listener {
    /// Waits until something may have happened: a notification came, or the connection broke and was made anew.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it could not be made anew; try again later.
    pub async fn wait(&mut self) -> Result<(), StoreError> {
        // None: the connection broke. It is made anew at the next call; what was missed in between is covered by returning now.
        self.0.try_recv().await?;
        // Notifications that are already here say nothing more.
        while self.0.next_buffered().is_some() {}
        Ok(())
    }
}

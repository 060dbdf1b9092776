//! The scheduler: what happens because time passes.
//!
//! Invariants: any number of schedulers may run; a tick happens once (its row is unique), a sweep that finds nothing changes nothing.
//! Workers sweep too, so that a missing scheduler delays only the scheduled jobs.

use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::WorkerId;
use damascus_store::{Store, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ports::{Ports, Randomness};

/// How often a scheduler looks without being told.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);
/// The least time between two rounds, however often it is told that something happened.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// The pause after the database failed.
const RETRY: Duration = Duration::from_secs(2);
/// The most rounds of one sweep: each takes a bounded batch, and a full one asks for another.
const MAX_ROUNDS: usize = 1_000;

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    id: WorkerId,
    store: Store,
    ports: Ports,
    /// Days that events are kept.
    retention_days: u16,
    /// When to look for what evaluations of gates missed.
    heal_at: Instant,
}

impl Scheduler {
    /// A scheduler that is registered under `id`.
    #[must_use]
    pub fn new(id: WorkerId, store: Store, ports: Ports, retention_days: u16) -> Self {
        Self { id, store, ports, retention_days, heal_at: Instant::now() }
    }

    /// Works until `shutdown` is cancelled.
    ///
    /// # Errors
    /// [`StoreError`] that no retry mends.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), StoreError> {
        let mut wakeups = self.ports.wakeups.subscribe().await;
        while !shutdown.is_cancelled() {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(error) if error.retryable() => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the database failed; trying again");
                    self.ports.recovery.database_lost().await;
                    RETRY
                }
                Err(error) => return Err(error),
            };
            let done = Instant::now();
            let told = async {
                tokio::time::sleep_until(done + LEAST_INTERVAL).await;
                wakeups.wait().await;
            };
            tokio::select! {
                // What was just written may come due before the time that was known.
                () = told => {}
                () = tokio::time::sleep_until(done + pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        self.store.worker_stopped(self.id).await
    }

    async fn round(&mut self) -> Result<Duration, StoreError> {
        self.store.renew(self.id, &[], Duration::ZERO).await?;
        let due = sweep(&self.store, self.ports.randomness.as_ref()).await?;
        if Instant::now() >= self.heal_at {
            self.store.heal_gates().await?;
            self.heal_at = Instant::now() + SWEEP_INTERVAL;
        }
        let tick = self.tick().await?;
        let next = [due.map(|due| due + Duration::from_millis(1)), tick].into_iter().flatten().min();
        Ok(next.map_or(SWEEP_INTERVAL, |next| next.min(SWEEP_INTERVAL)))
    }

    /// Does the jobs that are due; says when the next is.
    async fn tick(&self) -> Result<Option<Duration>, StoreError> {
        let mut next: Option<Duration> = None;
        for schedule in self.store.schedules().await? {
            let Some(following) = following(&schedule.cron, schedule.now) else {
                tracing::error!(
                    schedule = schedule.name,
                    cron = schedule.cron,
                    "the cron fields can't be read; the schedule does not tick"
                );
                continue;
            };
            self.store.tick(&schedule, following, self.retention_days).await?;
            let wait = (following - schedule.now).to_std().unwrap_or_default();
            next = Some(next.map_or(wait, |known| known.min(wait)));
        }
        Ok(next)
    }
}

/// The first time after `now` that five cron fields (UTC) name.
fn following(cron: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    croner::Cron::from_str(cron).ok()?.find_next_occurrence(&now, false).ok()
}

/// Advances whatever has come due: leases, backoffs, timers and deadlines of gates. Says when something comes due next.
pub(crate) async fn sweep(store: &Store, randomness: &dyn Randomness) -> Result<Option<Duration>, StoreError> {
    let mut due = None;
    for _ in 0..MAX_ROUNDS {
        let swept = store.sweep_leases(randomness.fraction()).await?;
        due = swept.next_due;
        if swept.woken + swept.lost == 0 {
            break;
        }
        tracing::info!(woken = swept.woken, lost = swept.lost, "swept");
    }
    store.settle_due_gates().await?;
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_after_now_and_nonsense_has_none() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        let next = following("7 * * * *", now).expect("five fields");
        assert!(next > now && next - now <= chrono::Duration::hours(1));
        assert_eq!(next.timestamp() % 3600, 7 * 60);
        assert_eq!(following("every full moon", now), None);
    }
}

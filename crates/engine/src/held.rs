//! The leases that a worker holds, and the heartbeat that renews them.
//!
//! Invariant: by the local monotonic clock a lease ends no later than by the database's, since the local time starts before the request
//! that grants it. A run whose lease is lost is told at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use damascus_core::{Epoch, ItemId, WorkerId};
use damascus_store::{Lease, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Ports;

/// A heartbeat is sent this many times per lease.
const BEATS_PER_LEASE: u32 = 3;
/// A worker without leases tells that it lives this often.
const IDLE_BEAT: Duration = Duration::from_secs(30);
/// How long to wait after a heartbeat that failed, as a part of the beat.
const RETRY_FRACTION: u32 = 4;

#[derive(Debug)]
struct Held {
    epoch: Epoch,
    until: Instant,
    cancelled: CancellationToken,
}

/// The leases of one worker.
#[derive(Debug, Clone, Default)]
pub struct HeldLeases(Arc<Mutex<HashMap<ItemId, Held>>>);

/// Says whether one lease still holds.
#[derive(Debug, Clone)]
pub struct LeaseGuard {
    leases: HeldLeases,
    item: ItemId,
    epoch: Epoch,
}

impl LeaseGuard {
    /// Whether the lease holds, as far as this process can know. The database and the forge check again.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.leases.lock().get(&self.item).is_some_and(|held| held.epoch == self.epoch && Instant::now() < held.until)
    }
}

impl HeldLeases {
    fn lock(&self) -> MutexGuard<'_, HashMap<ItemId, Held>> {
        // Each critical section leaves the map whole, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a lease; `until` is by the local clock. Gives nothing when the item is held already: the server lost an earlier claim in a
    /// crash and gave the item out again while its first run goes on here.
    pub(crate) fn take(&self, lease: &Lease, until: Instant) -> Option<(LeaseGuard, CancellationToken)> {
        let mut held = self.lock();
        if held.contains_key(&lease.item) {
            return None;
        }
        let cancelled = CancellationToken::new();
        held.insert(lease.item, Held { epoch: lease.epoch, until, cancelled: cancelled.clone() });
        Some((LeaseGuard { leases: self.clone(), item: lease.item, epoch: lease.epoch }, cancelled))
    }

    /// Lets a lease go: its run has reported, or was handed back.
    pub(crate) fn release(&self, item: ItemId) {
        self.lock().remove(&item);
    }

    /// All of them, for a hand-back.
    pub(crate) fn all(&self) -> Vec<(ItemId, Epoch)> {
        self.lock().iter().map(|(&item, held)| (item, held.epoch)).collect()
    }

    /// Tells every run to stop.
    pub(crate) fn cancel_all(&self) {
        for held in self.lock().values() {
            held.cancelled.cancel();
        }
    }

    fn renewed(&self, asked: &[(ItemId, Epoch)], kept: &[ItemId], until: Instant) {
        let mut all = self.lock();
        for (item, epoch) in asked {
            let Some(held) = all.get_mut(item).filter(|held| held.epoch == *epoch) else { continue };
            if kept.contains(item) {
                held.until = until;
            } else if !held.cancelled.is_cancelled() {
                tracing::warn!(item.id = item.0, lease.epoch = epoch.0, "the lease is lost; its run is stopped");
                held.until = Instant::now();
                held.cancelled.cancel();
            }
        }
    }

    /// Stops the runs whose lease has run out by the local clock: the database could not be asked in time.
    fn expire(&self) {
        let now = Instant::now();
        for (item, held) in self.lock().iter().filter(|(_, held)| held.until <= now && !held.cancelled.is_cancelled()) {
            tracing::warn!(item.id = item.0, "the lease could not be renewed in time; its run is stopped");
            held.cancelled.cancel();
        }
    }

    /// Renews the leases for ever, and looks at the clock besides: a renewal that hangs must not keep a run going.
    pub(crate) async fn beat(self, store: Store, worker: WorkerId, lease: Duration, ports: Ports) {
        let beat = (lease / BEATS_PER_LEASE).min(IDLE_BEAT);
        let retry = beat / RETRY_FRACTION;
        let renewing = async {
            loop {
                let asked = self.all();
                let sent = Instant::now();
                // A renewal that takes longer than its lease is worth nothing; the connection may be dead without saying so.
                let renewed = tokio::time::timeout(lease, store.renew(worker, &asked, lease)).await;
                let pause = match renewed {
                    Ok(Ok(kept)) => {
                        self.renewed(&asked, &kept, sent + lease);
                        beat
                    }
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the heartbeat failed");
                        ports.recovery.database_lost().await;
                        retry
                    }
                    Err(_) => {
                        tracing::warn!("the heartbeat got no answer");
                        retry
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        let watching = async {
            loop {
                self.expire();
                tokio::time::sleep(retry).await;
            }
        };
        tokio::join!(renewing, watching);
    }
}

#[cfg(test)]
mod tests {
    use damascus_core::policy::DEFAULT_ATTEMPTS;
    use damascus_core::{Budget, Policy, ProjectId, RunId, WorkPhase};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn lease(item: i64, epoch: i64) -> Lease {
        Lease {
            item: ItemId(item),
            project: ProjectId(1),
            run: RunId(epoch),
            worker: WorkerId(1),
            phase: WorkPhase::Spec,
            epoch: Epoch(epoch),
            budget: Budget::new(DEFAULT_ATTEMPTS),
            policy: Policy::default(),
            until: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_item_is_taken_up_once_until_it_is_released() {
        let held = HeldLeases::default();
        let later = Instant::now() + LONG;
        let (guard, cancelled) = held.take(&lease(1, 3), later).unwrap();
        assert!(
            held.take(&lease(1, 3), later).is_none(),
            "the same lease, given out again after a crash of the server"
        );
        assert!(held.take(&lease(1, 5), later).is_none(), "a later one");
        assert!(guard.holds() && !cancelled.is_cancelled(), "the first run goes on");
        assert_eq!(held.all(), [(ItemId(1), Epoch(3))]);
        held.release(ItemId(1));
        assert!(!guard.holds());
        let (second, _) = held.take(&lease(1, 5), later).unwrap();
        assert!(second.holds() && !guard.holds(), "a guard is of one lease");
    }

    #[test]
    fn what_is_not_renewed_is_lost_and_told_at_once() {
        let held = HeldLeases::default();
        let later = Instant::now() + LONG;
        let (kept, lost) = (held.take(&lease(1, 1), later).unwrap(), held.take(&lease(2, 1), later).unwrap());
        let asked = held.all();
        let (new, told) = held.take(&lease(3, 1), later).unwrap();
        held.renewed(&asked, &[ItemId(1)], later + LONG);
        assert!(kept.0.holds() && !kept.1.is_cancelled());
        assert!(!lost.0.holds() && lost.1.is_cancelled());
        assert!(
            new.holds() && !told.is_cancelled(),
            "what was taken up while the renewal was under way was not asked for"
        );
    }

    #[test]
    fn a_renewal_of_an_earlier_lease_says_nothing_about_a_later_one() {
        let held = HeldLeases::default();
        let later = Instant::now() + LONG;
        held.take(&lease(1, 1), later).unwrap();
        let asked = held.all();
        held.release(ItemId(1));
        let (guard, cancelled) = held.take(&lease(1, 3), later).unwrap();
        held.renewed(&asked, &[], later);
        assert!(guard.holds() && !cancelled.is_cancelled());
    }

    #[test]
    fn a_lease_ends_by_the_local_clock_though_nobody_answers() {
        let held = HeldLeases::default();
        let (guard, cancelled) = held.take(&lease(1, 1), Instant::now()).unwrap();
        let (other, goes_on) = held.take(&lease(2, 1), Instant::now() + LONG).unwrap();
        assert!(!guard.holds() && !cancelled.is_cancelled());
        held.expire();
        assert!(cancelled.is_cancelled() && !goes_on.is_cancelled() && other.holds());
        held.cancel_all();
        assert!(goes_on.is_cancelled());
    }
}

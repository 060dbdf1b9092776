//! The worker loop: claim, run, report, and claim again, many runs at a time.
//!
//! Invariants: one loop owns all reports, so that whatever has finished while a commit was under way goes into the next one, together with
//! the claim of what takes its place; a report is kept until it is written or known to be stale; no more runs are under way than the
//! worker has room for.

mod report;
mod settings;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use damascus_core::{ItemId, RunReport, WorkerId};
use damascus_store::{ClaimRequest, Lease, Move, Store, StoreError};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::handlers::{Handlers, RunContext};
use crate::held::HeldLeases;
use crate::ports::Ports;
pub use settings::{Mode, WorkerSettings, WorkerSummary};

/// How often a worker looks for work without being told, in case that a notification was lost.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);
/// How often a worker walks all closed gates; a scheduler does so more often.
const HEAL_INTERVAL: Duration = Duration::from_secs(60);
/// How long runs that were told to stop may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// The first pause after the database failed, and the longest.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// A worker process's share of the work.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    store: Store,
    handlers: Handlers,
    ports: Ports,
    settings: WorkerSettings,
    leases: HeldLeases,
    running: JoinSet<RunReport>,
    run_of: HashMap<Id, Lease>,
    finished: Vec<(Lease, RunReport)>,
    summary: WorkerSummary,
    /// When to look for what came due.
    sweep_at: Instant,
    /// When to look for gates whose evaluation was missed: by this worker, or by one that died between its commit and the look.
    heal_at: Instant,
    /// Whether something may be claimable that was not looked for yet.
    hungry: bool,
    /// Consecutive failures of the database.
    failures: u32,
    /// How many of the reports at the front are written one by one, since one among them was refused.
    careful: usize,
}

impl Worker {
    /// A worker that is registered under `id` and has not begun.
    #[must_use]
    pub fn new(id: WorkerId, store: Store, handlers: Handlers, ports: Ports, settings: WorkerSettings) -> Self {
        Self {
            id,
            store,
            handlers,
            ports,
            settings,
            leases: HeldLeases::default(),
            running: JoinSet::new(),
            run_of: HashMap::new(),
            finished: Vec::new(),
            summary: WorkerSummary::default(),
            sweep_at: Instant::now(),
            heal_at: Instant::now(),
            hungry: true,
            failures: 0,
            careful: 0,
        }
    }

    /// Works until `shutdown` is cancelled (or, in the other modes, until there is nothing left to do), then drains: no new claims, the runs
    /// under way get the grace period, and the leases of those that did not end in it are handed back.
    ///
    /// # Errors
    /// [`StoreError`] that no retry mends.
    pub async fn run(mut self, mode: Mode, shutdown: CancellationToken) -> Result<WorkerSummary, StoreError> {
        let beat = self.leases.clone().beat(self.store.clone(), self.id, self.settings.lease, self.ports.clone());
        let heartbeat = tokio::spawn(beat);
        let worked = self.work(mode, &shutdown).await;
        let drained = self.drain().await;
        heartbeat.abort();
        worked.and(drained)?;
        Ok(self.summary)
    }

    async fn work(&mut self, mode: Mode, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let mut wakeups = self.ports.wakeups.subscribe().await;
        while !shutdown.is_cancelled() {
            self.collect();
            if Instant::now() >= self.sweep_at {
                self.sweep().await?;
            }
            if !self.finished.is_empty() || (self.hungry && self.room() > 0) {
                let claims = if mode == Mode::Once && self.summary.claimed > 0 { 0 } else { self.room() };
                self.settle_and_claim(claims).await?;
                if self.failures == 0 {
                    continue;
                }
            } else if mode != Mode::Forever && self.running.is_empty() {
                return Ok(());
            }
            let until = if self.failures > 0 { Instant::now() + self.retry_pause() } else { self.sweep_at };
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.note(ended),
                () = wakeups.wait(), if self.failures == 0 => self.hungry = true,
                () = tokio::time::sleep_until(until) => self.hungry = true,
                () = shutdown.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Room for more runs; a report that is not written yet still takes its place, as its lease does.
    fn room(&self) -> usize {
        if self.handlers.phases().is_empty() {
            return 0;
        }
        self.settings.concurrency.saturating_sub(self.running.len())
    }

    /// Takes up whatever has ended by now.
    fn collect(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<(Id, RunReport), tokio::task::JoinError>) {
        let (id, report) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), report::of_broken_handler(&error)),
        };
        // A run that was handed back is no longer known.
        if let Some(lease) = self.run_of.remove(&id) {
            self.finished.push((lease, report));
        }
    }

    /// Writes what has finished and claims what takes its place, in one commit.
    async fn settle_and_claim(&mut self, claims: usize) -> Result<(), StoreError> {
        let most = if self.careful > 0 { 1 } else { damascus_store::apply::MAX_MOVES };
        let batch = self.finished.len().min(most);
        if batch == 0 && claims == 0 {
            self.hungry = false;
            return Ok(());
        }
        let moves: Vec<Move> = self.finished[..batch]
            .iter()
            .map(|(lease, report)| report::to_move(lease, report.clone(), self.ports.randomness.fraction()))
            .collect::<Result<_, _>>()?;
        let request = ClaimRequest {
            worker: self.id,
            phases: self.handlers.phases(),
            max: claims.min(damascus_store::claim::MAX_CLAIM),
            lease: self.settings.lease,
        };
        let asked_at = Instant::now();
        let done = if moves.is_empty() {
            self.store.claim(&request).await.map(|leases| (damascus_store::Applied::default(), leases))
        } else {
            self.store.finish_and_claim(&moves, &request).await
        };
        let (applied, leases) = match done {
            Ok(done) => done,
            Err(error) => return self.not_written(error, batch).await,
        };
        self.careful = self.careful.saturating_sub(batch);
        self.hungry = claims > 0 && leases.len() == request.max && leases.len() < claims;
        for (lease, _) in self.finished.drain(..batch) {
            self.leases.release(lease.item);
            if !applied.wrote(lease.item) {
                self.summary.stale += 1;
                tracing::info!(
                    item.id = lease.item.0,
                    run.id = lease.run.0,
                    lease.epoch = lease.epoch.0,
                    "a stale report was dropped"
                );
            }
        }
        self.summary.reported += applied.written.len() as u64;
        self.summary.commits += u64::from(batch > 0);
        if let Some(due) = moves.iter().filter_map(Move::comes_due_after).min() {
            self.sweep_at = self.sweep_at.min(Instant::now() + due);
        }
        self.start(leases, asked_at + self.settings.lease);
        // Only now: what was just claimed must be known.
        self.recovered().await?;
        if !applied.stopped.is_empty() {
            self.open_gates(&applied.stopped).await?;
        }
        Ok(())
    }

    fn start(&mut self, leases: Vec<Lease>, until: Instant) {
        for lease in leases {
            self.summary.claimed += 1;
            let Some(handler) = self.handlers.get(lease.phase).map(Arc::clone) else { continue };
            // Otherwise the first run goes on; its report will be stale, and the lease is handed back or runs out.
            let Some((guard, cancelled)) = self.leases.take(&lease, until) else { continue };
            let context = RunContext { lease: lease.clone(), guard, cancelled };
            let task = self.running.spawn(async move { handler.run(context).await });
            self.run_of.insert(task.id(), lease);
        }
    }

    /// What waits for these items is looked at; if that fails, the sweep heals it.
    async fn open_gates(&mut self, stopped: &[ItemId]) -> Result<(), StoreError> {
        match self.store.evaluate_upstream(stopped).await {
            Ok(swept) => {
                self.hungry |= !swept.is_empty();
                Ok(())
            }
            Err(error) => {
                self.sweep_at = Instant::now() + self.retry_pause();
                self.heal_at = self.sweep_at;
                self.database_failed(error).await
            }
        }
    }

    async fn sweep(&mut self) -> Result<(), StoreError> {
        self.sweep_at = Instant::now() + SWEEP_INTERVAL;
        match self.look_around().await {
            Ok(next_due) => {
                // Rounded up, so that what is due is due when it is looked for.
                let next = next_due.map_or(SWEEP_INTERVAL, |due| due + Duration::from_millis(1));
                self.sweep_at = Instant::now() + next.min(SWEEP_INTERVAL);
                self.hungry = true;
                Ok(())
            }
            Err(error) => self.database_failed(error).await,
        }
    }

    /// Advances what came due, and now and then what was missed; says when something comes due next.
    async fn look_around(&mut self) -> Result<Option<Duration>, StoreError> {
        let next_due = crate::scheduler::sweep(&self.store, self.ports.randomness.as_ref()).await?;
        if Instant::now() >= self.heal_at {
            self.store.heal_gates().await?;
            self.heal_at = Instant::now() + HEAL_INTERVAL;
        }
        Ok(next_due)
    }

    /// Bears a failure that a retry may mend; passes on the others.
    async fn database_failed(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.retryable() {
            return Err(error);
        }
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            failures = self.failures,
            "the database failed; trying again"
        );
        self.ports.recovery.database_lost().await;
        Ok(())
    }

    /// A batch that the database refused for what it holds is written again one by one, and the report that it refuses even then is replaced
    /// by an infrastructure failure: one bad report must not stop the others.
    async fn not_written(&mut self, error: StoreError, batch: usize) -> Result<(), StoreError> {
        if error.retryable() || batch == 0 {
            return self.database_failed(error).await;
        }
        if batch > 1 {
            self.careful = batch;
            return Ok(());
        }
        let (lease, report) = &mut self.finished[0];
        if !report::replace_refused(lease, report, &error) {
            return Err(error);
        }
        self.careful = self.careful.max(1);
        Ok(())
    }

    /// After a failure, leases that the database gave us without our hearing of it are handed back.
    async fn recovered(&mut self) -> Result<(), StoreError> {
        if self.failures == 0 {
            return Ok(());
        }
        self.failures = 0;
        match self.hand_back_unknown().await {
            Ok(()) => Ok(()),
            Err(error) => self.database_failed(error).await,
        }
    }

    async fn hand_back_unknown(&self) -> Result<(), StoreError> {
        let held = self.leases.all();
        let mut unknown = self.store.leases_of(self.id).await?;
        unknown.retain(|lease| !held.contains(lease));
        if !unknown.is_empty() {
            self.store.hand_back(self.id, &unknown).await?;
        }
        Ok(())
    }

    fn retry_pause(&self) -> Duration {
        FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(LAST_RETRY)
    }

    /// Ends in order: what reports within the grace period is written, the rest is handed back.
    async fn drain(&mut self) -> Result<(), StoreError> {
        let end = Instant::now() + self.settings.grace;
        loop {
            self.collect();
            if !self.finished.is_empty() {
                self.settle_and_claim(0).await?;
                if self.failures == 0 {
                    continue;
                }
            }
            if (self.running.is_empty() && self.finished.is_empty()) || Instant::now() >= end {
                break;
            }
            let until = if self.failures > 0 { Instant::now() + self.retry_pause() } else { end };
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.note(ended),
                () = tokio::time::sleep_until(until.min(end)) => {}
            }
        }
        self.break_off().await;
        let left = self.leases.all();
        self.summary.handed_back = self.store.hand_back(self.id, &left).await?;
        // Stale by now, so that a run is not judged by what it says because it was told to stop; what it cost is written all the same.
        while !self.finished.is_empty() && self.failures == 0 {
            self.settle_and_claim(0).await?;
        }
        self.store.worker_stopped(self.id).await
    }

    /// Tells what still runs to stop. What listens ends now; the rest is aborted.
    async fn break_off(&mut self) {
        self.leases.cancel_all();
        let end = Instant::now() + CANCEL_GRACE;
        while let Ok(Some(ended)) = tokio::time::timeout_at(end, self.running.join_next_with_id()).await {
            self.note(ended);
        }
        self.running.abort_all();
        self.run_of.clear();
    }
}

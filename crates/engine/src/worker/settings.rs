//! What a worker is told, and what it tells.

use std::time::Duration;

/// How long a worker works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to stop.
    Forever,
    /// One claim, as many items as it has room for, and their runs.
    Once,
    /// Until nothing can be claimed and none of its runs is under way. What backs off or waits is left.
    UntilIdle,
}

/// What a worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerSettings {
    /// How many runs it takes at once.
    pub concurrency: usize,
    /// How long a lease holds without a heartbeat.
    pub lease: Duration,
    /// How long runs may go on after a shutdown signal.
    pub grace: Duration,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { concurrency: 2, lease: Duration::from_secs(60), grace: Duration::from_secs(30) }
    }
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerSummary {
    /// Runs that it claimed.
    pub claimed: u64,
    /// Reports that were written.
    pub reported: u64,
    /// Commits that wrote reports.
    pub commits: u64,
    /// Reports that were dropped, since the lease was gone.
    pub stale: u64,
    /// Leases that it handed back when it stopped.
    pub handed_back: u64,
}

//! Phase handlers: what is done in a phase, behind a port.
//!
//! Invariant: a handler reports, it does not decide: what its outcome means for the item is `step`'s. A worker claims only phases that it
//! has a handler for.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use damascus_core::{RunReport, WorkPhase};
use damascus_store::Lease;
use tokio_util::sync::CancellationToken;

use crate::LeaseGuard;

/// All that a run knows.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The lease that it runs under.
    pub lease: Lease,
    /// Whether the lease still holds: ask before every effect on the outside.
    pub guard: LeaseGuard,
    /// Cancelled when the lease is lost or the worker must stop; a handler then ends soon, and what it reports is dropped.
    pub cancelled: CancellationToken,
}

/// Does the work of one phase.
#[async_trait]
pub trait PhaseHandler: Send + Sync {
    /// Runs the phase for one item. Every effect must look before it acts: the same run may have been tried before.
    async fn run(&self, context: RunContext) -> RunReport;
}

/// The handlers of a worker, by phase.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<WorkPhase, Arc<dyn PhaseHandler>>);

impl Handlers {
    /// No handlers.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// With a handler for `phase`, in place of an earlier one.
    #[must_use]
    pub fn with(mut self, phase: WorkPhase, handler: Arc<dyn PhaseHandler>) -> Self {
        self.0.insert(phase, handler);
        self
    }

    /// The same handler for every phase.
    #[must_use]
    pub fn for_all(handler: &Arc<dyn PhaseHandler>) -> Self {
        <WorkPhase as damascus_core::Named>::ALL
            .iter()
            .fold(Self::none(), |handlers, &phase| handlers.with(phase, Arc::clone(handler)))
    }

    /// The phases that can be run.
    #[must_use]
    pub fn phases(&self) -> Vec<WorkPhase> {
        self.0.keys().copied().collect()
    }

    pub(crate) fn get(&self, phase: WorkPhase) -> Option<&Arc<dyn PhaseHandler>> {
        self.0.get(&phase)
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

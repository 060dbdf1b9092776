//! From a run's report to a move.
//!
//! Invariant: whatever a handler does (return nonsense, panic), its item gets a legal move: an infrastructure failure if nothing better.

use damascus_core::{Failure, Outcome, Refusal, RunReport};
use damascus_store::{Lease, Move, StoreError};
use tokio::task::JoinError;

/// The move of a report; a verdict that has no place in the phase counts as a defect of the handler.
pub(super) fn to_move(lease: &Lease, report: RunReport, jitter: f64) -> Result<Move, Refusal> {
    let costs = report.costs.clone();
    match Move::from_report(lease, report, jitter) {
        Ok(one) => Ok(one),
        Err(refusal) => {
            tracing::error!(item.id = lease.item.0, run.id = lease.run.0, %refusal, "a handler returned a verdict that its phase does not have");
            let detail = format!("the phase's handler is defective: {refusal}");
            Move::from_report(lease, RunReport { costs, ..RunReport::failed(Failure::InfraError, &detail) }, jitter)
        }
    }
}

/// The report of a handler that panicked or was aborted.
pub(super) fn of_broken_handler(error: &JoinError) -> RunReport {
    tracing::error!(%error, "a phase handler broke off");
    RunReport::failed(Failure::InfraError, "the phase's handler broke off; the log says where")
}

const REFUSED: &str = "the database refused the run's report";

/// Puts an infrastructure failure in the place of a report that the database refuses, first with the costs, then without. Says whether that is
/// worth a try: not when the report is such a replacement itself.
pub(super) fn replace_refused(lease: &Lease, report: &mut RunReport, error: &StoreError) -> bool {
    tracing::error!(item.id = lease.item.0, run.id = lease.run.0, error = error as &dyn std::error::Error, "{REFUSED}");
    let replaced = matches!(&report.outcome, Outcome::Fail { detail, .. } if detail.starts_with(REFUSED));
    if replaced && report.costs.is_empty() {
        return false;
    }
    let costs = if replaced { Vec::new() } else { std::mem::take(&mut report.costs) };
    *report = RunReport { costs, ..RunReport::failed(Failure::InfraError, &format!("{REFUSED}: {error}")) };
    true
}

//! The four phases: what is done to bring a story from backlog to merged.
//!
//! Invariants: a handler reads the truth again from the database, git and the forge at every run, and trusts no folder that an earlier run left;
//! it asks its lease before every effect on the outside; every effect looks before it acts, so that the same run may be made again after a
//! crash at any point. What a person has to mend is asked, what the surroundings broke is tried again, and what the work lacks is told to
//! the next attempt.

mod base;
mod branch;
mod build;
mod evidence_text;
mod judge;
mod log;
mod merge;
mod prompt;
mod record;
mod review;
mod scene;
mod spec;
mod testing;
mod trouble;
mod untouched;
mod workshop;

pub use base::{Base, fit};
pub use branch::{branch_of, item_trailer};
pub use build::Build;
pub use merge::Merge;
pub use review::Review;
pub use spec::SpecPhase;
pub use testing::{Check, Tested, Verdict as TestVerdict};
pub use trouble::Trouble;
pub use workshop::{WorkFolder, Workshop, WorkshopParts};

use std::sync::Arc;

use damascus_core::WorkPhase;

use crate::Handlers;

/// The handlers of all four phases.
#[must_use]
pub fn handlers(workshop: &Arc<Workshop>) -> Handlers {
    Handlers::none()
        .with(WorkPhase::Spec, Arc::new(SpecPhase::new(Arc::clone(workshop))))
        .with(WorkPhase::Build, Arc::new(Build::new(Arc::clone(workshop))))
        .with(WorkPhase::Review, Arc::new(Review::new(Arc::clone(workshop))))
        .with(WorkPhase::Merge, Arc::new(Merge::new(Arc::clone(workshop))))
}

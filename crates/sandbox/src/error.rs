//! What can go wrong around a run. How the program itself ended is never an error: see [`Ended`](crate::Ended).
//!
//! Invariant: a message names the path and the next step; text from outside is made safe to show before it gets in.

use std::{io, path::PathBuf};

/// Why a program could not be run, or why its directory could not be handed back.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The job can't be run as it is written: the caller's mistake.
    #[error("the job can't be run: {reason}")]
    Job {
        /// What is wrong with it.
        reason: String,
    },
    /// Another run writes to the same directory.
    #[error("{} is in use by another run: wait for it to end, or give each run its own directory", path.display())]
    Busy {
        /// The directory on the host.
        path: PathBuf,
    },
    /// Every unprivileged user id of the range is in use by a run.
    #[error("all {slots} user ids for runs are in use: lower the number of runs at a time")]
    NoUser {
        /// How many there are.
        slots: u32,
    },
    /// The sandbox could not be put up; nothing of the job ran.
    #[error("the sandbox did not start: {message}; run `damascus doctor` to check it")]
    Start {
        /// What was said about it, made safe to show.
        message: String,
    },
    /// A directory could not be given to the run's user, or taken back from it.
    #[error("can't hand over {}: {reason}", path.display())]
    HandOver {
        /// The directory on the host.
        path: PathBuf,
        /// What stood in the way, with the next step.
        reason: String,
    },
    /// A system call around the run failed.
    #[error("can't {action}")]
    Io {
        /// What was being done.
        action: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> SandboxError {
        let action = action.into();
        move |source| SandboxError::Io { action, source }
    }
}

//! Runs programs that are not trusted, where they can't do harm.
//!
//! Invariants: a program that is not trusted runs inside bubblewrap or not at all, unless the operator said otherwise in so many words; its
//! environment is built from nothing; when a run has ended, none of its processes is left.

mod backend;
mod capture;
mod error;
mod handover;
mod job;
mod launch;
mod loose;
mod probe;
mod run;
mod supervise;
mod toolchains;
mod user;
mod view;
mod walk;
mod watch;

pub use backend::{Isolation, Missing, Options, Sandbox};
pub use capture::Capture;
pub use error::SandboxError;
pub use job::{Access, HOME, Job, Limits, Mount, Network, WORK};
pub use run::{Ended, Exit, Sink, Stopped, Stream};

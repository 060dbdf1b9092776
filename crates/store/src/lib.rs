//! The store: all that Damascus remembers, in Postgres, and the only place with SQL.
//!
//! Invariants: only [`apply`] writes a work item's phase; no call to the outside happens inside a transaction; no transaction waits for
//! anything but the database; rows are decoded strictly, and what can't be decoded is a typed error, never a default.

pub mod apply;
pub mod artifact;
pub mod audit;
pub mod bench;
pub mod claim;
pub mod connect;
pub mod cost;
pub mod decision;
mod decode;
pub mod error;
pub mod event;
pub mod gate;
pub mod health;
mod hold;
mod input;
pub mod issue;
pub mod item;
pub mod landing;
pub mod lane;
pub mod lease;
pub mod listen;
pub mod migrate;
mod nearest;
mod outbox;
pub mod project;
mod proof;
pub mod pull_request;
pub mod registration;
pub mod run;
pub mod schedule;
pub mod spec;
pub mod status;
pub mod tested;
pub mod transcript;
mod trim;
pub mod work;
pub mod worker;

pub use apply::{Applied, Move, RunEnd};
pub use claim::{ClaimRequest, Lease};
pub use connect::{ConnectOptions, Store};
pub use error::StoreError;
pub use listen::{Channel, Listener};
pub use registration::Registration;
pub use schedule::{Job, Schedule};

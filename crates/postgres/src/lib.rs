//! A small supervisor of the Postgres cluster that Damascus manages for itself when no `DATABASE_URL` is given.
//!
//! It finds the Postgres programs of the machine, makes a cluster under the home folder, starts the server detached from the
//! caller, lets any number of processes share it, and stops it when the last of them leaves.
//!
//! Invariants:
//! - Decisions to make, start, adopt or stop are taken only under the exclusive lock `postgres/supervisor.lock`.
//! - Whoever uses the server holds a shared lock on `postgres/users.lock` for as long as it lives; the kernel gives it back
//!   when the process dies, however it dies. Only who finds that nobody else holds it stops the server.
//! - The server listens on a Unix socket in a folder that nobody but its own user (and root) may enter; never on TCP.
//! - A durable cluster never runs without fsync.
//! - The server never runs as root, and this crate never changes the mode or owner of a folder that it did not make.
//!
//! Everything here blocks; from async code call it through `spawn_blocking`. Linux only (pidfds and `/proc`).

mod account;
mod binaries;
mod cluster;
mod error;
mod layout;
mod lock;
mod managed;
mod options;
mod orphans;
mod pidfile;
mod probe;
mod process;
mod server;
mod server_log;
mod settings;
mod wait;

pub use binaries::Binaries;
pub use error::Error;
pub use managed::{ManagedPostgres, Origin, Release, Revival};
pub use options::{Durability, Options};

/// The database role that owns everything in a managed cluster.
pub const SUPERUSER: &str = "damascus";

/// The port in the socket's file name; nothing listens on TCP, and the folder belongs to one cluster, so it never clashes.
pub const PORT: u16 = 5432;

/// The database that always exists, to connect to when another one is to be created.
pub const MAINTENANCE_DATABASE: &str = "postgres";

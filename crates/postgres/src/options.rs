//! What the caller decides. Only [`Options::from_env`] reads the environment; nothing else in the crate does.

use std::ffi::OsString;
use std::path::PathBuf;

/// How much a cluster promises to keep. Chosen when it is made, recorded in its folder, and never changed afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is on disk before it is acknowledged: fsync, synchronous commit and full-page writes are on.
    Durable,
    /// For tests' temporary clusters: nothing is synced, so a crash of the machine may ruin it, though one of the server's
    /// processes may not. Refused on a durable cluster.
    Throwaway,
}

/// Where the cluster lives and what runs it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The home folder of Damascus; the cluster goes under `<home>/postgres`. A relative path is taken from the working directory.
    pub home: PathBuf,
    /// A folder with `initdb` and `postgres` that is used instead of searching (`DAMASCUS_PG_BIN`).
    pub bin_dir: Option<PathBuf>,
    /// Where programs are searched, in the form of `PATH`.
    pub search_path: Option<OsString>,
    /// The system user that runs the server when the caller is root (`DAMASCUS_PG_USER`); else the cluster's owner,
    /// `postgres` or `nobody`, whichever exists first.
    pub user: Option<String>,
    /// What the cluster promises to keep.
    pub durability: Durability,
}

impl Options {
    /// A durable cluster under `home`, with programs from the usual places and no search path.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), bin_dir: None, search_path: None, user: None, durability: Durability::Durable }
    }

    /// Like [`Options::new`], with `DAMASCUS_PG_BIN`, `DAMASCUS_PG_USER` and `PATH` taken from the environment. Empty
    /// variables count as absent.
    pub fn from_env(home: impl Into<PathBuf>) -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            bin_dir: var("DAMASCUS_PG_BIN").map(PathBuf::from),
            search_path: var("PATH"),
            user: var("DAMASCUS_PG_USER").map(|name| name.to_string_lossy().into_owned()),
            ..Self::new(home)
        }
    }

    /// The same options with another durability.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

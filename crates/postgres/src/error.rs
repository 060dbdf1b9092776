//! Every way in which the managed cluster can fail. Each message says what to do next.

use std::io;
use std::path::PathBuf;

use crate::options::Durability;

/// Why the managed cluster is not at hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No Postgres programs of a usable version.
    #[error(
        "no Postgres {min} or newer was found; looked in: {looked}. Install it (Debian, Ubuntu: `apt-get install postgresql`), \
         point DAMASCUS_PG_BIN at the folder that holds `initdb` and `postgres`, or set DATABASE_URL to use another server",
        min = crate::binaries::MIN_MAJOR
    )]
    NoBinaries {
        /// Every place that was searched, with what was wrong there.
        looked: String,
    },
    /// The cluster was made by another major version than the programs at hand.
    #[error(
        "the cluster in {} was made by Postgres {cluster}, but the programs in {} are Postgres {binaries}. Install Postgres \
         {cluster} (`apt-get install postgresql-{cluster}`) or point DAMASCUS_PG_BIN at it; to move to {binaries}, dump with \
         the old version and restore into a new home, or use pg_upgrade", data.display(), bin_dir.display()
    )]
    WrongVersion {
        /// The data folder.
        data: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// Where the programs are.
        bin_dir: PathBuf,
        /// Their major version.
        binaries: u32,
    },
    /// What lies in the data folder is not a cluster.
    #[error(
        "{at} is not a Postgres cluster ({what}). Move it away (`mv {at} {at}.broken`) to start with an empty cluster, or restore it \
         from a backup", at = data.display()
    )]
    NotACluster {
        /// The data folder.
        data: PathBuf,
        /// What is missing or odd.
        what: String,
    },
    /// A throwaway mode asked for on a durable cluster, or the reverse.
    #[error(
        "the cluster in {} was made as {made:?}, but {asked:?} was asked for: a cluster keeps what it was made for. Use another \
         home folder", data.display()
    )]
    DurabilityMismatch {
        /// The data folder.
        data: PathBuf,
        /// What the cluster was made for.
        made: Durability,
        /// What the caller asked for.
        asked: Durability,
    },
    /// The home path can't be used at all.
    #[error("the home folder {path:?} can't be used: {why}. Set DAMASCUS_HOME to another absolute path")]
    BadHome {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A folder or file could not be made, read or changed.
    #[error("could not {action} {}: {source}. {}", path.display(), next_step(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder of the cluster belongs to somebody else or is open to others.
    #[error("{} {why}. {fix}", path.display())]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// What is wrong with its owner, mode or kind.
        why: String,
        /// The way out.
        fix: String,
    },
    /// The user that runs the server can't reach the cluster's folder or the programs.
    #[error(
        "Postgres refuses to run as root, so it runs as user {user:?}, who may not enter {at}. Set DAMASCUS_HOME to a folder that \
         user can reach, such as /var/lib/damascus, or open the way with `chmod o+x {at}`", at = dir.display()
    )]
    Untraversable {
        /// The first folder on the way that is closed.
        dir: PathBuf,
        /// The user that runs the server.
        user: String,
    },
    /// No system user that could run the server.
    #[error("{why}. {fix}")]
    NoUser {
        /// Who was looked for.
        why: String,
        /// The way out.
        fix: &'static str,
    },
    /// Another process held a lock for too long.
    #[error(
        "another process has held {at} for more than {seconds} s; it is starting or stopping the database, or hangs. See who it is \
         with `fuser -v {at}`, end it if it hangs, and try again", at = path.display()
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A program of Postgres could not be started, or did not end in time.
    #[error("{} {why}. Check the Postgres installation, or point DAMASCUS_PG_BIN at another one", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What happened.
        why: String,
    },
    /// `initdb` failed; nothing of the half-made cluster is left.
    #[error("initdb could not make the cluster in {}. {}It said:\n{output}", data.display(), log_hint(output))]
    InitFailed {
        /// The data folder that was to be made.
        data: PathBuf,
        /// The last lines of its output, control characters stripped.
        output: String,
    },
    /// The server ended while starting.
    #[error(
        "the Postgres server for {} did not start. {}The end of its log ({}):\n{tail}", data.display(), log_hint(tail), log.display()
    )]
    StartFailed {
        /// The data folder.
        data: PathBuf,
        /// The server's log.
        log: PathBuf,
        /// Its last lines, control characters stripped.
        tail: String,
    },
    /// The server runs but does not answer.
    #[error(
        "the Postgres server (process {pid}) did not answer within {seconds} s; it may still be recovering after a crash. It was \
         left running: try again later, and see its log ({}):\n{tail}", log.display()
    )]
    NotAnswering {
        /// The postmaster.
        pid: u32,
        /// How long it was waited for.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
        /// Its last lines, control characters stripped.
        tail: String,
    },
    /// A server answers for this cluster, but its process can't be seen from here.
    #[error(
        "somebody answers on {}, but the server's process can't be seen from here: it seems to run in another container that \
         shares {}. Stop Damascus there, or give each its own DAMASCUS_HOME (or one DATABASE_URL to share)", socket.display(),
         data.display()
    )]
    OutOfSight {
        /// The data folder.
        data: PathBuf,
        /// The socket that answers.
        socket: PathBuf,
    },
    /// The server ignored both a fast and an immediate shutdown.
    #[error(
        "the Postgres server (process {pid}) did not stop. It was not killed, since that could leave its other processes behind; \
         see its log ({}), then try `kill -QUIT {pid}`", log.display()
    )]
    NotStopping {
        /// The postmaster.
        pid: u32,
        /// The server's log.
        log: PathBuf,
    },
}

impl Error {
    /// For `map_err`: an input or output error with what was tried on which path.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// The way out that fits what the system said.
#[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open; the rest share one piece of advice")]
fn next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "Free some disk space and try again",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Make the folder writable for this user, or set DAMASCUS_HOME to one that is"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "Something on this path is a file where a folder is needed: move it away, or set DAMASCUS_HOME to another folder"
        }
        _ => "Set DAMASCUS_HOME to another folder if this one can't be used",
    }
}

/// The causes worth naming in front of a log.
fn log_hint(text: &str) -> &'static str {
    if text.contains("No space left on device") {
        "The disk is full: free some space and try again. "
    } else if text.contains(crate::server::STILL_IN_USE) {
        "Processes of a killed server are still busy: wait until they end, or end them with `kill -QUIT`, and try again. "
    } else {
        ""
    }
}

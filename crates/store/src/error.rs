//! What can go wrong with the store, with the next step where a person can take one.
//!
//! Invariant: a message never repeats a connection string, since it may hold a password.

use damascus_core::Refusal;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the database can't be read.
    #[error("the database address can't be read; expected postgres://user:password@host:port/database")]
    BadAddress(#[source] sqlx::Error),
    /// The database does not answer.
    #[error(
        "the database at {place} does not answer; check that it runs and that DATABASE_URL is right, or unset DATABASE_URL to let Damascus run its own"
    )]
    Unreachable {
        /// Host and port, or the socket folder, without credentials.
        place: String,
        /// What the driver says.
        #[source]
        source: sqlx::Error,
    },
    /// The database was made by a newer Damascus.
    #[error(
        "the database has schema version {found}, this Damascus knows versions up to {known}; install a Damascus at least as new as the one that made it"
    )]
    SchemaNewer {
        /// The version found.
        found: i64,
        /// The newest version that this binary has.
        known: i64,
    },
    /// The database has not been brought up to date.
    #[error("the database has schema version {found}, this Damascus needs {needed}; run `damascus init`")]
    SchemaOlder {
        /// The version found; 0 for an empty database.
        found: i64,
        /// The version needed.
        needed: i64,
    },
    /// A migration failed.
    #[error("the schema could not be brought up to date")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row says something that no version of Damascus writes.
    #[error("the database is inconsistent: {table} {id}: {problem}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The row.
        id: i64,
        /// What is wrong.
        problem: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name}{hint}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// What it was called, safe to show.
        name: String,
        /// What there is instead, beginning with a separator, safe to show and bounded; or nothing.
        hint: String,
    },
    /// What was asked for has no place in the state that things are in.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// What was asked for contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// Input that can't be stored.
    #[error("{0}")]
    Invalid(String),
    /// The database refused or the connection broke.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call may succeed later without anyone changing anything: the connection broke, the server restarts, or two
    /// transactions got in each other's way.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Database(error) => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => true,
                sqlx::Error::Database(db) => db.code().is_some_and(|code| {
                    // Connection exceptions, resources, operator intervention, and serialization, deadlock, lock timeout.
                    ["08", "53", "57"].iter().any(|class| code.starts_with(class))
                        || matches!(code.as_ref(), "40001" | "40P01" | "55P03")
                }),
                _ => false,
            },
            Self::BadAddress(_)
            | Self::SchemaNewer { .. }
            | Self::SchemaOlder { .. }
            | Self::Migration(_)
            | Self::Inconsistent { .. }
            | Self::NotFound { .. }
            | Self::Refused(_)
            | Self::Conflict(_)
            | Self::Invalid(_) => false,
        }
    }

    /// The five characters by which the server says what is wrong, if it was the server that refused.
    #[must_use]
    pub fn sql_state(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(db)) | Self::Unreachable { source: sqlx::Error::Database(db), .. } => {
                db.code().map(std::borrow::Cow::into_owned)
            }
            _ => None,
        }
    }

    /// The name of the constraint that was violated, if that is what happened.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(db)) => db.constraint(),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

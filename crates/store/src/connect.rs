//! Connecting to Postgres.
//!
//! Invariants: every wait is bounded, here and on the server: no transaction of ours may stay open or wait for a lock for long, since an
//! old snapshot slows every claim.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};

use crate::StoreError;

/// The longest wait for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that nobody used for so long is closed, so that an idle process is small.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Set on every connection; times are in milliseconds.
const SESSION_SETTINGS: [(&str, &str); 5] = [
    ("idle_in_transaction_session_timeout", "10000"),
    ("lock_timeout", "20000"),
    ("statement_timeout", "120000"),
    // Statements are short; compiling them takes longer than running them.
    ("jit", "off"),
    // A plan made once fits every batch, since the batch comes in arrays; planning the claim anew costs more than running it.
    ("plan_cache_mode", "force_generic_plan"),
];

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Where the database is and who connects; see [`ConnectOptions::parse`].
    pg: PgConnectOptions,
    /// The most connections that this process opens.
    pub max_connections: u32,
}

impl ConnectOptions {
    /// Connections that a process opens at most when nothing else is said.
    pub const DEFAULT_MAX_CONNECTIONS: u32 = 8;

    /// Reads an address such as `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// [`StoreError::BadAddress`]; the message does not repeat the address.
    pub fn parse(address: &str) -> Result<Self, StoreError> {
        let pg = PgConnectOptions::from_str(address).map_err(StoreError::BadAddress)?;
        Ok(Self { pg, max_connections: Self::DEFAULT_MAX_CONNECTIONS })
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.pg.get_database()
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        Self { pg: self.pg.clone().database(name), max_connections: self.max_connections }
    }

    /// Where the server is, without credentials: fit for messages.
    #[must_use]
    pub fn place(&self) -> String {
        match self.pg.get_socket() {
            Some(folder) => format!("socket {} port {}", folder.display(), self.pg.get_port()),
            None => format!("{}:{}", self.pg.get_host(), self.pg.get_port()),
        }
    }

    /// Connects once and hangs up, to learn at once why a server does not answer: a pool tries again for a while, and then says only that.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        let answer = async { PgConnection::connect_with(&self.session()).await?.close().await };
        let unreachable = |source| StoreError::Unreachable { place: self.place(), source };
        match tokio::time::timeout(ACQUIRE_TIMEOUT, answer).await {
            Ok(answered) => answered.map_err(unreachable),
            Err(_) => Err(unreachable(sqlx::Error::PoolTimedOut)),
        }
    }

    pub(crate) fn session(&self) -> PgConnectOptions {
        self.pg.clone().application_name("damascus").options(SESSION_SETTINGS)
    }
}

/// A pool of connections to one database of Damascus.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    options: ConnectOptions,
}

impl Store {
    /// Connects, and refuses a schema that is not this binary's.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`], [`StoreError::SchemaNewer`], [`StoreError::SchemaOlder`].
    pub async fn open(options: ConnectOptions) -> Result<Self, StoreError> {
        let store = Self::open_unchecked(options).await?;
        crate::migrate::require_current(&store).await?;
        Ok(store)
    }

    /// Connects without looking at the schema.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`].
    pub async fn open_unchecked(options: ConnectOptions) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            // A dead connection shows itself at its first use, and every caller retries; a ping before each use would double the round trips.
            .test_before_acquire(false)
            .connect_lazy_with(options.session());
        match pool.acquire().await {
            Ok(_) => Ok(Self { pool, options }),
            Err(source) => Err(StoreError::Unreachable { place: options.place(), source }),
        }
    }

    /// How this store was connected.
    #[must_use]
    pub const fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

//! Making the database and bringing its schema up to date.
//!
//! Invariants: migrations go forward only; a binary refuses a schema that is newer than itself and never touches it; running this twice,
//! or from two processes at once, does no more than once (the migrator holds an advisory lock).

use sqlx::{Connection as _, PgConnection};

use crate::{ConnectOptions, Store, StoreError};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// What [`bring_up_to_date`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Whether the database itself was made.
    pub database_created: bool,
    /// The schema version before; 0 for an empty database.
    pub from: i64,
    /// The schema version now.
    pub to: i64,
}

/// The newest schema version that this binary knows.
#[must_use]
pub fn known_version() -> i64 {
    MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// A number that differs between two sets of migrations, for naming databases that are made from them.
#[must_use]
pub fn fingerprint() -> u64 {
    let bytes = MIGRATOR.iter().flat_map(|migration| migration.checksum.iter());
    // FNV-1a, 64 bits: stable over builds, which the standard hasher need not be.
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Makes the database if there is none, and applies the migrations that are missing.
///
/// # Errors
/// [`StoreError::SchemaNewer`] when the database was made by a newer Damascus; [`StoreError::Unreachable`]; [`StoreError::Migration`].
pub async fn bring_up_to_date(options: &ConnectOptions) -> Result<Migrated, StoreError> {
    let database_created = create_database(options).await?;
    let store = Store::open_unchecked(options.clone()).await?;
    let from = version(&store).await?;
    if from > known_version() {
        return Err(StoreError::SchemaNewer { found: from, known: known_version() });
    }
    let migrated = MIGRATOR.run(&store.pool).await;
    store.close().await;
    migrated.map_err(StoreError::Migration)?;
    Ok(Migrated { database_created, from, to: known_version() })
}

/// Checks that the schema is this binary's.
pub(crate) async fn require_current(store: &Store) -> Result<(), StoreError> {
    let (found, needed) = (version(store).await?, known_version());
    match found.cmp(&needed) {
        std::cmp::Ordering::Less => Err(StoreError::SchemaOlder { found, needed }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::SchemaNewer { found, known: needed }),
    }
}

/// The schema version of a database; 0 when it has none.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn version(store: &Store) -> Result<i64, StoreError> {
    // The migrator's own table is not there in an empty database, so the query text must not name it until it is.
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&store.pool).await?;
    if !there {
        return Ok(0);
    }
    Ok(sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success")
        .fetch_one(&store.pool)
        .await?)
}

/// Makes the database when it is not there; says whether it did.
async fn create_database(options: &ConnectOptions) -> Result<bool, StoreError> {
    let Some(name) = options.database().map(str::to_owned) else {
        return Ok(false);
    };
    match PgConnection::connect_with(&options.session()).await {
        Ok(connection) => {
            connection.close().await?;
            return Ok(false);
        }
        // 3D000: the server is there and has no such database.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("3D000") => {}
        Err(source) => return Err(StoreError::Unreachable { place: options.place(), source }),
    }
    let maintenance = options.with_database("postgres");
    let mut connection = PgConnection::connect_with(&maintenance.session())
        .await
        .map_err(|source| StoreError::Unreachable { place: options.place(), source })?;
    // CREATE DATABASE takes no parameters; the name is quoted as an identifier.
    let create = format!("CREATE DATABASE \"{}\" ENCODING 'UTF8' TEMPLATE template0", name.replace('"', "\"\""));
    let made = sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await;
    connection.close().await?;
    match made {
        Ok(_) => Ok(true),
        // 42P04, 23505: another process made it in the meantime.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P04" | "23505")) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

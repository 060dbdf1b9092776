//! Reading whether the database is fit for work.
//!
//! Invariant: this reads only, and works on a database that may have any schema version.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{Store, StoreError, migrate, status};

/// What `damascus doctor` looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// The server's version, such as `15.14`.
    pub server_version: String,
    /// The same as a number, such as 150014.
    pub server_version_number: i32,
    /// Whether commits reach the disk.
    pub fsync: bool,
    /// Whether a commit waits for the disk (anything but `off`).
    pub synchronous_commit: bool,
    /// The database's clock.
    pub clock: DateTime<Utc>,
    /// The schema version found.
    pub schema: i64,
    /// The age of the oldest snapshot that a transaction holds, in seconds.
    pub oldest_snapshot_seconds: Option<f64>,
    /// The outbox; nothing while the schema is not this binary's.
    pub outbox: Option<OutboxHealth>,
}

/// How the outbox stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxHealth {
    /// The last day that has a partition.
    pub last_day: Option<NaiveDate>,
    /// Days from today to that day; negative when it is past.
    pub days_ahead: i32,
    /// Whether events were caught by the partition of last resort.
    pub caught: bool,
}

impl Store {
    /// Looks at the server and the schema.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn health(&self) -> Result<Health, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT current_setting('server_version') AS "version!", current_setting('server_version_num')::int AS "number!",
                   current_setting('fsync')::bool AS "fsync!", current_setting('synchronous_commit') <> 'off' AS "synchronous!",
                   clock_timestamp() AS "clock!"
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        let schema = migrate::version(self).await?;
        let outbox = if schema == migrate::known_version() { Some(self.outbox_health().await?) } else { None };
        let mut connection = self.pool.acquire().await?;
        Ok(Health {
            server_version: row.version,
            server_version_number: row.number,
            fsync: row.fsync,
            synchronous_commit: row.synchronous,
            clock: row.clock,
            schema,
            oldest_snapshot_seconds: status::oldest_snapshot(&mut connection).await?,
            outbox,
        })
    }

    async fn outbox_health(&self) -> Result<OutboxHealth, StoreError> {
        let row = sqlx::query!(
            r#"
            SELECT max(to_date(right(c.relname, 8), 'YYYYMMDD')) AS last_day,
                   coalesce(max(to_date(right(c.relname, 8), 'YYYYMMDD')) - (now() AT TIME ZONE 'UTC')::date, -1) AS "ahead!",
                   EXISTS (SELECT FROM events_outbox_default) AS "caught!"
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'events_outbox'::regclass AND c.relname ~ '^events_outbox_[0-9]{8}$'
            "#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(OutboxHealth { last_day: row.last_day, days_ahead: row.ahead, caught: row.caught })
    }
}

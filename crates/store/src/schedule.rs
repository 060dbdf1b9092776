//! Scheduled jobs: what the database does for itself at fixed times.
//!
//! Invariants: a tick happens once, however many schedulers run, and in one transaction with its job; a tick that was missed while no
//! scheduler ran is made up for once, not many times.

use chrono::{DateTime, Utc};
use damascus_core::named_enum;

use crate::decode::RowRef;
use crate::{Store, StoreError, trim};

/// Partitions of the outbox are made this many days ahead.
const PARTITION_DAYS_AHEAD: i32 = 7;
/// Rows of workers that stopped, or whose heartbeat has stood still for so long, go. In days.
const KEEP_WORKERS_DAYS: i32 = 7;
/// Rows of past ticks are kept this long. In days.
const KEEP_TICKS_DAYS: i32 = 30;

/// Results of testing a tree are kept this long. In days.
pub const KEEP_TESTED_DAYS: i32 = 30;

/// What a schedule can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Make the outbox's partitions ahead of time.
    OutboxPartitions,
    /// Drop the outbox's partitions that are past their retention.
    OutboxTrim,
    /// Forget workers that are long gone, and old ticks.
    WorkerCleanup,
    /// Remove transcripts and artifacts that are past the retention of events, and old results of tests, some at a time.
    HistoryTrim,
}

named_enum!(Job, "job", {
    OutboxPartitions => "outbox_partitions", OutboxTrim => "outbox_trim", WorkerCleanup => "worker_cleanup",
    HistoryTrim => "history_trim",
});

/// A schedule, and the time at which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: i64,
    /// What people call it.
    pub name: String,
    /// What it starts.
    pub job: Job,
    /// When, as five cron fields, UTC.
    pub cron: String,
    /// The tick that is planned; nothing before a scheduler has first seen it.
    pub due_at: Option<DateTime<Utc>>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

impl Store {
    /// The schedules that are enabled.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::Inconsistent`] for a job that this version does not know.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id, name, job, cron, next_due_at, clock_timestamp() AS "now!" FROM schedules WHERE enabled ORDER BY id LIMIT 1000"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let job = RowRef { table: "schedules", id: row.id }.named(&row.job)?;
                Ok(Schedule { id: row.id, name: row.name, job, cron: row.cron, due_at: row.next_due_at, now: row.now })
            })
            .collect()
    }

    /// Does the schedule's tick if it is due and nobody else has, and plans `following` as the next one. Says whether it did the job.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then neither the tick nor its job happened.
    pub async fn tick(
        &self,
        schedule: &Schedule,
        following: DateTime<Utc>,
        retention_days: u16,
    ) -> Result<bool, StoreError> {
        if schedule.due_at.is_some_and(|due| due > schedule.now) {
            return Ok(false);
        }
        let mut tx = self.pool.begin().await?;
        // The row's lock and the comparison let one of many schedulers through.
        let planned = sqlx::query!(
            "UPDATE schedules SET next_due_at = $2 WHERE id = $1 AND next_due_at IS NOT DISTINCT FROM $3",
            schedule.id,
            following,
            schedule.due_at,
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        let Some(due) = schedule.due_at.filter(|_| planned == 1) else {
            tx.commit().await?;
            return Ok(false);
        };
        sqlx::query!("INSERT INTO schedule_ticks (schedule_id, due_at) VALUES ($1, $2)", schedule.id, due)
            .execute(&mut *tx)
            .await?;
        match schedule.job {
            Job::OutboxPartitions => {
                sqlx::query!("SELECT make_outbox_partitions($1)", PARTITION_DAYS_AHEAD).fetch_one(&mut *tx).await?;
            }
            Job::OutboxTrim => {
                sqlx::query!("SELECT drop_outbox_partitions($1)", i32::from(retention_days))
                    .fetch_one(&mut *tx)
                    .await?;
            }
            Job::WorkerCleanup => {
                sqlx::query!(
                    "DELETE FROM workers WHERE heartbeat_at < now() - make_interval(days => $1)",
                    KEEP_WORKERS_DAYS
                )
                .execute(&mut *tx)
                .await?;
                sqlx::query!(
                    "DELETE FROM schedule_ticks WHERE due_at < now() - make_interval(days => $1)",
                    KEEP_TICKS_DAYS
                )
                .execute(&mut *tx)
                .await?;
            }
            Job::HistoryTrim => trim::trim_history(&mut tx, retention_days).await?,
        }
        tx.commit().await?;
        Ok(true)
    }
}

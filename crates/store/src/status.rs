//! Reading what is going on, at one moment.
//!
//! Invariants: everything is counted from the partial indexes over what is unfinished, so the cost does not grow with history; what is
//! finished is counted up to a bound and estimated beyond it, and an estimate says that it is one; all counts come from one snapshot.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use damascus_core::{IssueKind, ItemId, Named as _, Phase, ProjectId, RunId, WorkPhase, WorkerId};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use crate::decode::RowRef;
use crate::lane::Lane;
use crate::worker::{WorkerRow, live_workers};
use crate::{Store, StoreError};

/// The most projects and runs that a status lists.
const MAX_PROJECTS: i64 = 500;
const MAX_RUNS: i64 = 100;
/// Up to here what is finished is counted; beyond, it is estimated.
pub const EXACT_UP_TO: i64 = 10_000;

/// What is going on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The moment, by the database's clock.
    pub at: DateTime<Utc>,
    /// The projects with their unfinished items.
    pub projects: Vec<ProjectStatus>,
    /// What can be claimed.
    pub queue: Queue,
    /// Runs under way, the oldest first; at most a hundred.
    pub runs: Vec<RunningRow>,
    /// How many runs are under way.
    pub running: i64,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// Open issues by kind.
    pub open_issues: OpenIssues,
    /// Live workers and schedulers.
    pub workers: Vec<WorkerRow>,
    /// Items that landed in the last 24 hours.
    pub merged_last_day: i64,
    /// All items, and those that merged. Not of one project, but of all.
    pub totals: Totals,
    /// The age of the oldest snapshot that a transaction holds, in seconds; nothing when none does. An old one slows every claim.
    pub oldest_snapshot_seconds: Option<f64>,
}

/// A project's unfinished items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectStatus {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Since when it is paused, if it is.
    pub paused_at: Option<DateTime<Utc>>,
    /// Its unfinished items by phase; a phase without any is left out.
    pub phases: BTreeMap<&'static str, PhaseCount>,
    /// Items of it that landed in the last 24 hours.
    pub merged_last_day: i64,
}

/// The items in one phase, by what they are doing there. A parked phase has only `waiting`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PhaseCount {
    /// Can be claimed.
    pub ready: i64,
    /// Are being run.
    pub running: i64,
    /// Back off after a failure of the surroundings.
    pub sleeping: i64,
    /// Are held by a person.
    pub held: i64,
    /// Wait for a gate; or, in a parked phase, for a person.
    pub waiting: i64,
}

impl PhaseCount {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.ready + self.running + self.sleeping + self.held + self.waiting
    }
}

/// What can be claimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// How many items.
    pub ready: i64,
    /// Since when the one that has been longest in its phase is there.
    pub oldest_ready_since: Option<DateTime<Utc>>,
}

/// A run under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunningRow {
    /// The run.
    pub run: RunId,
    /// The item.
    pub item: ItemId,
    /// The project's name.
    pub project: String,
    /// The item's key.
    pub key: String,
    /// The item's title.
    pub title: String,
    /// The phase that is run.
    pub phase: WorkPhase,
    /// The worker.
    pub worker: WorkerId,
    /// Where that runs, as `host/pid`; nothing if its row is gone.
    pub worker_place: Option<String>,
    /// Since when it runs.
    pub since: DateTime<Utc>,
    /// When its lease runs out unless renewed.
    pub lease_until: DateTime<Utc>,
}

/// Open issues by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OpenIssues {
    /// Questions.
    pub question: i64,
    /// Blocked items.
    pub blocked: i64,
    /// Gates that can't open by themselves.
    pub gate: i64,
}

impl OpenIssues {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.question + self.blocked + self.gate
    }
}

/// How much there is in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All items.
    pub items: i64,
    /// Items that merged.
    pub merged: i64,
    /// Whether these are estimates of the database's statistics.
    pub estimated: bool,
}

impl Store {
    /// What is going on, in all projects or in one.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn status(&self, project: Option<ProjectId>) -> Result<Status, StoreError> {
        // Before the snapshot, so that one connection is enough.
        let lanes = self.lanes().await?;
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let at = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "at!""#).fetch_one(&mut *tx).await?;
        let mut projects = read_projects(&mut tx, project).await?;
        let oldest_ready_since = count_ready(&mut tx, &mut projects).await?;
        count_running(&mut tx, &mut projects).await?;
        count_waiting(&mut tx, &mut projects).await?;
        let sum = |what: fn(&PhaseCount) -> i64| -> i64 {
            projects.iter().flat_map(|project| project.phases.values()).map(what).sum()
        };
        let status = Status {
            at,
            queue: Queue { ready: sum(|count| count.ready), oldest_ready_since },
            running: sum(|count| count.running),
            merged_last_day: projects.iter().map(|project| project.merged_last_day).sum(),
            runs: read_runs(&mut tx, project).await?,
            lanes,
            open_issues: count_issues(&mut tx, project).await?,
            workers: live_workers(&mut tx).await?,
            totals: read_totals(&mut tx).await?,
            oldest_snapshot_seconds: oldest_snapshot(&mut tx).await?,
            projects,
        };
        tx.commit().await?;
        Ok(status)
    }
}

async fn read_projects(
    connection: &mut PgConnection,
    project: Option<ProjectId>,
) -> Result<Vec<ProjectStatus>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT p.id, p.name, p.paused_at, coalesce(l.n, 0) AS "merged!"
        FROM projects p
        LEFT JOIN (SELECT project_id, count(*) AS n FROM landings WHERE landed_at > now() - interval '24 hours' GROUP BY project_id) l
               ON l.project_id = p.id
        WHERE p.id = coalesce($1, p.id) ORDER BY p.name LIMIT $2
        "#,
        project.map(|id| id.0),
        MAX_PROJECTS,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| ProjectStatus {
        id: ProjectId(row.id),
        name: row.name,
        paused_at: row.paused_at,
        phases: BTreeMap::new(),
        merged_last_day: row.merged,
    });
    Ok(rows.collect())
}

/// Adds to the count of a phase of a project; a project that is not asked for is passed over.
fn add(
    projects: &mut [ProjectStatus],
    project: i64,
    phase: &str,
    to: impl FnOnce(&mut PhaseCount),
) -> Result<(), StoreError> {
    let phase: Phase = RowRef { table: "work_items of project", id: project }.named(phase)?;
    if let Some(found) = projects.iter_mut().find(|one| one.id.0 == project) {
        to(found.phases.entry(phase.name()).or_default());
    }
    Ok(())
}

async fn count_ready(
    connection: &mut PgConnection,
    projects: &mut [ProjectStatus],
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT project_id, claim_class AS "class!", count(*) AS "n!", min(phase_since) AS "oldest!"
        FROM work_items WHERE claim_class IS NOT NULL GROUP BY project_id, claim_class
        "#
    )
    .fetch_all(connection)
    .await?;
    let mut oldest: Option<DateTime<Utc>> = None;
    for row in rows {
        let phase = [WorkPhase::Merge, WorkPhase::Review, WorkPhase::Build, WorkPhase::Spec]
            .into_iter()
            .find(|phase| phase.claim_rank() == row.class)
            .ok_or_else(|| {
                RowRef { table: "work_items of project", id: row.project_id }.wrong("an unknown claim class")
            })?;
        add(projects, row.project_id, phase.name(), |count| count.ready = row.n)?;
        if projects.iter().any(|project| project.id.0 == row.project_id) {
            oldest = Some(oldest.map_or(row.oldest, |known| known.min(row.oldest)));
        }
    }
    Ok(oldest)
}

async fn count_running(connection: &mut PgConnection, projects: &mut [ProjectStatus]) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT project_id, phase::text AS "phase!", count(*) AS "n!" FROM work_items WHERE lease_owner IS NOT NULL GROUP BY 1, 2"#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().try_for_each(|row| add(projects, row.project_id, &row.phase, |count| count.running = row.n))
}

async fn count_waiting(connection: &mut PgConnection, projects: &mut [ProjectStatus]) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT project_id, phase::text AS "phase!", count(*) AS "n!",
               count(*) FILTER (WHERE held AND resume_phase IS NULL) AS "held!",
               count(*) FILTER (WHERE NOT held AND wake_at IS NOT NULL) AS "sleeping!"
        FROM work_items
        WHERE claim_class IS NULL AND lease_owner IS NULL AND phase NOT IN ('merged', 'cancelled') GROUP BY 1, 2
        "#
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().try_for_each(|row| {
        add(projects, row.project_id, &row.phase, |count| {
            count.held = row.held;
            count.sleeping = row.sleeping;
            count.waiting = row.n - row.held - row.sleeping;
        })
    })
}

async fn read_runs(connection: &mut PgConnection, project: Option<ProjectId>) -> Result<Vec<RunningRow>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT w.id, w.run_id AS "run_id!", w.phase::text AS "phase!", w.lease_owner AS "worker!", w.run_started_at AS "since!",
               w.lease_until AS "until!", p.name AS project, s.key AS "key?", s.title AS "title?", k.host || '/' || k.pid AS place
        FROM work_items w
        JOIN projects p ON p.id = w.project_id
        LEFT JOIN stories s ON s.item_id = w.id
        LEFT JOIN workers k ON k.id = w.lease_owner
        WHERE w.lease_owner IS NOT NULL AND w.project_id = coalesce($1, w.project_id)
        ORDER BY w.run_started_at, w.id LIMIT $2
        "#,
        project.map(|id| id.0),
        MAX_RUNS,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(RunningRow {
                run: RunId(row.run_id),
                item: ItemId(row.id),
                project: row.project,
                key: row.key.unwrap_or_default(),
                title: row.title.unwrap_or_default(),
                phase: RowRef::item(row.id).work_phase(&row.phase)?,
                worker: WorkerId(row.worker),
                worker_place: row.place,
                since: row.since,
                lease_until: row.until,
            })
        })
        .collect()
}

async fn count_issues(connection: &mut PgConnection, project: Option<ProjectId>) -> Result<OpenIssues, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT h.kind::text AS "kind!", count(*) AS "n!" FROM human_issues h
        WHERE h.state = 'open' AND ($1::bigint IS NULL OR EXISTS (SELECT FROM work_items w WHERE w.id = h.item_id AND w.project_id = $1))
        GROUP BY h.kind
        "#,
        project.map(|id| id.0),
    )
    .fetch_all(connection)
    .await?;
    let mut open = OpenIssues::default();
    for row in rows {
        let at = RowRef { table: "human_issues", id: 0 };
        match at.named(&row.kind)? {
            IssueKind::Question => open.question = row.n,
            IssueKind::Blocked => open.blocked = row.n,
            IssueKind::Gate => open.gate = row.n,
        }
    }
    Ok(open)
}

async fn read_totals(connection: &mut PgConnection) -> Result<Totals, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT (SELECT count(*) FROM (SELECT FROM work_items LIMIT $1::bigint + 1) bounded) AS "items!",
               (SELECT count(*) FROM (SELECT FROM landings LIMIT $1::bigint + 1) bounded) AS "merged!",
               (SELECT greatest(max(s.n_live_tup), max(c.reltuples)::bigint) FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
                WHERE c.oid = 'work_items'::regclass) AS "guessed_items!",
               (SELECT greatest(max(s.n_live_tup), max(c.reltuples)::bigint) FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
                WHERE c.oid = 'landings'::regclass) AS "guessed_merged!"
        "#,
        EXACT_UP_TO,
    )
    .fetch_one(connection)
    .await?;
    let known = |counted: i64, guessed: i64| if counted > EXACT_UP_TO { counted.max(guessed) } else { counted };
    Ok(Totals {
        items: known(row.items, row.guessed_items),
        merged: known(row.merged, row.guessed_merged),
        estimated: row.items > EXACT_UP_TO || row.merged > EXACT_UP_TO,
    })
}

/// The age of the oldest snapshot that somebody else's transaction holds in this database, in seconds.
pub(crate) async fn oldest_snapshot(connection: &mut PgConnection) -> Result<Option<f64>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"
        SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
          AND (datname = current_database() OR datname IS NULL)
        "#
    )
    .fetch_one(connection)
    .await?)
}

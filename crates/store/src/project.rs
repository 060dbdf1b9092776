//! Projects: adding, listing, pausing.
//!
//! Invariant: a project is added together with its lanes and the rows that say which of them a phase occupies; without those nothing of it
//! could be claimed.

mod new;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use damascus_core::{Phase, ProjectId, named_enum};
use serde::Serialize;
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::{Store, StoreError, claim, input, nearest, outbox};

pub use new::{DEFAULT_AGENT_LANE, DEFAULT_PROVIDER_LANE, NewProject};

/// The most projects that a list gives.
pub const MAX_PROJECTS: i64 = 500;

/// Which protocol a forge speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForgeKind {
    /// A bare repository in a folder; no forge at all.
    Local,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// GitHub.
    Github,
}

named_enum!(ForgeKind, "forge", { Local => "local", Gitea => "gitea", Forgejo => "forgejo", Github => "github" });

/// A project as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Its number.
    pub id: ProjectId,
    /// What people call it.
    pub name: String,
    /// Which protocol its forge speaks.
    pub forge: ForgeKind,
    /// `owner/name` on the forge, or the path of a local repository.
    pub repo: String,
    /// The branch that changes land on.
    pub base_branch: String,
    /// Attempts that a new item is granted.
    pub max_attempts: u16,
    /// Failures of the surroundings at which an item is parked.
    pub max_infra_failures: u16,
    /// Moves of the head or the base at which an item is parked.
    pub max_moves: u16,
    /// How many of its runs go on at once; null means no limit.
    pub concurrency: Option<u32>,
    /// Since when nothing of it is claimed; null while it runs.
    pub paused_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// What of it is unfinished.
    pub open: OpenItems,
}

/// Counts of a project's unfinished items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OpenItems {
    /// All of them.
    pub total: u64,
    /// Of these, what runs now.
    pub running: u64,
    /// Of these, what a worker could claim if its lanes have room.
    pub queued: u64,
    /// Of these, what neither runs nor can be claimed: it backs off, is held, waits for a gate or for a person.
    pub waiting: u64,
    /// All of them by phase; a phase without items is left out.
    pub by_phase: BTreeMap<&'static str, u64>,
}

impl Store {
    /// The projects by name, at most [`MAX_PROJECTS`]; `after` continues behind a name.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn projects(&self, after: Option<&str>) -> Result<Vec<Project>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM projects WHERE name > $1 ORDER BY name LIMIT $2",
            after.unwrap_or(""),
            MAX_PROJECTS
        )
        .fetch_all(&self.pool)
        .await?;
        self.projects_by_id(&ids).await
    }

    /// One project, by its name or its number.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn project(&self, name_or_id: &str) -> Result<Project, StoreError> {
        let id = self.resolve_project(name_or_id).await?;
        let found = self.projects_by_id(&[id.0]).await?;
        found.into_iter().next().ok_or_else(|| RowRef { table: "projects", id: id.0 }.wrong("it is gone"))
    }

    /// The number of a project that is named by its name or its number; a name wins.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with the names that are near; [`StoreError::Database`].
    pub async fn resolve_project(&self, name_or_id: &str) -> Result<ProjectId, StoreError> {
        let mut connection = self.pool.acquire().await?;
        resolve(&mut connection, name_or_id).await
    }

    /// Stops claiming items of a project; runs under way go on. Says whether it ran before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such project; [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn pause_project(&self, project: ProjectId, by: &str) -> Result<bool, StoreError> {
        self.switch_project(project, true, by).await
    }

    /// Claims items of a project again. Says whether it was paused before.
    ///
    /// # Errors
    /// As [`Store::pause_project`].
    pub async fn resume_project(&self, project: ProjectId, by: &str) -> Result<bool, StoreError> {
        self.switch_project(project, false, by).await
    }

    /// Sets how many runs of a project go on at once; nothing means no limit.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn set_project_concurrency(
        &self,
        project: ProjectId,
        concurrency: Option<u32>,
    ) -> Result<(), StoreError> {
        let name = sqlx::query_scalar!("SELECT name FROM projects WHERE id = $1", project.0)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| gone(project))?;
        self.set_lane_concurrency(&project_lane(&name), concurrency).await
    }

    async fn switch_project(&self, project: ProjectId, pause: bool, by: &str) -> Result<bool, StoreError> {
        let by = input::who(by)?;
        let mut tx = self.pool.begin().await?;
        let row = sqlx::query!("SELECT name, paused_at FROM projects WHERE id = $1 FOR NO KEY UPDATE", project.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| gone(project))?;
        if row.paused_at.is_some() == pause {
            return Ok(false);
        }
        sqlx::query!(
            "UPDATE projects SET paused_at = CASE WHEN $2 THEN clock_timestamp() END, updated_at = clock_timestamp() WHERE id = $1",
            project.0,
            pause,
        )
        .execute(&mut *tx)
        .await?;
        let kind = if pause { "project.paused" } else { "project.resumed" };
        let data = serde_json::json!({ "project": row.name, "by": by });
        outbox::tell_at_large(&mut tx, Some(project), kind, data).await?;
        if !pause {
            claim::announce_work(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn projects_by_id(&self, ids: &[i64]) -> Result<Vec<Project>, StoreError> {
        let mut open = self.open_items(ids).await?;
        let rows = sqlx::query!(
            r#"
            SELECT p.id, p.name, p.forge::text AS "forge!", p.repo, p.base_branch, p.max_attempts, p.max_infra_failures, p.max_moves,
                   l.concurrency AS "concurrency?", p.paused_at, p.created_at
            FROM projects p LEFT JOIN lanes l ON l.name = 'project:' || p.name
            WHERE p.id = ANY($1) ORDER BY p.name
            "#,
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let at = RowRef { table: "projects", id: row.id };
                Ok(Project {
                    id: ProjectId(row.id),
                    name: row.name,
                    forge: at.named(&row.forge)?,
                    repo: row.repo,
                    base_branch: row.base_branch,
                    max_attempts: at.count("max_attempts", row.max_attempts)?,
                    max_infra_failures: at.count("max_infra_failures", row.max_infra_failures)?,
                    max_moves: at.count("max_moves", row.max_moves)?,
                    concurrency: row.concurrency.map(|n| u32::try_from(n).map_err(|e| at.wrong(e))).transpose()?,
                    paused_at: row.paused_at,
                    created_at: row.created_at,
                    open: open.remove(&row.id).unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Counts unfinished items. The three partial indexes on what is unfinished hold each of them once, and nothing else.
    async fn open_items(&self, ids: &[i64]) -> Result<BTreeMap<i64, OpenItems>, StoreError> {
        let rows = sqlx::query!(
            r#"
            SELECT project_id AS "project_id!", phase::text AS "phase!", kind AS "kind!", count(*) AS "n!"
            FROM (SELECT project_id, (ARRAY['merge', 'review', 'build', 'spec']::phase[])[claim_class + 1] AS phase, 'queued' AS kind
                  FROM work_items WHERE claim_class IS NOT NULL AND project_id = ANY($1)
                  UNION ALL
                  SELECT project_id, phase, 'running' FROM work_items WHERE lease_owner IS NOT NULL AND project_id = ANY($1)
                  UNION ALL
                  SELECT project_id, phase, 'waiting' FROM work_items
                  WHERE claim_class IS NULL AND lease_owner IS NULL AND phase NOT IN ('merged', 'cancelled') AND project_id = ANY($1)) open
            GROUP BY project_id, phase, kind
            "#,
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut counted: BTreeMap<i64, OpenItems> = BTreeMap::new();
        for row in rows {
            let at = RowRef { table: "projects", id: row.project_id };
            let n = u64::try_from(row.n).map_err(|e| at.wrong(e))?;
            let phase: Phase = at.named(&row.phase)?;
            let open = counted.entry(row.project_id).or_default();
            open.total += n;
            *open.by_phase.entry(damascus_core::Named::name(phase)).or_default() += n;
            match row.kind.as_str() {
                "queued" => open.queued += n,
                "running" => open.running += n,
                _ => open.waiting += n,
            }
        }
        Ok(counted)
    }
}

/// The name of a project's own lane.
pub(crate) fn project_lane(name: &str) -> String {
    format!("project:{name}")
}

/// Resolves the name or the number of a project.
pub(crate) async fn resolve(connection: &mut PgConnection, name_or_id: &str) -> Result<ProjectId, StoreError> {
    let number: Option<i64> = name_or_id.strip_prefix('#').unwrap_or(name_or_id).parse().ok();
    let found = sqlx::query_scalar!(
        "SELECT id FROM projects WHERE name = $1 OR id = $2 ORDER BY (name = $1) DESC LIMIT 1",
        name_or_id,
        number,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(id) = found {
        return Ok(ProjectId(id));
    }
    let there = sqlx::query_scalar!("SELECT name FROM projects ORDER BY name LIMIT $1", MAX_PROJECTS)
        .fetch_all(connection)
        .await?;
    let hint = nearest::hint(name_or_id, &there, "none has been added yet");
    Err(StoreError::NotFound { what: "project", name: input::shown(name_or_id), hint })
}

/// The error about a project that is named by a number.
pub(crate) fn gone(project: ProjectId) -> StoreError {
    StoreError::NotFound { what: "project", name: format!("#{project}"), hint: String::new() }
}

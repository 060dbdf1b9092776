//! Adding a project, with its lanes.
//!
//! Invariant: every working phase of a new project occupies the global lane and the project's own; merge also its landing lane.

use damascus_core::policy::DEFAULT_ATTEMPTS;
use damascus_core::{Backoff, Named as _, Policy, ProjectId};
use sqlx::PgConnection;

use super::{ForgeKind, project_lane};
use crate::lane::{self, GLOBAL_LANE, checked_concurrency};
use crate::{Store, StoreError, input, outbox};

/// The lane of the agent that builds, when nothing else is said.
pub const DEFAULT_AGENT_LANE: &str = "agent:claude-code";
/// The lane of the provider that writes specs, when nothing else is said.
pub const DEFAULT_PROVIDER_LANE: &str = "provider:gateway";

/// How long a project's name, repository and branch may be, in characters.
const NAME_MAX_CHARS: usize = 63;
const REPO_MAX_CHARS: usize = 1_024;
const BRANCH_MAX_CHARS: usize = 255;
/// The largest limit of attempts, failures and moves.
const MAX_LIMIT: i64 = 1_000;
/// The longest first wait after a failure of the surroundings, and the longest at all: an hour, a day.
const MAX_BACKOFF_BASE_MS: i64 = 3_600_000;
const MAX_BACKOFF_CAP_MS: i64 = 86_400_000;

/// A project to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    /// What people call it: lower case, digits, dot, dash, underscore; at most 63 characters.
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
    /// How long an item waits after a failure of the surroundings.
    pub backoff: Backoff,
    /// How many of its runs may go on at once; nothing means no limit.
    pub concurrency: Option<u32>,
    /// The lane of the agent that builds, beginning with `agent:`; made if it is not there.
    pub agent_lane: String,
    /// The lane of the provider that writes specs, beginning with `provider:`; made if it is not there.
    pub provider_lane: String,
}

impl NewProject {
    /// A project with the default limits and lanes, landing on `main`.
    #[must_use]
    pub fn new(name: &str, forge: ForgeKind, repo: &str) -> Self {
        let policy = Policy::default();
        Self {
            name: name.to_owned(),
            forge,
            repo: repo.to_owned(),
            base_branch: "main".to_owned(),
            max_attempts: DEFAULT_ATTEMPTS.get(),
            max_infra_failures: policy.max_infra_failures.get(),
            max_moves: policy.max_moves.get(),
            backoff: policy.backoff,
            concurrency: None,
            agent_lane: DEFAULT_AGENT_LANE.to_owned(),
            provider_lane: DEFAULT_PROVIDER_LANE.to_owned(),
        }
    }

    /// Says what can't be stored, naming the field.
    ///
    /// # Errors
    /// [`StoreError::Invalid`].
    pub fn check(&self) -> Result<(), StoreError> {
        check_name(&self.name)?;
        check_repo(self.forge, &self.repo)?;
        check_branch(&self.base_branch)?;
        for (field, limit) in [
            ("max_attempts", self.max_attempts),
            ("max_infra_failures", self.max_infra_failures),
            ("max_moves", self.max_moves),
        ] {
            input::within(field, limit, 1, MAX_LIMIT)?;
        }
        input::within("backoff.base_ms", self.backoff.base_ms, 1, MAX_BACKOFF_BASE_MS)?;
        input::within("backoff.cap_ms", self.backoff.cap_ms, 1, MAX_BACKOFF_CAP_MS)?;
        checked_concurrency(self.concurrency)?;
        for (field, prefix, name) in
            [("agent_lane", "agent:", &self.agent_lane), ("provider_lane", "provider:", &self.provider_lane)]
        {
            input::word(field, name, lane::NAME_MAX_CHARS)?;
            if name.strip_prefix(prefix).is_none_or(str::is_empty) {
                return Err(input::wrong(field, format_args!("\"{name}\" does not begin with {prefix}")));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), StoreError> {
    input::word("name", name, NAME_MAX_CHARS)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if !name.chars().all(fits) || name.starts_with(['.', '_', '-']) {
        let rule = "use lower-case letters, digits, dot, dash and underscore, beginning with a letter or digit";
        return Err(input::wrong("name", format_args!("\"{}\" can't be a project's name; {rule}", input::shown(name))));
    }
    Ok(())
}

fn check_repo(forge: ForgeKind, repo: &str) -> Result<(), StoreError> {
    input::line("repo", repo, REPO_MAX_CHARS)?;
    if forge == ForgeKind::Local {
        return Ok(());
    }
    let part = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    match repo.split_once('/') {
        Some((owner, name)) if part(owner) && part(name) => Ok(()),
        _ => Err(input::wrong("repo", format_args!("\"{}\" is not owner/name", input::shown(repo)))),
    }
}

/// The rules of git for the name of a branch, as far as they guard what is put together with it.
fn check_branch(branch: &str) -> Result<(), StoreError> {
    input::word("base_branch", branch, BRANCH_MAX_CHARS)?;
    let bad_part =
        |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock") || part.ends_with('.');
    if branch.starts_with('-')
        || branch.contains("..")
        || branch.contains("@{")
        || branch.contains(['~', '^', ':', '?', '*', '[', '\\'])
        || branch.split('/').any(bad_part)
    {
        let shown = input::shown(branch);
        return Err(input::wrong("base_branch", format_args!("\"{shown}\" is no name of a branch")));
    }
    Ok(())
}

impl Store {
    /// Adds a project with its lanes.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming the field; [`StoreError::Conflict`] when the name is taken; [`StoreError::Database`].
    pub async fn add_project(&self, new: &NewProject) -> Result<ProjectId, StoreError> {
        new.check()?;
        let mut tx = self.pool.begin().await?;
        let id = insert(&mut tx, new).await?.ok_or_else(|| {
            StoreError::Conflict(format!("there is a project {} already; take another name", new.name))
        })?;
        make_lanes(&mut tx, id, new).await?;
        let data = serde_json::json!({ "project": new.name, "forge": new.forge, "repo": new.repo });
        outbox::tell_at_large(&mut tx, Some(id), "project.added", data).await?;
        tx.commit().await?;
        Ok(id)
    }
}

async fn insert(connection: &mut PgConnection, new: &NewProject) -> Result<Option<ProjectId>, StoreError> {
    let small = |n: u16| i16::try_from(n).unwrap_or(i16::MAX);
    let id = sqlx::query_scalar!(
        r#"
        INSERT INTO projects (name, forge, repo, base_branch, max_attempts, max_infra_failures, max_moves,
                              backoff_base_ms, backoff_cap_ms)
        VALUES ($1, $2::text::forge_kind, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING RETURNING id
        "#,
        new.name,
        new.forge.name(),
        new.repo,
        new.base_branch,
        small(new.max_attempts),
        small(new.max_infra_failures),
        small(new.max_moves),
        i32::try_from(new.backoff.base_ms).unwrap_or(i32::MAX),
        i32::try_from(new.backoff.cap_ms).unwrap_or(i32::MAX),
    )
    .fetch_optional(connection)
    .await?;
    Ok(id.map(ProjectId))
}

async fn make_lanes(connection: &mut PgConnection, project: ProjectId, new: &NewProject) -> Result<(), StoreError> {
    let own = project_lane(&new.name);
    let landing = format!("landing:{}", new.name);
    sqlx::query!(
        r#"
        INSERT INTO lanes (name, kind, concurrency)
        VALUES ($1, 'project', $2), ($3, 'landing', 1), ($4, 'agent', NULL), ($5, 'provider', NULL)
        ON CONFLICT (name) DO NOTHING
        "#,
        own,
        checked_concurrency(new.concurrency)?,
        landing,
        new.agent_lane,
        new.provider_lane,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        INSERT INTO phase_lanes (project_id, phase, lane_id)
        SELECT $1, o.phase, l.id
        FROM (SELECT p.phase, n.name FROM unnest(ARRAY['spec', 'build', 'review', 'merge']::phase[]) AS p(phase)
                                          CROSS JOIN unnest(ARRAY[$2, $3]::text[]) AS n(name)
              UNION ALL VALUES ('merge'::phase, $4::text), ('build', $5), ('spec', $6)) AS o(phase, name)
        JOIN lanes l ON l.name = o.name
        "#,
        project.0,
        GLOBAL_LANE,
        own,
        landing,
        new.agent_lane,
        new.provider_lane,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        let good = NewProject::new("demo", ForgeKind::Gitea, "team/demo");
        good.check().unwrap();
        let said = |change: fn(&mut NewProject)| {
            let mut bad = good.clone();
            change(&mut bad);
            bad.check().unwrap_err().to_string()
        };
        assert!(said(|p| p.name = "Demo".into()).starts_with("name: \"Demo\" can't be"));
        assert!(said(|p| p.name = "a/b".into()).starts_with("name: "));
        assert!(said(|p| p.name = "x".repeat(64)).contains("64 characters"));
        assert!(said(|p| p.repo = "https://x/y/z".into()).starts_with("repo: "));
        assert!(said(|p| p.repo = "../demo".into()).starts_with("repo: "));
        assert!(said(|p| p.base_branch = "--upload-pack=x".into()).starts_with("base_branch: "));
        assert!(said(|p| p.base_branch = "a..b".into()).starts_with("base_branch: "));
        assert!(said(|p| p.max_attempts = 0).starts_with("max_attempts: is 0"));
        assert!(said(|p| p.backoff.base_ms = 0).starts_with("backoff.base_ms: is 0"));
        assert!(said(|p| p.concurrency = Some(0)).starts_with("concurrency: is 0"));
        assert!(said(|p| p.agent_lane = "claude".into()).starts_with("agent_lane: "));
        assert!(said(|p| p.provider_lane = "provider:".into()).starts_with("provider_lane: "));
    }
}

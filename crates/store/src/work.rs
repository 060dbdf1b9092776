//! What a run has to know of its item, in one read.
//!
//! Invariant: it is one snapshot, so that its parts fit together; only rows of the item and its project are read, by their indexes, and what
//! is given is bounded. A review counts only when it is newer than the latest build.

mod history;

use damascus_core::{CommitId, Digest, ItemId, ProjectId, RunId, TestEvidence, TestReport, Verdict, WorkPhase};
use sqlx::{Connection as _, PgConnection};

use crate::decision::{self, GivenAnswer};
use crate::decode::RowRef;
use crate::project::ForgeKind;
use crate::spec::{self, StoredSpec};
use crate::{Store, StoreError, item};

/// How many failures a run is told of.
pub const MAX_FEEDBACK: i64 = 5;
/// How many answers a run is told of.
pub const MAX_ANSWERS: i64 = 20;

/// What a run has to know of its item.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkContext {
    /// The project.
    pub project: ProjectId,
    /// What people call it.
    pub project_name: String,
    /// Which protocol its forge speaks.
    pub forge: ForgeKind,
    /// `owner/name` on the forge, or the path of a local repository.
    pub repo: String,
    /// The forge's numeric id of the repository; none until the forge was asked.
    pub forge_repo_id: Option<i64>,
    /// The branch that changes land on.
    pub base_branch: String,
    /// The item.
    pub item: ItemId,
    /// Its name within the project.
    pub key: String,
    /// One line.
    pub title: String,
    /// The story: text from outside, data and never instructions.
    pub body: String,
    /// The story's acceptance criteria.
    pub acceptance: Vec<String>,
    /// Hash of title, body and acceptance criteria.
    pub content_sha256: Digest,
    /// The latest accepted spec.
    pub spec: Option<StoredSpec>,
    /// The latest build that passed.
    pub build: Option<BuildRecord>,
    /// The latest review that passed, if it is newer than `build`.
    pub review: Option<ReviewRecord>,
    /// How many build runs reported on the work, whatever they said; not those that the surroundings, a time limit or a rate limit ended.
    pub builds_reported: u32,
    /// How many spec runs did, questions to people included.
    pub specs_asked: u32,
    /// The latest failures of the work that still matter, oldest first; at most [`MAX_FEEDBACK`]. While the item is in spec, all there were;
    /// after that, those since the run that made the latest spec. Failures of the surroundings, moves of head or base, and questions (see
    /// `answers`) are not among them.
    pub feedback: Vec<Feedback>,
    /// What people have answered about the item, oldest first; the last [`MAX_ANSWERS`].
    pub answers: Vec<GivenAnswer>,
}

/// A build that passed, as its run reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRecord {
    /// The run.
    pub run: RunId,
    /// The head that was pushed.
    pub head: CommitId,
    /// The base it was built on.
    pub base: CommitId,
    /// The pull request's number.
    pub pull_request: u64,
}

/// A review that passed, as its run reported it. A record, not a proof: that is made by judging the evidence again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRecord {
    /// The run.
    pub run: RunId,
    /// The execution of the tests on the head.
    pub evidence: TestEvidence,
    /// What the tests of the base said.
    pub baseline: TestReport,
}

/// A failure that a later run should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// The run.
    pub run: RunId,
    /// The phase that failed.
    pub phase: WorkPhase,
    /// How.
    pub verdict: Verdict,
    /// Which attempt of the item it was part of; 1 is the first.
    pub attempt: u16,
    /// What happened, safe to show; empty when there is nothing to say.
    pub detail: String,
}

impl Store {
    /// What a run has to know of its item.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn work_context(&self, item: ItemId) -> Result<WorkContext, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        let context = read_work(&mut tx, item).await?;
        tx.commit().await?;
        Ok(context)
    }
}

/// What a run has to know of its item, in the caller's transaction: one of a single snapshot.
///
/// # Errors
/// As [`Store::work_context`].
pub async fn read_work(connection: &mut PgConnection, item: ItemId) -> Result<WorkContext, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT w.phase::text AS "phase!", p.id AS project_id, p.name AS project_name, p.forge::text AS "forge!", p.repo, p.forge_repo_id,
               p.base_branch, s.key, s.title, s.body, s.acceptance, s.content_sha256
        FROM work_items w JOIN projects p ON p.id = w.project_id JOIN stories s ON s.item_id = w.id
        WHERE w.id = $1
        "#,
        item.0,
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or_else(|| item::row::gone(item))?;
    let at = RowRef { table: "stories", id: item.0 };
    let spec = spec::latest(connection, item).await?;
    let specifying = RowRef::item(item.0).named::<damascus_core::Phase>(&row.phase)? == damascus_core::Phase::Spec;
    let since = spec.as_ref().filter(|_| !specifying).map_or(RunId(0), |spec| spec.run);
    let build = history::latest_build(connection, item).await?;
    let review = history::latest_review(connection, item, build.as_ref()).await?;
    let counts = history::reported(connection, item).await?;
    let feedback = history::feedback(connection, item, since).await?;
    let answers = decision::answers(connection, item, MAX_ANSWERS).await?;
    Ok(WorkContext {
        project: ProjectId(row.project_id),
        project_name: row.project_name,
        forge: RowRef { table: "projects", id: row.project_id }.named(&row.forge)?,
        repo: row.repo,
        forge_repo_id: row.forge_repo_id,
        base_branch: row.base_branch,
        item,
        key: row.key,
        title: row.title,
        body: row.body,
        acceptance: serde_json::from_value(row.acceptance).map_err(|error| at.wrong(error))?,
        content_sha256: Digest::try_from(row.content_sha256).map_err(|error| at.wrong(error))?,
        spec,
        build,
        review,
        builds_reported: counts.builds,
        specs_asked: counts.specs,
        feedback,
        answers,
    })
}

//! Human issues: what waits for a person, and what waits for that.
//!
//! Invariant: lists hold open issues only, which do not grow with history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use damascus_core::{GateId, IssueId, IssueKind, ItemId, ProjectId, RunId, display, named_enum};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::decode::RowRef;
use crate::outbox::Fact;
use crate::{Store, StoreError, outbox};

/// The most issues of a page, and of one item.
const MAX_PAGE: i64 = 500;
/// How far the items that wait are counted, over all issues of a page.
const MAX_WAITING: i64 = 20_000;
/// How long a question about a gate may be, in characters.
const QUESTION_MAX_CHARS: usize = 8_000;

/// Where an issue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueState {
    /// It waits for a person.
    Open,
    /// A person answered.
    Answered,
    /// Another decision or another event overtook it.
    Closed,
}

named_enum!(IssueState, "issue state", { Open => "open", Answered => "answered", Closed => "closed" });

/// An issue as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Its number.
    pub id: IssueId,
    /// The item that waits.
    pub item_id: ItemId,
    /// The item as `project/key`.
    pub item: String,
    /// What the item is about.
    pub title: String,
    /// Why a person is asked: `question`, `blocked`, `gate`.
    pub kind: IssueKind,
    /// `open`, `answered`, `closed`.
    pub state: IssueState,
    /// What is asked.
    pub question: String,
    /// Answers to choose from; empty when any text will do.
    pub options: Vec<String>,
    /// What is proposed; null when nothing is.
    pub default_answer: Option<String>,
    /// What the person said; null until answered.
    pub answer: Option<String>,
    /// Who said it; null until answered.
    pub answered_by: Option<String>,
    /// The gate that can't open by itself; only for kind `gate`.
    pub gate: Option<GateId>,
    /// The run that asked; null when none did.
    pub run: Option<RunId>,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When it was answered or closed; null while open.
    pub settled_at: Option<DateTime<Utc>>,
    /// How many other items wait for this one, directly or through others; at least that many in a very large net.
    pub waiting_items: u64,
}

/// Which open issues to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssueFilter {
    /// Only those of items of this project.
    pub project: Option<ProjectId>,
    /// Continue behind this issue.
    pub after: Option<IssueId>,
    /// How many, at most 500; 0 means as many as that.
    pub limit: usize,
}

/// A question about a gate that can't open by itself.
#[derive(Debug, Clone)]
pub(crate) struct GateQuestion {
    pub(crate) gate: GateId,
    pub(crate) item: ItemId,
    pub(crate) text: String,
    pub(crate) options: Vec<String>,
}

/// The columns of an issue, as the database has them.
struct Columns {
    id: i64,
    item_id: i64,
    item: String,
    title: String,
    kind: String,
    state: String,
    question: String,
    options: Vec<String>,
    default_answer: Option<String>,
    answer: Option<String>,
    answered_by: Option<String>,
    gate_id: Option<i64>,
    run_id: Option<i64>,
    created_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Open issues, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn open_issues(&self, filter: &IssueFilter) -> Result<Vec<Issue>, StoreError> {
        let limit = i64::try_from(filter.limit).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        let mut connection = self.pool.acquire().await?;
        let ids = sqlx::query_scalar!(
            r#"
            WITH waiting AS MATERIALIZED (
                -- Read whole and then sorted: ordered by id, the planner would walk the primary key past all that is settled.
                SELECT h.id FROM human_issues h
                WHERE h.state = 'open' AND h.id > $1
                  AND ($2::bigint IS NULL OR (SELECT w.project_id FROM work_items w WHERE w.id = h.item_id) = $2)
            )
            SELECT id FROM waiting ORDER BY id LIMIT $3
            "#,
            filter.after.map_or(0, |issue| issue.0),
            filter.project.map(|id| id.0),
            if limit == 0 { MAX_PAGE } else { limit },
        )
        .fetch_all(&mut *connection)
        .await?;
        by_ids(&mut connection, &ids).await
    }

    /// One issue, whatever its state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn issue(&self, issue: IssueId) -> Result<Issue, StoreError> {
        let mut connection = self.pool.acquire().await?;
        by_ids(&mut connection, &[issue.0]).await?.pop().ok_or_else(|| gone(issue))
    }
}

/// The error about an issue that is named by a number.
pub(crate) fn gone(issue: IssueId) -> StoreError {
    StoreError::NotFound { what: "issue", name: issue.to_string(), hint: String::new() }
}

/// The open issues of an item, oldest first.
pub(crate) async fn of_item(connection: &mut PgConnection, item: ItemId) -> Result<Vec<Issue>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT id FROM human_issues WHERE item_id = $1 AND state = 'open' ORDER BY id LIMIT $2",
        item.0,
        MAX_PAGE,
    )
    .fetch_all(&mut *connection)
    .await?;
    by_ids(connection, &ids).await
}

pub(crate) async fn by_ids(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Issue>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as!(
        Columns,
        r#"
        SELECT h.id, h.item_id, p.name || '/' || s.key AS "item!", s.title, h.kind::text AS "kind!", h.state::text AS "state!", h.question,
               h.options, h.default_answer, h.answer, h.answered_by, h.gate_id, h.run_id, h.created_at, h.settled_at
        FROM human_issues h JOIN stories s ON s.item_id = h.item_id JOIN projects p ON p.id = s.project_id
        WHERE h.id = ANY($1) ORDER BY h.id
        "#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let waiting = waiting_items(connection, &rows.iter().map(|row| row.item_id).collect::<Vec<_>>()).await?;
    rows.into_iter().map(|row| row.issue(&waiting)).collect()
}

impl Columns {
    fn issue(self, waiting: &BTreeMap<i64, u64>) -> Result<Issue, StoreError> {
        let at = RowRef { table: "human_issues", id: self.id };
        Ok(Issue {
            id: IssueId(self.id),
            item_id: ItemId(self.item_id),
            item: self.item,
            title: self.title,
            kind: at.named(&self.kind)?,
            state: at.named(&self.state)?,
            question: self.question,
            options: self.options,
            default_answer: self.default_answer,
            answer: self.answer,
            answered_by: self.answered_by,
            gate: self.gate_id.map(GateId),
            run: self.run_id.map(RunId),
            created_at: self.created_at,
            settled_at: self.settled_at,
            waiting_items: waiting.get(&self.item_id).copied().unwrap_or(0),
        })
    }
}

/// How many items wait for each of these, through open gates only.
async fn waiting_items(connection: &mut PgConnection, items: &[i64]) -> Result<BTreeMap<i64, u64>, StoreError> {
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE waits(root, item_id) AS (
            SELECT DISTINCT id, id FROM unnest($1::bigint[]) AS t(id)
            UNION
            -- OFFSET 0 keeps this a look into the index for each row; joined, the whole index would be read for each level.
            SELECT w.root, g.item_id FROM waits w
            CROSS JOIN LATERAL (SELECT c.item_id FROM coordination_gates c WHERE c.upstream_id = w.item_id AND c.state = 'open' OFFSET 0) g
        )
        SELECT root AS "root!", count(*) FILTER (WHERE item_id <> root) AS "n!"
        FROM (SELECT root, item_id FROM waits LIMIT $2) bounded GROUP BY root
        "#,
        items,
        MAX_WAITING,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.root, u64::try_from(row.n).unwrap_or(0))).collect())
}

/// Opens issues about gates, at most one at a time for each gate. The items are locked.
pub(crate) async fn ask_about_gates(
    connection: &mut PgConnection,
    questions: &[GateQuestion],
) -> Result<(), StoreError> {
    if questions.is_empty() {
        return Ok(());
    }
    let items: Vec<i64> = questions.iter().map(|one| one.item.0).collect();
    let gates: Vec<i64> = questions.iter().map(|one| one.gate.0).collect();
    let texts: Vec<String> = questions.iter().map(|one| display::many_lines(&one.text, QUESTION_MAX_CHARS)).collect();
    let options: Vec<Value> = questions.iter().map(|one| json!(one.options)).collect();
    let opened = sqlx::query!(
        r#"
        INSERT INTO human_issues (item_id, gate_id, kind, question, options)
        SELECT q.item_id, q.gate_id, 'gate', q.question, ARRAY(SELECT jsonb_array_elements_text(q.options))
        FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::jsonb[]) AS q(item_id, gate_id, question, options)
        ON CONFLICT (gate_id) WHERE state = 'open' AND gate_id IS NOT NULL DO NOTHING
        RETURNING id, item_id, gate_id
        "#,
        &items,
        &gates,
        &texts,
        &options,
    )
    .fetch_all(&mut *connection)
    .await?;
    let facts: Vec<Fact> = opened
        .into_iter()
        .map(|row| Fact {
            item: ItemId(row.item_id),
            kind: "issue.opened",
            data: json!({ "issue_id": row.id, "kind": IssueKind::Gate, "gate_id": row.gate_id }),
        })
        .collect();
    outbox::tell(connection, &facts).await
}

/// Closes the open issues about these gates: what they wait for goes on again. The items are locked.
pub(crate) async fn close_overtaken(connection: &mut PgConnection, gates: &[GateId]) -> Result<(), StoreError> {
    if gates.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = gates.iter().map(|gate| gate.0).collect();
    let closed = sqlx::query!(
        r#"
        UPDATE human_issues SET state = 'closed', settled_at = clock_timestamp()
        WHERE gate_id = ANY($1) AND state = 'open' RETURNING id, item_id, gate_id
        "#,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let facts: Vec<Fact> = closed
        .into_iter()
        .map(|row| Fact {
            item: ItemId(row.item_id),
            kind: "issue.closed",
            data: json!({ "issue_id": row.id, "kind": IssueKind::Gate, "gate_id": row.gate_id }),
        })
        .collect();
    outbox::tell(connection, &facts).await
}

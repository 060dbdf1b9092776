//! Answering issues.
//!
//! Invariants: an issue is answered once; what is answered stays readable; the answer is written before the transition that follows from it,
//! so that a transition which closes open issues leaves it answered.

use chrono::{DateTime, Utc};
use damascus_core::{Event, GateId, GateState, IssueId, IssueKind, ItemId, Named as _, Phase, display};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::{grant, move_on};
use crate::decode::RowRef;
use crate::gate::{self, Mark};
use crate::issue::{self, Issue, IssueState};
use crate::item::Standing;
use crate::item::row::{self, LockedItem};
use crate::outbox::Fact;
use crate::{Store, StoreError, claim, input, outbox};

/// How long an answer may be, in characters.
const ANSWER_MAX_CHARS: usize = 20_000;
/// How many answers of an item are given to its next run.
const MAX_ANSWERS: i64 = 200;
/// What can be decided about a blocked item without words of one's own.
const DECISIONS: [&str; 2] = ["retry", "cancel"];

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the person says: an option, by its text or its number counted from 1, or words of their own.
    pub text: String,
    /// Who says it.
    pub by: String,
    /// Words of their own where there are options to choose from. Without it such an answer is refused, so that a slip is not taken for
    /// guidance. An issue about a gate takes its options only.
    pub free_text: bool,
    /// For `wait` on a gate: when to ask again.
    pub deadline: Option<DateTime<Utc>>,
}

impl Answer {
    /// An answer that chooses an option, or says something where there are none.
    #[must_use]
    pub fn new(text: &str, by: &str) -> Self {
        Self { text: text.to_owned(), by: by.to_owned(), free_text: false, deadline: None }
    }
}

/// What came of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The issue.
    pub issue: IssueId,
    /// Its item.
    pub item: ItemId,
    /// The answer as it was taken, with an option's number replaced by its text.
    pub answer: String,
    /// How many questions of the item are still open; it goes on when none is.
    pub questions_left: u64,
    /// Where the item stands now.
    pub standing: Standing,
}

/// An answer that was given, for the next run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenAnswer {
    /// The issue.
    pub issue: IssueId,
    /// `question`, or `blocked` when it is guidance.
    pub kind: IssueKind,
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// Who answered.
    pub answered_by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Store {
    /// Answers an issue, and lets its item go on where that follows.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it was answered before, naming who and when, or overtaken;
    /// [`StoreError::Invalid`] listing the options when the answer is none of them; [`StoreError::Database`].
    pub async fn answer(&self, id: IssueId, answer: &Answer) -> Result<Answered, StoreError> {
        let by = input::who(&answer.by)?;
        let item = self.issue(id).await?.item_id;
        let mut tx = self.pool.begin().await?;
        let locked = row::lock_one(&mut tx, item).await?;
        // Read again under the item's lock: every answer to it has to pass here.
        let issue = issue::by_ids(&mut tx, &[id.0]).await?.pop().ok_or_else(|| issue::gone(id))?;
        refuse_settled(&issue)?;
        let said = taken(&issue, answer)?;
        write(&mut tx, &issue, &said, &by).await?;
        let questions_left = match issue.kind {
            IssueKind::Question => answer_question(&mut tx, &locked).await?,
            IssueKind::Blocked => answer_blocked(&mut tx, &locked, &said).await?,
            IssueKind::Gate => answer_gate(&mut tx, &locked, &issue, &said, &by, answer.deadline).await?,
        };
        tx.commit().await?;
        self.look_downstream(item).await;
        let standing = self.standing(item).await?;
        Ok(Answered { issue: id, item, answer: said, questions_left, standing })
    }

    /// What people have answered about an item, oldest first: the last 200 answers to its questions and words of guidance.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn answers_of(&self, item: ItemId) -> Result<Vec<GivenAnswer>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        answers(&mut connection, item, MAX_ANSWERS).await
    }
}

/// The last answers about an item, oldest first. That a blocked item is to go on is a decision, and tells its next run nothing.
pub(crate) async fn answers(
    connection: &mut PgConnection,
    item: ItemId,
    limit: i64,
) -> Result<Vec<GivenAnswer>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT id, kind::text AS "kind!", question, answer AS "answer!", answered_by AS "answered_by!", settled_at AS "at!"
        FROM human_issues WHERE item_id = $1 AND state = 'answered' AND kind <> 'gate' ORDER BY id DESC LIMIT $2
        "#,
        item.0,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .rev()
        .filter(|row| row.kind != IssueKind::Blocked.name() || !DECISIONS.contains(&row.answer.as_str()))
        .map(|row| {
            Ok(GivenAnswer {
                issue: IssueId(row.id),
                kind: RowRef { table: "human_issues", id: row.id }.named(&row.kind)?,
                question: row.question,
                answer: row.answer,
                answered_by: row.answered_by,
                at: row.at,
            })
        })
        .collect()
}

fn refuse_settled(issue: &Issue) -> Result<(), StoreError> {
    let at = issue.settled_at.map_or_else(String::new, |at| format!(" at {at}"));
    match (issue.state, &issue.answered_by) {
        (IssueState::Open, _) => Ok(()),
        (IssueState::Answered, Some(by)) => {
            Err(StoreError::Conflict(format!("issue {} was answered by {by}{at} already", issue.id)))
        }
        (IssueState::Answered | IssueState::Closed, _) => {
            Err(StoreError::Conflict(format!("issue {} was closed{at}: something else has overtaken it", issue.id)))
        }
    }
}

/// The answer as it is stored: an option's text, or words that are allowed here.
fn taken(issue: &Issue, answer: &Answer) -> Result<String, StoreError> {
    let text = display::many_lines(answer.text.trim(), ANSWER_MAX_CHARS);
    let text = text.trim();
    if text.is_empty() {
        return Err(input::wrong("answer", format_args!("is empty{}", choices(issue))));
    }
    if issue.options.is_empty() {
        return Ok(text.to_owned());
    }
    let same = |option: &&String| option.to_lowercase() == text.to_lowercase();
    let numbered = || text.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|n| issue.options.get(n));
    if let Some(option) = issue.options.iter().find(same).or_else(numbered) {
        return Ok(option.clone());
    }
    let shown = input::shown(text);
    if issue.kind == IssueKind::Gate {
        return Err(input::wrong("answer", format_args!("\"{shown}\" decides nothing about a gate{}", choices(issue))));
    }
    if !answer.free_text {
        let text = format_args!("\"{shown}\" is none of the options{}, or say that it is free text", choices(issue));
        return Err(input::wrong("answer", text));
    }
    Ok(text.to_owned())
}

fn choices(issue: &Issue) -> String {
    if issue.options.is_empty() {
        return String::new();
    }
    let numbered: Vec<String> =
        issue.options.iter().enumerate().map(|(n, option)| format!("{}) {option}", n + 1)).collect();
    format!("; choose from {}", numbered.join(", "))
}

async fn write(connection: &mut PgConnection, issue: &Issue, said: &str, by: &str) -> Result<(), StoreError> {
    sqlx::query!(
        r#"UPDATE human_issues SET state = 'answered', answer = $2, answered_by = $3, settled_at = clock_timestamp()
           WHERE id = $1 AND state = 'open'"#,
        issue.id.0,
        said,
        by,
    )
    .execute(&mut *connection)
    .await?;
    // The text itself may be long and is read from the issue.
    let data = json!({ "issue_id": issue.id, "kind": issue.kind, "by": by });
    outbox::tell(connection, &[Fact { item: issue.item_id, kind: "issue.answered", data }]).await
}

/// The item goes on when none of its questions is left.
async fn answer_question(connection: &mut PgConnection, item: &LockedItem) -> Result<u64, StoreError> {
    let left = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM human_issues WHERE item_id = $1 AND state = 'open' AND kind = 'question'"#,
        item.id.0,
    )
    .fetch_one(&mut *connection)
    .await?;
    if left == 0 && item.state.phase() == Phase::AwaitingHuman {
        move_on(connection, item, Event::Answered).await?;
    }
    Ok(u64::try_from(left).unwrap_or(0))
}

async fn answer_blocked(connection: &mut PgConnection, item: &LockedItem, said: &str) -> Result<u64, StoreError> {
    let event = match said {
        "retry" => Event::Retried { attempts: grant(item) },
        "cancel" => Event::Cancelled,
        _ => Event::Answered,
    };
    move_on(connection, item, event).await?;
    Ok(0)
}

async fn answer_gate(
    connection: &mut PgConnection,
    item: &LockedItem,
    issue: &Issue,
    said: &str,
    by: &str,
    deadline: Option<DateTime<Utc>>,
) -> Result<u64, StoreError> {
    let gate: GateId = issue.gate.ok_or_else(|| RowRef { table: "human_issues", id: issue.id.0 }.wrong("no gate"))?;
    let evidence = json!({ "by": by, "issue_id": issue.id });
    match said {
        "waive" => {
            gate::mark(connection, &[Mark { gate, to: GateState::Waived, evidence }]).await?;
            claim::announce_work(connection).await?;
        }
        "approve" => {
            gate::mark(connection, &[Mark { gate, to: GateState::Satisfied, evidence }]).await?;
            claim::announce_work(connection).await?;
        }
        "cancel" => move_on(connection, item, Event::Cancelled).await?,
        "wait" => gate::reopen(connection, gate, deadline).await?,
        other => return Err(input::wrong("answer", format_args!("\"{other}\" decides nothing about a gate"))),
    }
    Ok(0)
}

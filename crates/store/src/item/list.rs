//! Lists of items.
//!
//! Invariant: a page costs the same however many items have ended. What is unfinished, and what was cancelled, is read from indexes that
//! hold nothing else; only lists that may show merged items walk the stories, a bounded number of them for each page.

mod filter;

use chrono::{DateTime, Utc};
use damascus_core::{ItemId, Named as _, Phase, ProjectId};
use serde::Serialize;
use sqlx::PgConnection;

use super::standing::{self, Standing};
use crate::decode::RowRef;
use crate::{Store, StoreError};

/// The most items of a page.
pub const MAX_PAGE: usize = 500;
/// How often a page that a filter left short is continued before it is given as it is.
const MAX_WINDOWS: usize = 5;

/// Which items to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemFilter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those in one of these phases; empty means every phase.
    pub phases: Vec<Phase>,
    /// Only those whose key or title contains this, in any case.
    pub text: Option<String>,
    /// Only those that are held, or only those that are not. What has ended is not held.
    pub held: Option<bool>,
    /// Newest first instead of oldest first.
    pub newest_first: bool,
    /// Continue behind this item: the `next` of the page before.
    pub after: Option<ItemId>,
    /// How many, at most [`MAX_PAGE`]; 0 means as many as that.
    pub limit: usize,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemPage {
    /// The items, in order. A page may be short, or empty, and not be the last: see `next`.
    pub items: Vec<Item>,
    /// Where the next page continues; null when this is the last.
    pub next: Option<ItemId>,
}

/// An item as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its number.
    pub id: ItemId,
    /// The number of its project.
    pub project_id: ProjectId,
    /// The name of its project.
    pub project: String,
    /// Its name within the project.
    pub key: String,
    /// What it is about, on one line.
    pub title: String,
    /// Where it stands.
    pub phase: Phase,
    /// Why it stands there, with what that rests on.
    pub standing: Standing,
    /// 0 is the most urgent.
    pub priority: u16,
    /// Order within a priority; lower first.
    pub rank: i64,
    /// Whether a person asked to leave it alone. One that runs finishes its run first.
    pub held: bool,
    /// Attempts that failed.
    pub attempts_used: u16,
    /// Attempts granted so far.
    pub attempts_granted: u16,
    /// Failures of the surroundings since a person last decided.
    pub infra_failures: u16,
    /// How many transitions it has made.
    pub transitions: u32,
    /// When it entered its phase.
    pub phase_since: DateTime<Utc>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl ItemFilter {
    /// Everything that has not ended.
    #[must_use]
    pub fn open() -> Self {
        let phases = Phase::ALL.iter().copied().filter(|phase| !phase.is_end()).collect();
        Self { phases, ..Self::default() }
    }
}

impl Store {
    /// A page of items, by age.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn items(&self, filter: &ItemFilter) -> Result<ItemPage, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let (mut ids, mut next, mut filter) = (Vec::new(), None, filter.clone());
        for _ in 0..MAX_WINDOWS {
            let found: Vec<i64> = filter.found().build_query_scalar().fetch_all(&mut *connection).await?;
            let missing = filter.page() - found.len();
            ids.extend(found);
            next = if missing == 0 {
                ids.last().copied()
            } else {
                // Either this was all, or the filter left out much of what was looked at.
                filter.looked_until().build_query_scalar::<Option<i64>>().fetch_one(&mut *connection).await?
            };
            if missing == 0 || next.is_none() {
                break;
            }
            filter.after = next.map(ItemId);
            filter.limit = missing;
        }
        let mut items = summaries(&mut connection, &ids).await?;
        if filter.newest_first {
            items.reverse();
        }
        Ok(ItemPage { items, next: next.map(ItemId) })
    }

    /// Why an item is where it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn standing(&self, item: ItemId) -> Result<Standing, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let found = summaries(&mut connection, &[item.0]).await?.pop();
        found.map(|item| item.standing).ok_or_else(|| super::row::gone(item))
    }
}

/// The columns of an item that lists show, as the database has them.
struct Columns {
    id: i64,
    project_id: i64,
    project: String,
    key: String,
    title: String,
    phase: String,
    resume_phase: Option<String>,
    block_reason: Option<String>,
    priority: i16,
    rank: i64,
    held: bool,
    attempts_used: i16,
    attempts_granted: i16,
    infra_failures: i16,
    transitions: i32,
    phase_since: DateTime<Utc>,
    created_at: DateTime<Utc>,
    lease_owner: Option<i64>,
    run_id: Option<i64>,
    run_started_at: Option<DateTime<Utc>>,
    lease_until: Option<DateTime<Utc>>,
    wake_at: Option<DateTime<Utc>>,
    gate_mask: i16,
    paused_at: Option<DateTime<Utc>>,
}

impl Columns {
    fn row(&self) -> Result<standing::Row, StoreError> {
        let at = RowRef::item(self.id);
        let lease = match (self.lease_owner, self.run_id, self.run_started_at, self.lease_until) {
            (Some(owner), Some(run), Some(since), Some(until)) => Some((owner, run, since, until)),
            (None, None, None, None) => None,
            _ => return Err(at.wrong("half a lease")),
        };
        Ok(standing::Row {
            id: self.id,
            project_id: self.project_id,
            stage: at.stage(&self.phase, self.resume_phase.as_deref(), self.block_reason.as_deref())?,
            phase_since: self.phase_since,
            lease,
            wake_at: self.wake_at,
            held: self.held,
            gate_mask: self.gate_mask,
            infra_failures: at.count("infra_failures", self.infra_failures)?,
            paused_at: self.paused_at,
        })
    }

    fn item(self, standing: Standing) -> Result<Item, StoreError> {
        let at = RowRef::item(self.id);
        Ok(Item {
            id: ItemId(self.id),
            project_id: ProjectId(self.project_id),
            project: self.project,
            key: self.key,
            title: self.title,
            phase: at.named(&self.phase)?,
            standing,
            priority: at.count("priority", self.priority)?,
            rank: self.rank,
            held: self.held,
            attempts_used: at.count("attempts_used", self.attempts_used)?,
            attempts_granted: at.count("attempts_granted", self.attempts_granted)?,
            infra_failures: at.count("infra_failures", self.infra_failures)?,
            transitions: u32::try_from(self.transitions).map_err(|error| at.wrong(error))?,
            phase_since: self.phase_since,
            created_at: self.created_at,
        })
    }
}

/// Items by their numbers, oldest first; numbers that name nothing are left out.
pub(super) async fn summaries(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<Item>, StoreError> {
    let found = sqlx::query_as!(
        Columns,
        r#"
        SELECT w.id, w.project_id, p.name AS project, s.key, s.title, w.phase::text AS "phase!", w.resume_phase::text,
               w.block_reason::text, w.priority, w.rank, w.held, w.attempts_used, w.attempts_granted, w.infra_failures, w.transitions,
               w.phase_since, s.created_at, w.lease_owner, w.run_id, w.run_started_at, w.lease_until, w.wake_at, w.gate_mask, p.paused_at
        FROM work_items w JOIN projects p ON p.id = w.project_id JOIN stories s ON s.item_id = w.id
        WHERE w.id = ANY($1) ORDER BY w.id
        "#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows: Vec<standing::Row> = found.iter().map(Columns::row).collect::<Result<_, _>>()?;
    let standings = standing::derive(connection, &rows).await?;
    found.into_iter().zip(standings).map(|(columns, standing)| columns.item(standing)).collect()
}

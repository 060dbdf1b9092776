//! Reading events, in an order in which none is missed.
//!
//! Invariant: ids alone are not in commit order, so a follower reads in the order of (transaction, id) and only below the oldest
//! transaction that still runs: whatever commits later comes behind its cursor. An item's event is filed under no earlier transaction than
//! the one before it (a transaction that began earlier may come to the item later), so each item is heard of in order.

use chrono::{DateTime, SecondsFormat, Utc};
use damascus_core::{ItemId, ProjectId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::decode::RowRef;
use crate::{Store, StoreError};

/// The most events that one call reads.
pub const MAX_EVENTS: u32 = 1_000;
/// The source that all events name: together with the id it tells an event from all others.
pub const SOURCE: &str = "/damascus";
/// Digits of a sequence number, so that it compares as text.
const SEQUENCE_DIGITS: usize = 10;

/// A place in the order of events: everything up to and including it was read. Shown as `transaction.id`; the id is 0 where it stands
/// before all events of that transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    tx: u64,
    id: i64,
}

impl Cursor {
    /// Before the first event.
    pub const START: Self = Self { tx: 0, id: 0 };
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.tx, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parts = text.split_once('.').and_then(|(tx, id)| Some(Self { tx: tx.parse().ok()?, id: id.parse().ok()? }));
        parts.filter(|cursor| cursor.id >= 0).ok_or_else(|| {
            StoreError::Invalid(
                "a cursor looks like 1234.56, as `damascus events` prints it; 0.0 is the beginning".to_owned(),
            )
        })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this project.
    pub project: Option<ProjectId>,
    /// Only of this item.
    pub item: Option<ItemId>,
}

/// Events in order.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<EventRow>,
    /// Where to go on: behind the last event of a full page; else behind everything that was looked at, so that events which the filter left
    /// out are not looked at again.
    pub next: Cursor,
}

/// A fact.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Where it stands in the order.
    pub cursor: Cursor,
    /// Its id.
    pub id: i64,
    /// When its transaction began.
    pub at: DateTime<Utc>,
    /// The project's name, if it is about one.
    pub project: Option<String>,
    /// The item, if it is about one.
    pub item: Option<ItemId>,
    /// The item's key.
    pub key: Option<String>,
    /// Its number within the item, from 1 without a gap.
    pub seq: Option<i32>,
    /// Such as `work.merged`.
    pub kind: String,
    /// What happened.
    pub data: Value,
}

impl EventRow {
    /// The event as a CloudEvent 1.0, with the extensions `sequence`, `cursor` and `project`.
    #[must_use]
    pub fn to_cloud_event(&self) -> Value {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.id.to_string(),
            "source": SOURCE,
            "type": self.kind,
            "time": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "datacontenttype": "application/json",
            "cursor": self.cursor.to_string(),
            "data": self.data,
        });
        if let Some(item) = self.item {
            event["subject"] = json!(format!("items/{item}"));
        }
        if let Some(seq) = self.seq {
            event["sequence"] = json!(format!("{seq:0SEQUENCE_DIGITS$}"));
        }
        if let Some(project) = &self.project {
            event["project"] = json!(project);
        }
        event
    }
}

impl Store {
    /// Events behind a cursor, in order, at most `limit` and [`MAX_EVENTS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn events_after(&self, cursor: Cursor, filter: EventFilter, limit: u32) -> Result<EventPage, StoreError> {
        let limit = limit.clamp(1, MAX_EVENTS);
        let rows = sqlx::query!(
            r#"
            SELECT h.xmin::text AS "xmin!", e.tx::text AS "tx?", e.id AS "id?", e.at AS "at?", e.item_id AS "item_id?", e.seq AS "seq?",
                   e.type AS "kind?", e.data AS "data?", p.name AS "project?", s.key AS "key?"
            FROM (SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin) h
            LEFT JOIN LATERAL (SELECT * FROM events_outbox
                               WHERE (tx, id) > ($1::text::xid8, $2) AND tx < h.xmin
                                 AND ($3::bigint IS NULL OR project_id = $3) AND ($4::bigint IS NULL OR item_id = $4)
                               ORDER BY tx, id LIMIT $5) e ON true
            LEFT JOIN projects p ON p.id = e.project_id
            LEFT JOIN stories s ON s.item_id = e.item_id
            ORDER BY e.tx, e.id
            "#,
            cursor.tx.to_string(),
            cursor.id,
            filter.project.map(|id| id.0),
            filter.item.map(|id| id.0),
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        let mut page = EventPage { events: Vec::with_capacity(rows.len()), next: cursor };
        for row in rows {
            page.next = page.next.max(horizon(&row.xmin)?);
            // Without events there is one row, of the horizon alone.
            if let (Some(tx), Some(id), Some(at), Some(kind), Some(data)) = (row.tx, row.id, row.at, row.kind, row.data)
            {
                let (item_id, seq, project, key) = (row.item_id, row.seq, row.project, row.key);
                page.events.push(RawEvent { tx, id, at, item_id, seq, kind, data, project, key }.try_into()?);
            }
        }
        if let Some(last) = page.events.last().filter(|_| page.events.len() >= limit as usize) {
            page.next = last.cursor;
        }
        Ok(page)
    }

    /// The latest events, in order, at most `limit` and [`MAX_EVENTS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn latest_events(&self, filter: EventFilter, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query_as!(
            RawEvent,
            r#"
            SELECT e.tx::text AS "tx!", e.id, e.at, e.item_id, e.seq, e.type AS kind, e.data, p.name AS "project?", s.key AS "key?"
            FROM (SELECT * FROM events_outbox
                  WHERE tx < pg_snapshot_xmin(pg_current_snapshot())
                    AND ($1::bigint IS NULL OR project_id = $1) AND ($2::bigint IS NULL OR item_id = $2)
                  ORDER BY tx DESC, id DESC LIMIT $3) e
            LEFT JOIN projects p ON p.id = e.project_id
            LEFT JOIN stories s ON s.item_id = e.item_id
            ORDER BY e.tx, e.id
            "#,
            filter.project.map(|id| id.0),
            filter.item.map(|id| id.0),
            i64::from(limit.clamp(1, MAX_EVENTS)),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(EventRow::try_from).collect()
    }

    /// The latest events of an item, in the order of their numbers, at most `limit` and [`MAX_EVENTS`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn latest_events_of_item(&self, item: ItemId, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query_as!(
            RawEvent,
            r#"
            SELECT e.tx::text AS "tx!", e.id, e.at, e.item_id, e.seq, e.type AS kind, e.data, p.name AS "project?", s.key AS "key?"
            FROM (SELECT * FROM events_outbox WHERE item_id = $1 AND tx < pg_snapshot_xmin(pg_current_snapshot())
                  ORDER BY seq DESC LIMIT $2) e
            LEFT JOIN projects p ON p.id = e.project_id
            LEFT JOIN stories s ON s.item_id = e.item_id
            ORDER BY e.seq
            "#,
            item.0,
            i64::from(limit.clamp(1, MAX_EVENTS)),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(EventRow::try_from).collect()
    }

    /// The cursor behind everything that can be read in order now.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn newest_cursor(&self) -> Result<Cursor, StoreError> {
        let xmin = sqlx::query_scalar!(r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS "xmin!""#)
            .fetch_one(&self.pool)
            .await?;
        horizon(&xmin)
    }
}

/// Behind all transactions below the oldest one that still ran: whatever commits later comes behind it.
fn horizon(xmin: &str) -> Result<Cursor, StoreError> {
    let tx = xmin.parse().map_err(|error| RowRef { table: "pg_snapshot", id: 0 }.wrong(error))?;
    Ok(Cursor { tx, id: 0 })
}

struct RawEvent {
    tx: String,
    id: i64,
    at: DateTime<Utc>,
    item_id: Option<i64>,
    seq: Option<i32>,
    kind: String,
    data: Value,
    project: Option<String>,
    key: Option<String>,
}

impl TryFrom<RawEvent> for EventRow {
    type Error = StoreError;

    fn try_from(raw: RawEvent) -> Result<Self, StoreError> {
        let tx = raw.tx.parse().map_err(|error| RowRef { table: "events_outbox", id: raw.id }.wrong(error))?;
        Ok(Self {
            cursor: Cursor { tx, id: raw.id },
            id: raw.id,
            at: raw.at,
            project: raw.project,
            item: raw.item_id.map(ItemId),
            key: raw.key,
            seq: raw.seq,
            kind: raw.kind,
            data: raw.data,
        })
    }
}

//! Creating items, many at once.
//!
//! Invariant: either all items of a call are created, each with its story, its gates and the event that says so, or none; a key that the
//! project has already is refused with the item that has it.

use std::collections::{BTreeMap, BTreeSet};

use damascus_core::{Digest, ItemId, Named as _, ProjectId, display, named_enum};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::story::RevisedStory;
use crate::gate::{self, GateToMake, MadeGate, NewGate};
use crate::{Store, StoreError, claim, input, project};

/// The most items that one call creates.
pub const MAX_NEW_ITEMS: usize = 10_000;
/// The largest number of one statement: its texts are in memory at once.
const MAX_AT_ONCE: usize = 1_000;

/// How long a key, a title and a path may be, in characters.
const KEY_MAX_CHARS: usize = 200;
const TITLE_MAX_CHARS: usize = 500;
const PATH_MAX_CHARS: usize = 1_024;
/// How long a story's text may be, in bytes.
const BODY_MAX_BYTES: usize = 1024 * 1024;
/// How many acceptance criteria a story may have, and how long each, in characters.
const MAX_CRITERIA: usize = 500;
const CRITERION_MAX_CHARS: usize = 10_000;
/// The least urgent priority, and the most attempts.
const MAX_PRIORITY: i64 = 1_000;
const MAX_ATTEMPTS: i64 = 1_000;
/// How many keys a conflict lists.
const MAX_SHOWN: usize = 5;

/// Where a story came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StorySource {
    /// A BMAD project.
    Bmad,
    /// Written by hand.
    Manual,
}

named_enum!(StorySource, "story source", { Bmad => "bmad", Manual => "manual" });

/// An item to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Its name within the project: no white space, at most 200 characters.
    pub key: String,
    /// What it is about, one line; control characters are taken out, more than 500 characters are cut.
    pub title: String,
    /// Markdown, at most a mebibyte; control characters are taken out.
    pub body: String,
    /// Acceptance criteria.
    pub acceptance: Vec<String>,
    /// Where it came from.
    pub source: StorySource,
    /// The file that it was read from, relative to the imported folder.
    pub source_path: Option<String>,
    /// Hash of title, body and acceptance criteria.
    pub content_sha256: Digest,
    /// 0 is the most urgent; nothing means 100.
    pub priority: Option<u16>,
    /// Order within a priority; lower first.
    pub rank: i64,
    /// Attempts that it is granted; nothing means as many as its project says.
    pub max_attempts: Option<u16>,
    /// What it waits for.
    pub gates: Vec<NewGate>,
}

impl NewItem {
    /// Whether it can be stored, as far as that shows without looking at what there is. Its gates are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming item and field.
    pub fn check(&self) -> Result<(), StoreError> {
        Texts::of_new(std::slice::from_ref(self)).map(drop)
    }
}

/// An item that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreatedItem {
    /// Its number.
    pub item: ItemId,
    /// Its name within the project.
    pub key: String,
    /// Its gates.
    pub gates: Vec<MadeGate>,
}

impl Store {
    /// Creates items of a project; their gates may name each other by key.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming item and field, or a cycle of gates; [`StoreError::Conflict`] naming the items that have a key
    /// already; [`StoreError::NotFound`] for an unknown project or upstream; [`StoreError::Database`]. Then nothing was created.
    pub async fn create_items(&self, project: ProjectId, items: &[NewItem]) -> Result<Vec<CreatedItem>, StoreError> {
        check_count(items.len())?;
        let texts = Texts::of_new(items)?;
        let mut tx = self.pool.begin().await?;
        // One creation at a time for a project, so that a key that is taken shows before anything is written.
        let found = sqlx::query!("SELECT name, max_attempts FROM projects WHERE id = $1 FOR NO KEY UPDATE", project.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| project::gone(project))?;
        refuse_taken(&mut tx, project, &found.name, items).await?;
        let mut created = Vec::with_capacity(items.len());
        for (at, chunk) in items.chunks(MAX_AT_ONCE).enumerate() {
            let from = at * MAX_AT_ONCE;
            let texts = texts.slice(from, from + chunk.len());
            created.extend(insert(&mut tx, project, found.max_attempts, chunk, &texts).await?);
        }
        let mut gates = make_gates(&mut tx, items, &created).await?;
        claim::announce_work(&mut tx).await?;
        tx.commit().await?;
        let made = |(item, new): (ItemId, &NewItem)| CreatedItem {
            item,
            key: new.key.clone(),
            gates: gates.remove(&item).unwrap_or_default(),
        };
        Ok(created.into_iter().zip(items).map(made).collect())
    }

    /// Creates one item.
    ///
    /// # Errors
    /// As [`Store::create_items`].
    pub async fn create_item(&self, project: ProjectId, item: &NewItem) -> Result<CreatedItem, StoreError> {
        let mut made = self.create_items(project, std::slice::from_ref(item)).await?;
        made.pop().ok_or_else(|| StoreError::Conflict(format!("{} was not created", item.key)))
    }
}

/// Refuses more than a call takes.
pub(super) fn check_count(count: usize) -> Result<(), StoreError> {
    if count > MAX_NEW_ITEMS {
        return Err(input::wrong("items", format_args!("are {count}; at most {MAX_NEW_ITEMS} at once")));
    }
    Ok(())
}

/// The texts of stories, clean, as columns.
#[derive(Debug, Default, Clone)]
pub(super) struct Texts {
    pub(super) title: Vec<String>,
    pub(super) body: Vec<String>,
    pub(super) acceptance: Vec<Value>,
    pub(super) source_path: Vec<Option<String>>,
    pub(super) content_sha256: Vec<String>,
}

impl Texts {
    fn of_new(items: &[NewItem]) -> Result<Self, StoreError> {
        let mut texts = Self::default();
        let mut keys = BTreeSet::new();
        for item in items {
            let key = check_key(&item.key)?;
            if !keys.insert(key) {
                return Err(StoreError::Invalid(format!("key: \"{key}\" stands for several of the new items")));
            }
            texts
                .push(&item.title, &item.body, &item.acceptance, item.source_path.as_deref(), &item.content_sha256)
                .and_then(|()| check_numbers(item))
                .map_err(|error| StoreError::Invalid(format!("{key}: {error}")))?;
        }
        Ok(texts)
    }

    pub(super) fn of_revised(stories: &[RevisedStory]) -> Result<Self, StoreError> {
        let mut texts = Self::default();
        for one in stories {
            texts
                .push(&one.title, &one.body, &one.acceptance, one.source_path.as_deref(), &one.content_sha256)
                .map_err(|error| StoreError::Invalid(format!("#{}: {error}", one.item)))?;
        }
        Ok(texts)
    }

    fn push(
        &mut self,
        title: &str,
        body: &str,
        acceptance: &[String],
        path: Option<&str>,
        sha256: &Digest,
    ) -> Result<(), StoreError> {
        let title = display::one_line(title.trim(), TITLE_MAX_CHARS);
        if title.trim().is_empty() {
            return Err(input::wrong("title", "is empty"));
        }
        if body.len() > BODY_MAX_BYTES {
            return Err(input::wrong("body", format_args!("has {} bytes; at most {BODY_MAX_BYTES}", body.len())));
        }
        if acceptance.len() > MAX_CRITERIA {
            let count = acceptance.len();
            return Err(input::wrong("acceptance", format_args!("has {count} criteria; at most {MAX_CRITERIA}")));
        }
        if let Some(long) = acceptance.iter().find(|text| text.chars().count() > CRITERION_MAX_CHARS) {
            let shown = input::shown(long);
            return Err(input::wrong("acceptance", format_args!("\"{shown}\" is longer than {CRITERION_MAX_CHARS}")));
        }
        let path = path.map(|path| input::line("source_path", path, PATH_MAX_CHARS)).transpose()?;
        let criteria: Vec<String> =
            acceptance.iter().map(|text| display::many_lines(text.trim(), CRITERION_MAX_CHARS)).collect();
        self.title.push(title);
        self.body.push(display::many_lines(body, BODY_MAX_BYTES));
        self.acceptance.push(json!(criteria));
        self.source_path.push(path.map(str::to_owned));
        self.content_sha256.push(sha256.to_string());
        Ok(())
    }

    fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            title: self.title[from..to].to_vec(),
            body: self.body[from..to].to_vec(),
            acceptance: self.acceptance[from..to].to_vec(),
            source_path: self.source_path[from..to].to_vec(),
            content_sha256: self.content_sha256[from..to].to_vec(),
        }
    }
}

fn check_key(key: &str) -> Result<&str, StoreError> {
    let key = input::word("key", key, KEY_MAX_CHARS)?;
    if key.starts_with(['#', '-']) {
        return Err(input::wrong("key", format_args!("\"{key}\" begins with # or -; it would read as something else")));
    }
    Ok(key)
}

fn check_numbers(item: &NewItem) -> Result<(), StoreError> {
    if let Some(priority) = item.priority {
        input::within("priority", priority, 0, MAX_PRIORITY)?;
    }
    if let Some(attempts) = item.max_attempts {
        input::within("max_attempts", attempts, 1, MAX_ATTEMPTS)?;
    }
    Ok(())
}

async fn refuse_taken(
    connection: &mut PgConnection,
    project: ProjectId,
    name: &str,
    items: &[NewItem],
) -> Result<(), StoreError> {
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    let taken = sqlx::query!(
        "SELECT key, item_id FROM stories WHERE project_id = $1 AND key = ANY($2) ORDER BY item_id",
        project.0,
        &keys as _,
    )
    .fetch_all(connection)
    .await?;
    if taken.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> =
        taken.iter().take(MAX_SHOWN).map(|row| format!("{name}/{} (#{})", row.key, row.item_id)).collect();
    let more = if taken.len() > MAX_SHOWN { format!(" and {} more", taken.len() - MAX_SHOWN) } else { String::new() };
    let (are, other) = if taken.len() == 1 { ("is", "another key") } else { ("are", "other keys") };
    Err(StoreError::Conflict(format!("{}{more} {are} there already; take {other}", shown.join(", "))))
}

/// Inserts items, stories and events in one statement; gives the ids in the order of `items`.
async fn insert(
    connection: &mut PgConnection,
    project: ProjectId,
    attempts: i16,
    items: &[NewItem],
    texts: &Texts,
) -> Result<Vec<ItemId>, StoreError> {
    let small = |n: u16| i16::try_from(n).unwrap_or(i16::MAX);
    let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
    let sources: Vec<&str> = items.iter().map(|item| item.source.name()).collect();
    let priorities: Vec<i16> = items.iter().map(|item| small(item.priority.unwrap_or(100))).collect();
    let ranks: Vec<i64> = items.iter().map(|item| item.rank).collect();
    let granted: Vec<i16> = items.iter().map(|item| item.max_attempts.map_or(attempts, small)).collect();
    let gates: Vec<i32> = items.iter().map(|item| i32::try_from(item.gates.len()).unwrap_or(i32::MAX)).collect();
    let ids = sqlx::query_scalar!(
        r#"
        WITH input AS MATERIALIZED (
            SELECT nextval(pg_get_serial_sequence('work_items', 'id')) AS id, t.*
            FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::text[]::story_source[], $7::text[], $8::text[],
                        $9::smallint[], $10::bigint[], $11::smallint[], $12::int[]) WITH ORDINALITY
                AS t(key, title, body, acceptance, source, source_path, sha256, priority, rank, attempts, gates, n)
        ), made AS (
            INSERT INTO work_items (id, project_id, priority, rank, attempts_granted, events) OVERRIDING SYSTEM VALUE
            SELECT id, $1, priority, rank, attempts, 1 FROM input ORDER BY n
        ), told AS (
            INSERT INTO stories (item_id, project_id, key, title, body, acceptance, source, source_path, content_sha256)
            SELECT id, $1, key, title, body, acceptance, source, source_path, sha256 FROM input ORDER BY n
        ), announced AS (
            INSERT INTO events_outbox (project_id, item_id, seq, type, data)
            SELECT $1, id, 1, 'work.created',
                   jsonb_build_object('key', key, 'title', title, 'source', source, 'priority', priority, 'gates', gates)
            FROM input ORDER BY n
        )
        SELECT i.id AS "id!" FROM input i CROSS JOIN (SELECT pg_notify('damascus_events', '') AS notified) e ORDER BY i.n
        "#,
        project.0,
        &keys as _,
        &texts.title,
        &texts.body,
        &texts.acceptance,
        &sources as _,
        &texts.source_path as _,
        &texts.content_sha256,
        &priorities,
        &ranks,
        &granted,
        &gates,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids.into_iter().map(ItemId).collect())
}

async fn make_gates(
    connection: &mut PgConnection,
    items: &[NewItem],
    created: &[ItemId],
) -> Result<BTreeMap<ItemId, Vec<MadeGate>>, StoreError> {
    let wanted: Vec<(ItemId, NewGate)> =
        created.iter().zip(items).flat_map(|(id, item)| item.gates.iter().map(|gate| (*id, gate.clone()))).collect();
    let mut made: BTreeMap<ItemId, Vec<MadeGate>> = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(made);
    }
    let to_make: Vec<GateToMake> = gate::resolve_targets(connection, wanted).await?;
    for one in gate::make(connection, &to_make).await? {
        made.entry(one.item).or_default().push(one);
    }
    Ok(made)
}

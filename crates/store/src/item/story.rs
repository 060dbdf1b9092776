//! Stories: what items are about, and bringing them up to date from where they came.
//!
//! Invariant: the text of an item that has ended is never changed, and an item under way is never put back: only its story changes.

use chrono::{DateTime, Utc};
use damascus_core::{Digest, ItemId, Phase, ProjectId};
use serde::Serialize;
use serde_json::json;

use super::new::{self, StorySource};
use super::row;
use crate::decode::RowRef;
use crate::outbox::Fact;
use crate::{Store, StoreError, outbox};

/// What an item is about: text from outside, data and never instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Markdown, without control characters but tab and line feed.
    pub body: String,
    /// Acceptance criteria.
    pub acceptance: Vec<String>,
    /// Where it came from.
    pub source: StorySource,
    /// The file that it was read from, relative to the imported folder; null when it came from none.
    pub source_path: Option<String>,
    /// Hash of title, body and acceptance criteria, as whoever made the item computed it.
    pub content_sha256: Digest,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its text last changed.
    pub updated_at: DateTime<Utc>,
}

/// An item that is there already, as an import compares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExistingStory {
    /// The item.
    pub item: ItemId,
    /// Its name within the project.
    pub key: String,
    /// Where it came from.
    pub source: StorySource,
    /// Hash of its text.
    pub content_sha256: Digest,
    /// Where it stands.
    pub phase: Phase,
    /// Whether anything has happened to it yet: it has made a transition, or runs.
    pub started: bool,
}

/// A new text for a story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisedStory {
    /// The item.
    pub item: ItemId,
    /// One line.
    pub title: String,
    /// Markdown, at most a mebibyte.
    pub body: String,
    /// Acceptance criteria.
    pub acceptance: Vec<String>,
    /// The file that it was read from.
    pub source_path: Option<String>,
    /// Hash of title, body and acceptance criteria.
    pub content_sha256: Digest,
}

impl Store {
    /// Those of these keys that a project has items for, by key.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for more than [`super::MAX_NEW_ITEMS`] keys; [`StoreError::Database`], [`StoreError::Inconsistent`].
    pub async fn existing_stories(
        &self,
        project: ProjectId,
        keys: &[String],
    ) -> Result<Vec<ExistingStory>, StoreError> {
        new::check_count(keys.len())?;
        let rows = sqlx::query!(
            r#"
            SELECT s.item_id, s.key, s.source::text AS "source!", s.content_sha256, w.phase::text AS "phase!",
                   (w.transitions > 0 OR w.lease_owner IS NOT NULL) AS "started!"
            FROM stories s JOIN work_items w ON w.id = s.item_id
            WHERE s.project_id = $1 AND s.key = ANY($2) ORDER BY s.key
            "#,
            project.0,
            keys,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let at = RowRef { table: "stories", id: row.item_id };
                Ok(ExistingStory {
                    item: ItemId(row.item_id),
                    key: row.key,
                    source: at.named(&row.source)?,
                    content_sha256: Digest::try_from(row.content_sha256).map_err(|error| at.wrong(error))?,
                    phase: at.named(&row.phase)?,
                    started: row.started,
                })
            })
            .collect()
    }

    /// Replaces the texts of stories whose hash differs, unless their item has ended. Gives the items whose story changed.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] naming the field; [`StoreError::Database`].
    pub async fn revise_stories(&self, revised: &[RevisedStory]) -> Result<Vec<ItemId>, StoreError> {
        new::check_count(revised.len())?;
        let texts = new::Texts::of_revised(revised)?;
        let ids: Vec<ItemId> = revised.iter().map(|one| one.item).collect();
        let raw: Vec<i64> = ids.iter().map(|id| id.0).collect();
        let mut tx = self.pool.begin().await?;
        let locked = row::lock(&mut tx, &ids).await?;
        let open: Vec<i64> = locked.iter().filter(|one| !one.state.phase().is_end()).map(|one| one.id.0).collect();
        let changed = sqlx::query!(
            r#"
            UPDATE stories s SET title = r.title, body = r.body, acceptance = r.acceptance, source_path = r.source_path,
                                 content_sha256 = r.sha256, updated_at = clock_timestamp()
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[])
                AS r(item_id, title, body, acceptance, source_path, sha256)
            WHERE s.item_id = r.item_id AND s.item_id = ANY($7) AND s.content_sha256 <> r.sha256
            RETURNING s.item_id, s.content_sha256
            "#,
            &raw,
            &texts.title,
            &texts.body,
            &texts.acceptance,
            &texts.source_path as _,
            &texts.content_sha256,
            &open,
        )
        .fetch_all(&mut *tx)
        .await?;
        let facts: Vec<Fact> = changed
            .iter()
            .map(|row| Fact {
                item: ItemId(row.item_id),
                kind: "work.revised",
                data: json!({ "content_sha256": row.content_sha256 }),
            })
            .collect();
        outbox::tell(&mut tx, &facts).await?;
        tx.commit().await?;
        Ok(changed.into_iter().map(|row| ItemId(row.item_id)).collect())
    }
}

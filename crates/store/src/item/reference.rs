//! Naming an item: `42`, `#42`, `project/key`, or a key that only one project has.
//!
//! Invariant: a reference names exactly one item or none; what could mean several is refused with the candidates.

use damascus_core::ItemId;
use sqlx::PgConnection;

use super::row;
use crate::{Store, StoreError, input, nearest, project};

/// The most candidates that a message lists.
const MAX_CANDIDATES: i64 = 10;
/// How many of the newest items are looked at for a name that is near.
const MAX_NEAR: i64 = 500;

impl Store {
    /// The item that a reference names: `42` or `#42` (its number), `project/key`, or a key that only one project has.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with names that are near; [`StoreError::Conflict`] with the candidates when several projects have the key;
    /// [`StoreError::Database`].
    pub async fn resolve_item(&self, reference: &str) -> Result<ItemId, StoreError> {
        let reference = reference.trim();
        let mut connection = self.pool.acquire().await?;
        if let Some(number) = reference.strip_prefix('#') {
            let Ok(id) = number.parse() else { return Err(not_found(reference, &[])) };
            return by_number(&mut connection, id).await?.ok_or_else(|| row::gone(ItemId(id)));
        }
        if let Ok(id) = reference.parse()
            && let Some(found) = by_number(&mut connection, id).await?
        {
            return Ok(found);
        }
        let mut candidates = by_key(&mut connection, reference).await?;
        if let Some((project, key)) = reference.split_once('/') {
            candidates.extend(by_project_and_key(&mut connection, project, key).await?);
        }
        match candidates.as_slice() {
            [(id, _)] => Ok(*id),
            [] => Err(explain_missing(&mut connection, reference).await?),
            several => {
                let names: Vec<String> = several.iter().map(|(id, name)| format!("{name} (#{id})")).collect();
                let shown = input::shown(reference);
                Err(StoreError::Conflict(format!("\"{shown}\" names several items: {}; say which", names.join(", "))))
            }
        }
    }
}

async fn by_number(connection: &mut PgConnection, id: i64) -> Result<Option<ItemId>, StoreError> {
    let found = sqlx::query_scalar!("SELECT id FROM work_items WHERE id = $1", id).fetch_optional(connection).await?;
    Ok(found.map(ItemId))
}

/// Items with a key, over all projects: one look into the unique index for each project.
async fn by_key(connection: &mut PgConnection, key: &str) -> Result<Vec<(ItemId, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT s.item_id, p.name, s.key FROM projects p JOIN stories s ON s.project_id = p.id AND s.key = $1
        ORDER BY p.name LIMIT $2
        "#,
        key,
        MAX_CANDIDATES,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (ItemId(row.item_id), format!("{}/{}", row.name, row.key))).collect())
}

async fn by_project_and_key(
    connection: &mut PgConnection,
    project: &str,
    key: &str,
) -> Result<Option<(ItemId, String)>, StoreError> {
    let row = sqlx::query!(
        "SELECT s.item_id FROM projects p JOIN stories s ON s.project_id = p.id AND s.key = $2 WHERE p.name = $1",
        project,
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (ItemId(row.item_id), format!("{project}/{key}"))))
}

/// Names that are near, among the newest items.
async fn explain_missing(connection: &mut PgConnection, reference: &str) -> Result<StoreError, StoreError> {
    let there = match reference.split_once('/') {
        Some((name, _)) => {
            let project = project::resolve(connection, name).await?;
            sqlx::query_scalar!(
                r#"SELECT p.name || '/' || s.key AS "name!" FROM stories s JOIN projects p ON p.id = s.project_id
                   WHERE s.project_id = $1 ORDER BY s.project_id, s.item_id DESC LIMIT $2"#,
                project.0,
                MAX_NEAR,
            )
            .fetch_all(connection)
            .await?
        }
        None => {
            sqlx::query_scalar!("SELECT key FROM stories ORDER BY item_id DESC LIMIT $1", MAX_NEAR)
                .fetch_all(connection)
                .await?
        }
    };
    Ok(not_found(reference, &there))
}

fn not_found(reference: &str, there: &[String]) -> StoreError {
    let hint = nearest::hint(reference, there, "name it by its number, by project/key, or by its key");
    StoreError::NotFound { what: "item", name: input::shown(reference), hint }
}

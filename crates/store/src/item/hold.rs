//! Holding an item and letting it go.
//!
//! Invariant: a hold keeps an item from being claimed and does nothing else; a run under way is finished.

use damascus_core::ItemId;
use serde_json::json;

use super::{Standing, row};
use crate::outbox::Fact;
use crate::{Store, StoreError, claim, input, outbox};

impl Store {
    /// Keeps an item from being claimed; a run under way is finished. Holding it twice does nothing more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when the item has ended; [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn hold(&self, item: ItemId, by: &str, why: &str) -> Result<Standing, StoreError> {
        self.switch_hold(item, true, by, why).await
    }

    /// Lets an item be claimed again. Releasing one that is not held does nothing.
    ///
    /// # Errors
    /// As [`Store::hold`].
    pub async fn release(&self, item: ItemId, by: &str) -> Result<Standing, StoreError> {
        self.switch_hold(item, false, by, "").await
    }

    async fn switch_hold(&self, item: ItemId, hold: bool, by: &str, why: &str) -> Result<Standing, StoreError> {
        let (by, why) = (input::who(by)?, input::reason(why));
        let mut tx = self.pool.begin().await?;
        let found = row::lock_one(&mut tx, item).await?;
        if found.state.phase().is_end() {
            let (what, phase) = (if hold { "held" } else { "released" }, found.state.phase());
            return Err(StoreError::Conflict(format!("{} is {phase} and can't be {what}", found.shown())));
        }
        if found.held != hold {
            sqlx::query!("UPDATE work_items SET held = $2 WHERE id = $1", item.0, hold).execute(&mut *tx).await?;
            let mut data = json!({ "by": by, "phase": found.state.phase() });
            if !why.is_empty() {
                data["why"] = json!(why);
            }
            let kind = if hold { "work.held" } else { "work.released" };
            outbox::tell(&mut tx, &[Fact { item, kind, data }]).await?;
            // Also of a hold: a claim that came by meanwhile passed over the locked row, and left room for another.
            claim::announce_work(&mut tx).await?;
        }
        tx.commit().await?;
        self.standing(item).await
    }
}

//! People's decisions: cancel, retry, answer.
//!
//! Invariants: a decision is judged by `step` on the very row that is locked, and written by `apply`; who decided what is told in the same
//! transaction; what waits for the item is looked at right after.

mod answer;

use std::num::NonZeroU16;

use damascus_core::{Event, ItemId};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::item::Standing;
use crate::item::row::{self, LockedItem};
use crate::outbox::Fact;
use crate::{Move, Store, StoreError, apply, claim, input, outbox};

pub(crate) use answer::answers;
pub use answer::{Answer, Answered, GivenAnswer};

/// The most attempts that one decision grants.
const MAX_GRANT: i64 = 1_000;

impl Store {
    /// Gives an item up. A run under way is overtaken: its worker loses the lease, and its report changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it has ended already; [`StoreError::Invalid`], [`StoreError::Database`].
    pub async fn cancel(&self, item: ItemId, by: &str, why: &str) -> Result<Standing, StoreError> {
        let who = input::who(by)?;
        let mut tx = self.pool.begin().await?;
        let found = row::lock_one(&mut tx, item).await?;
        if found.state.phase().is_end() {
            tx.rollback().await?;
            return Err(self.refuse(&found, "cancelled").await);
        }
        tell_decision(&mut tx, &found, "cancel", &who, json!({ "why": input::reason(why) })).await?;
        move_on(&mut tx, &found, Event::Cancelled).await?;
        tx.commit().await?;
        self.look_downstream(item).await;
        self.standing(item).await
    }

    /// Lets a parked item go on with more attempts; nothing means as many as its project grants. Its open questions are closed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it is not parked, saying what it is doing; [`StoreError::Invalid`],
    /// [`StoreError::Database`].
    pub async fn retry(&self, item: ItemId, attempts: Option<u16>, by: &str) -> Result<Standing, StoreError> {
        let who = input::who(by)?;
        if let Some(attempts) = attempts {
            input::within("attempts", attempts, 1, MAX_GRANT)?;
        }
        let mut tx = self.pool.begin().await?;
        let found = row::lock_one(&mut tx, item).await?;
        if !found.state.phase().is_parked() {
            tx.rollback().await?;
            return Err(self.refuse(&found, "retried").await);
        }
        let attempts = attempts.and_then(NonZeroU16::new).unwrap_or_else(|| grant(&found));
        tell_decision(&mut tx, &found, "retry", &who, json!({ "attempts": attempts })).await?;
        move_on(&mut tx, &found, Event::Retried { attempts }).await?;
        tx.commit().await?;
        self.look_downstream(item).await;
        self.standing(item).await
    }

    /// Has what waits for an item looked at. When that fails, the next sweep does it, so the decision stands either way.
    async fn look_downstream(&self, item: ItemId) {
        if let Err(error) = self.evaluate_upstream(&[item]).await {
            tracing::warn!(item.id = item.0, error = %error, "what waits for the item is left to the next sweep");
        }
    }

    /// The error about a decision that has no place where the item stands.
    async fn refuse(&self, item: &LockedItem, what: &str) -> StoreError {
        match self.standing(item.id).await {
            Ok(standing) => {
                StoreError::Conflict(format!("{} can't be {what}: it {}", item.shown(), standing.explain()))
            }
            Err(error) => error,
        }
    }
}

/// The attempts that an item's project grants.
fn grant(item: &LockedItem) -> NonZeroU16 {
    u16::try_from(item.max_attempts).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN)
}

/// Writes who decided what, before the transition that follows from it.
async fn tell_decision(
    connection: &mut PgConnection,
    item: &LockedItem,
    decision: &str,
    by: &str,
    more: Value,
) -> Result<(), StoreError> {
    let data = json!({ "decision": decision, "by": by, "detail": more });
    outbox::tell(connection, &[Fact { item: item.id, kind: "work.decided", data }]).await
}

/// Moves a locked item on, and wakes workers.
async fn move_on(connection: &mut PgConnection, item: &LockedItem, event: Event) -> Result<(), StoreError> {
    let one = Move::from_event(item.id, item.epoch, item.state, event, &item.policy)?;
    let applied = apply::apply(connection, &[one]).await?;
    if !applied.wrote(item.id) {
        // The row is locked, and was read under the lock.
        return Err(crate::decode::RowRef::item(item.id.0).wrong("it changed under its lock"));
    }
    // Also when the item itself stops: a run that was overtaken makes room.
    claim::announce_work(connection).await
}

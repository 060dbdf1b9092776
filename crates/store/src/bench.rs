//! What benchmarks need of the database: a scratch database, many rows, and a bare client that sends the same statements.
//!
//! Invariant: everything happens in a scratch database of its own, which is dropped afterwards; items are finished through the same writer as
//! always, so that the rows, dead ones included, are what real use leaves.

use std::time::Duration;

use damascus_core::policy::DEFAULT_ATTEMPTS;
use damascus_core::{Epoch, Event, ItemId, ItemState, Policy, ProjectId, Proof, WorkPhase, WorkerId};
use sqlx::{Connection as _, PgConnection};

use crate::apply::{self, MAX_MOVES};
use crate::{ClaimRequest, ConnectOptions, Lease, Move, Store, StoreError, claim, migrate};

/// How long an idle worker may take to become idle, and how often to look.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_POLL: Duration = Duration::from_millis(2);

/// A database that is made for a benchmark and dropped after it.
#[derive(Debug)]
pub struct Scratch {
    /// The store on it.
    pub store: Store,
    server: ConnectOptions,
    name: String,
}

impl Scratch {
    /// Makes the database beside the one in `server`, with the current schema. `label` keeps two benchmarks apart.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`], [`StoreError::Database`].
    pub async fn create(server: &ConnectOptions, label: u32) -> Result<Self, StoreError> {
        let name = format!("damascus_bench_{label}");
        let options = server.with_database(&name);
        migrate::bring_up_to_date(&options).await?;
        Ok(Self { store: Store::open(options).await?, server: server.clone(), name })
    }

    /// Drops the database.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn remove(self) -> Result<(), StoreError> {
        self.store.close().await;
        let mut connection = PgConnection::connect_with(&self.server.with_database("postgres").session()).await?;
        // The name is our own and holds letters, digits and underscores only.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }
}

/// Makes `count` items without stories, ready to be claimed. Gives the id of the first; the others follow it.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn seed(store: &Store, project: ProjectId, count: i64) -> Result<ItemId, StoreError> {
    let attempts = i16::try_from(DEFAULT_ATTEMPTS.get()).unwrap_or(i16::MAX);
    let first = sqlx::query_scalar!(
        r#"
        WITH made AS (INSERT INTO work_items (project_id, attempts_granted) SELECT $1, $2 FROM generate_series(1::bigint, $3::bigint) RETURNING id)
        SELECT min(id) AS "first!" FROM made
        "#,
        project.0,
        attempts,
        count,
    )
    .fetch_one(&store.pool)
    .await?;
    Ok(ItemId(first))
}

/// Makes one item and tells the workers, as every way of making an item does.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn seed_one_and_announce(store: &Store, project: ProjectId) -> Result<(), StoreError> {
    let attempts = i16::try_from(DEFAULT_ATTEMPTS.get()).unwrap_or(i16::MAX);
    let mut tx = store.pool.begin().await?;
    sqlx::query!("INSERT INTO work_items (project_id, attempts_granted) VALUES ($1, $2)", project.0, attempts)
        .execute(&mut *tx)
        .await?;
    claim::announce_work(&mut tx).await?;
    Ok(tx.commit().await?)
}

/// Waits until nothing is leased and nothing can be claimed.
///
/// # Errors
/// [`StoreError::Database`]; [`StoreError::Conflict`] when it does not come to that within ten seconds.
pub async fn wait_until_idle(store: &Store) -> Result<(), StoreError> {
    let busy = async {
        while sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM work_items WHERE lease_owner IS NOT NULL OR claim_class IS NOT NULL) AS "busy!""#
        )
        .fetch_one(&store.pool)
        .await?
        {
            tokio::time::sleep(IDLE_POLL).await;
        }
        Ok(())
    };
    let late = || StoreError::Conflict("the worker did not become idle".to_owned());
    tokio::time::timeout(IDLE_TIMEOUT, busy).await.unwrap_or_else(|_| Err(late()))
}

/// Makes `count` items and gives them up again: rows of history. `progress` hears how many are done.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn seed_finished(
    store: &Store,
    project: ProjectId,
    count: i64,
    mut progress: impl FnMut(i64),
) -> Result<(), StoreError> {
    let batch = i64::try_from(MAX_MOVES).unwrap_or(i64::MAX);
    let mut done = 0;
    while done < count {
        let size = batch.min(count - done);
        let first = seed(store, project, size).await?;
        let fresh = ItemState::new(DEFAULT_ATTEMPTS);
        let moves: Vec<Move> = (first.0..first.0 + size)
            .map(|id| Move::from_event(ItemId(id), Epoch(0), fresh, Event::Cancelled, &Policy::default()))
            .collect::<Result<_, _>>()?;
        let mut tx = store.pool.begin().await?;
        apply::apply(&mut tx, &moves).await?;
        tx.commit().await?;
        done += size;
        progress(done);
    }
    Ok(())
}

/// Brings the planner's statistics and the visibility map up to date, as autovacuum would in time.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn vacuum(store: &Store) -> Result<(), StoreError> {
    let mut connection = store.pool.acquire().await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
    sqlx::query("VACUUM (ANALYZE) work_items, events_outbox").execute(&mut *connection).await?;
    sqlx::query("RESET statement_timeout").execute(&mut *connection).await?;
    Ok(())
}

/// What a bare client did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BareRun {
    /// Transitions that it made.
    pub transitions: u64,
    /// Commits that it took.
    pub commits: u64,
}

/// Runs everything that can be claimed through all phases, on one connection and with nothing around the statements: no tasks, no heartbeat,
/// no decisions, proofs made once. It is the limit for a worker that sends the same statements in batches of the same size.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn bare_client(
    store: &Store,
    worker: WorkerId,
    batch: usize,
    proof: impl Fn(WorkPhase) -> Proof,
) -> Result<BareRun, StoreError> {
    let request = ClaimRequest {
        worker,
        phases: vec![WorkPhase::Spec, WorkPhase::Build, WorkPhase::Review, WorkPhase::Merge],
        max: batch.clamp(1, MAX_MOVES),
        lease: Duration::from_secs(60),
    };
    let passes = apply::Passes::new(proof)?;
    let mut connection = store.pool.acquire().await?;
    let mut run = BareRun::default();
    let mut leases: Vec<Lease> = Vec::new();
    loop {
        let done = claim::finish_and_claim(&mut connection, passes.document(&leases)?, &request).await?;
        run.transitions += done.written.len() as u64;
        leases = done.leases;
        run.commits += 1;
        if leases.is_empty() {
            return Ok(run);
        }
    }
}

//! Looking at the tables themselves, and waiting for what they say.

use std::time::Duration;

use damascus_core::ItemId;
use damascus_testkit::TestDb;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The rows of a query.
pub(crate) async fn all<T>(db: &TestDb, query: &'static str) -> Vec<T>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(query).fetch_all(&mut db.connect().await).await.unwrap()
}

/// The one row of a query.
pub(crate) async fn one<T>(db: &TestDb, query: &'static str) -> T
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(query).fetch_one(&mut db.connect().await).await.unwrap()
}

/// The one number that a query gives.
pub(crate) async fn number(db: &TestDb, query: &'static str) -> i64 {
    one::<(i64,)>(db, query).await.0
}

/// Runs a statement.
pub(crate) async fn run(db: &TestDb, statement: &'static str) {
    sqlx::query(statement).execute(&mut db.connect().await).await.unwrap();
}

/// Asks again and again until a query says true.
pub(crate) async fn until(db: &TestDb, query: &'static str) {
    let mut connection = db.connect().await;
    let asking = async {
        while !sqlx::query_scalar::<_, bool>(query).fetch_one(&mut connection).await.unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(query);
}

/// Waits until some connection to the test's database waits for a lock.
pub(crate) async fn until_somebody_waits_for_a_lock(db: &TestDb) {
    until(
        db,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')",
    )
    .await;
}

/// Takes the row lock of an item, as a person's decision does.
pub(crate) async fn lock(connection: &mut PgConnection, item: ItemId) {
    sqlx::query("BEGIN").execute(&mut *connection).await.unwrap();
    sqlx::query("SELECT 1 FROM work_items WHERE id = $1 FOR NO KEY UPDATE")
        .bind(item.0)
        .execute(connection)
        .await
        .unwrap();
}

/// The types of an item's events, oldest first; they must be numbered without a gap, and the item's row must count them.
pub(crate) async fn events(db: &TestDb, item: ItemId) -> Vec<String> {
    let mut connection = db.connect().await;
    let rows: Vec<(i32, String)> =
        sqlx::query_as("SELECT seq, type FROM events_outbox WHERE item_id = $1 ORDER BY seq")
            .bind(item.0)
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let numbers: Vec<i32> = rows.iter().map(|row| row.0).collect();
    assert_eq!(numbers, (1..=i32::try_from(rows.len()).unwrap()).collect::<Vec<_>>(), "events of {item} have a gap");
    let counted: i32 = sqlx::query_scalar("SELECT events FROM work_items WHERE id = $1")
        .bind(item.0)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(usize::try_from(counted), Ok(rows.len()), "the row of {item} counts other events");
    rows.into_iter().map(|row| row.1).collect()
}

//! Migrations: from nothing to the current schema, with rows in every table that each of them makes, and never past what a binary knows.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use damascus_store::{ConnectOptions, Store, StoreError, migrate};
use damascus_testkit::TestDb;

fn options(db: &TestDb) -> ConnectOptions {
    ConnectOptions::parse(db.url()).expect("the test database has an address")
}

#[tokio::test]
async fn an_empty_database_is_brought_up_to_date_once() {
    let db = TestDb::empty().await;
    let refused = Store::open(options(&db)).await.expect_err("there is no schema yet");
    assert!(matches!(refused, StoreError::SchemaOlder { found: 0, .. }), "{refused}");
    let first = migrate::bring_up_to_date(&options(&db)).await.expect("the migrations apply");
    assert_eq!((first.from, first.to), (0, migrate::known_version()));
    let second = migrate::bring_up_to_date(&options(&db)).await.expect("a second time changes nothing");
    assert_eq!((second.from, second.to), (migrate::known_version(), migrate::known_version()));
    Store::open(options(&db)).await.expect("the schema is current");
}

#[tokio::test]
async fn two_processes_at_once_do_it_once() {
    let db = TestDb::empty().await;
    let options = options(&db);
    let (a, b) = tokio::join!(migrate::bring_up_to_date(&options), migrate::bring_up_to_date(&options));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn a_missing_database_is_made() {
    let db = TestDb::empty().await;
    let fresh = options(&db).with_database(&format!("damascus_test_{}_fresh \"quoted\"", std::process::id()));
    let made = migrate::bring_up_to_date(&fresh).await.expect("the database is made");
    assert!(made.database_created);
    let again = migrate::bring_up_to_date(&fresh).await.expect("it is there");
    assert!(!again.database_created);
    let mut connection = db.connect().await;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "DROP DATABASE \"{}\" WITH (FORCE)",
        fresh.database().expect("a name").replace('"', "\"\"")
    )))
    .execute(&mut connection)
    .await
    .expect("it can be dropped");
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions_and_left_alone() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let newer = migrate::known_version() + 7;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ($1, 'from the future', true, '', 0)")
        .bind(newer)
        .execute(&mut connection)
        .await
        .expect("the migrator's table takes a row");
    for refused in [
        Store::open(options(&db)).await.expect_err("a newer schema is refused"),
        migrate::bring_up_to_date(&options(&db)).await.expect_err("a newer schema is refused"),
    ] {
        assert!(matches!(refused, StoreError::SchemaNewer { .. }), "{refused}");
        let message = refused.to_string();
        assert!(
            message.contains(&newer.to_string()) && message.contains(&migrate::known_version().to_string()),
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_unreachable_database_is_named_without_its_password() {
    let options = ConnectOptions::parse("postgres://someone:s3cret@127.0.0.1:1/nothing").expect("an address");
    let error = Store::open(options).await.expect_err("nothing listens on port 1");
    let message = format!("{error} {error:?}");
    assert!(message.contains("127.0.0.1:1") && !message.contains("s3cret"), "{message}");
    assert!(error.retryable());
}

#[tokio::test]
async fn every_table_and_column_says_what_it_is() {
    let db = TestDb::new().await;
    let mut connection = db.connect().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname || coalesce('.' || a.attname, '')
         FROM pg_class c
         LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> '_sqlx_migrations'
           AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)
         ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the catalogue can be read");
    assert!(silent.is_empty(), "no comment on: {}", silent.join(", "));
}

#[tokio::test]
async fn every_migration_applies_where_there_are_rows_already() {
    // A new migration that adds a table adds `sample/NNNN.sql` with rows for it; the next ones are then tried with them.
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut migrations: Vec<_> = std::fs::read_dir(root.join("migrations"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    migrations.sort();
    let db = TestDb::empty().await;
    let mut connection = db.connect().await;
    for migration in &migrations {
        let name = migration.file_name().and_then(|name| name.to_str()).expect("a name of ASCII").to_owned();
        let sample = root.join("tests/sample").join(format!("{}.sql", &name[..4]));
        for file in std::iter::once(migration.clone()).chain(sample.exists().then_some(sample)) {
            let sql = std::fs::read_to_string(&file).expect("the file can be read");
            let applied = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
            applied.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
    let empty: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'landings'
           AND (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I', c.relname), false, true, '')))[1]::text = '0'",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the tables can be counted");
    assert!(empty.is_empty(), "no sample rows in {}", empty.join(", "));
}

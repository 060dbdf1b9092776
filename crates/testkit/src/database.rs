//! A fresh, migrated database for each test, on one real server.
//!
//! The server is that of `DAMASCUS_TEST_DATABASE_URL` if given (a role that may create databases), else a throw-away cluster of our own
//! that all test processes of this user share; the last to leave stops it. Each test's database is copied from a template, which is made
//! once per schema.
//!
//! Invariant: tests can't see each other's data; a killed test leaves nothing that the next run does not clear away.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use damascus_postgres::{Durability, ManagedPostgres, Options};
use damascus_store::{ConnectOptions, Store, migrate};
use rustix::process::{Pid, Signal};
use sqlx::{Connection as _, PgConnection};

/// Names of test databases begin like this; then the process id.
const PREFIX: &str = "damascus_test_";
/// Held while the template is made: one maker at a time.
const TEMPLATE_LOCK: i64 = 0x7465_6d70_6c61_7465;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A name that no other database has. Process ids come around, and a test that was killed leaves its database: so chance is part of it.
fn new_name() -> String {
    let (process, number) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    format!("{PREFIX}{process}_{number}_{:08x}", rand::random::<u32>())
}

/// A database of its own for one test; dropped with it.
#[derive(Debug)]
pub struct TestDb {
    store: Store,
    url: String,
    name: String,
    admin: String,
    _server: Option<ManagedPostgres>,
}

impl TestDb {
    /// A database with the current schema and nothing else in it.
    pub async fn new() -> Self {
        let (admin, server) = server().await;
        let template = template(&admin).await;
        let name = new_name();
        let mut connection = connect(&admin).await;
        execute(&mut connection, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await;
        connection.close().await.expect("the connection closes");
        let url = with_database(&admin, &name);
        let options = ConnectOptions::parse(&url).expect("the test database has an address");
        let store = Store::open(options).await.expect("the test database opens");
        Self { store, url, name, admin, _server: server }
    }

    /// A database without a schema.
    pub async fn empty() -> Self {
        let (admin, server) = server().await;
        let name = new_name();
        let mut connection = connect(&admin).await;
        execute(&mut connection, format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        connection.close().await.expect("the connection closes");
        let url = with_database(&admin, &name);
        let options = ConnectOptions::parse(&url).expect("the test database has an address");
        let store = Store::open_unchecked(options).await.expect("the test database opens");
        Self { store, url, name, admin, _server: server }
    }

    /// A database on a server of its own, which the test may kill and start again.
    pub async fn private() -> (Self, PrivateServer) {
        let folder = tempfile::Builder::new().prefix("damascus-private-").tempdir().expect("a temporary folder");
        // The server's own user must be able to get there, where the test runs as root.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("our own folder");
        let options = Options::from_env(folder.path().join("home")).with_durability(Durability::Throwaway);
        let server = tokio::task::spawn_blocking(move || ManagedPostgres::acquire(&options))
            .await
            .expect("the supervisor does not panic")
            .expect("a private test server starts");
        let url = server.url("damascus_private");
        let options = ConnectOptions::parse(&url).expect("the test database has an address");
        migrate::bring_up_to_date(&options).await.expect("the migrations apply");
        let store = Store::open(options).await.expect("the test database opens");
        let admin = server.url("postgres");
        let db = Self { store, url, name: "damascus_private".to_owned(), admin, _server: None };
        (db, PrivateServer { server: Arc::new(server), _folder: folder })
    }

    /// The store on it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Its address, for another process.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of its own, to look at the tables.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.url).await
    }

    /// The first column of what a query gives, as texts: for tests that may not use SQL clients of their own.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let mut connection = self.connect().await;
        let texts = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await;
        connection.close().await.expect("the connection closes");
        texts.expect("the query is one")
    }

    /// The tables that hold this text anywhere in their rows; the text must not need quoting.
    pub async fn tables_with(&self, text: &str) -> Vec<String> {
        let tables = self
            .texts(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
            )
            .await;
        let mut found = Vec::new();
        for table in tables {
            // tidy-expect(sql-outside-store): a look into every table there is, whatever it is called.
            let query = format!("SELECT 'x' FROM {table} AS t WHERE position('{text}' IN t::text) > 0 LIMIT 1");
            if !self.texts(&query).await.is_empty() {
                found.push(table);
            }
        }
        found
    }
}

/// A server that a test has to itself.
#[derive(Debug)]
pub struct PrivateServer {
    server: Arc<ManagedPostgres>,
    _folder: tempfile::TempDir,
}

impl PrivateServer {
    /// Kills the server's main process as `kill -9` does, and starts it again.
    pub async fn crash_and_restart(&self) {
        self.crash();
        self.start_again().await;
    }

    /// Kills the server's main process as `kill -9` does. Until it is started again, there is no database.
    pub fn crash(&self) {
        let pid = self.server.server_pid().expect("the server's folder can be read");
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        rustix::process::kill_process(pid.expect("the server runs"), Signal::KILL).expect("the server is ours to kill");
    }

    /// Starts a server again that was killed.
    pub async fn start_again(&self) {
        let server = Arc::clone(&self.server);
        let restarted = tokio::task::spawn_blocking(move || server.ensure_running());
        restarted.await.expect("the supervisor does not panic").expect("the server starts again");
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        // A thread of its own, since the test's runtime may be single-threaded and is inside this drop. What fails here is cleared away by the
        // next run, so it must not turn a passed test into a failed one.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&admin).await.map_err(std::io::Error::other)?;
                let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut connection).await.map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(())
            })
        });
        drop(dropped.join());
    }
}

/// The address of the server's maintenance database, and our share in the server when it is ours.
async fn server() -> (String, Option<ManagedPostgres>) {
    if let Some(url) = std::env::var("DAMASCUS_TEST_DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        return (url, None);
    }
    let options = Options::from_env(shared_home()).with_durability(Durability::Throwaway);
    let server = tokio::task::spawn_blocking(move || ManagedPostgres::acquire(&options))
        .await
        .expect("the supervisor does not panic")
        .expect("the shared test server starts");
    (server.url("postgres"), Some(server))
}

/// Where the shared cluster lives: one per user, outside the checkout, since the server's own user must be able to get there.
fn shared_home() -> PathBuf {
    std::env::temp_dir().join(format!("damascus-tests-{}", rustix::process::getuid().as_raw()))
}

/// The template database of this schema; made if it is not there, together with a clean-up of what killed tests left.
async fn template(admin: &str) -> String {
    let name = format!("damascus_template_{:016x}", migrate::fingerprint());
    let mut connection = connect(admin).await;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut connection)
        .await
        .expect("the template's lock");
    let databases: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE starts_with(datname, 'damascus_')")
            .fetch_all(&mut connection)
            .await
            .expect("the databases can be listed");
    if !databases.contains(&name) {
        for left in databases.iter().filter(|other| is_abandoned(other)) {
            execute(&mut connection, format!("DROP DATABASE IF EXISTS {left} WITH (FORCE)")).await;
        }
        let making = format!("{name}_making");
        execute(&mut connection, format!("DROP DATABASE IF EXISTS {making} WITH (FORCE)")).await;
        let options = ConnectOptions::parse(&with_database(admin, &making)).expect("the template has an address");
        migrate::bring_up_to_date(&options).await.expect("the migrations apply");
        // Renamed when it is whole: a half-made template is never copied.
        execute(&mut connection, format!("ALTER DATABASE {making} RENAME TO {name}")).await;
    }
    connection.close().await.expect("the connection closes");
    name
}

/// Whether a test database belongs to a process that is gone.
fn is_abandoned(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()).and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists())
}

fn with_database(admin: &str, name: &str) -> String {
    let (path, query) = admin.split_once('?').map_or((admin, None), |(path, query)| (path, Some(query)));
    let (server, _) = path.rsplit_once('/').expect("an address names a database");
    query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the test server answers")
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await.expect("the test server does as it is told");
}

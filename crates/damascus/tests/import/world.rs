//! A project of stories on disk, a database with the project `shop`, and the program between them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use damascus_core::{ItemId, Outcome, Phase, RunReport, WorkPhase};
use damascus_store::{ClaimRequest, Move, Registration, Store};
use damascus_testkit::{TestDb, handlers, scene};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that one call may take; far above what it needs.
const TIMEOUT: Duration = Duration::from_secs(120);
const BINARY: &str = env!("CARGO_BIN_EXE_damascus");

pub(crate) const STORIES: &str = "_bmad-output/implementation-artifacts";
pub(crate) const TRACKING: &str = "_bmad-output/implementation-artifacts/sprint-status.yaml";
pub(crate) const EPICS: &str = "_bmad-output/planning-artifacts/epics.md";

/// Everything that an import may write to, in an order that does not depend on the database.
const TABLES: [(&str, &str); 5] = [
    ("work_items", "id"),
    ("stories", "item_id"),
    ("coordination_gates", "id"),
    ("human_issues", "id"),
    ("events_outbox", "id"),
];

/// How a call ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().expect("not ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The report of an import that must have succeeded.
    pub(crate) fn report(&self) -> Report {
        assert_eq!(self.code, 0, "{self:?}");
        Report(serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}")))
    }
}

/// What `--json` printed.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// `key outcome`, in the order of the report.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        self.stories().map(|one| format!("{} {}", text(&one["key"]), text(&one["outcome"]))).collect()
    }

    /// How many stories ended like this.
    pub(crate) fn count(&self, outcome: &str) -> usize {
        self.stories().filter(|one| one["outcome"] == outcome).count()
    }

    /// Why a story was left alone.
    pub(crate) fn why(&self, key: &str) -> &str {
        text(&self.story(key)["why"])
    }

    pub(crate) fn story(&self, key: &str) -> &Value {
        self.stories().find(|one| one["key"] == key).unwrap_or_else(|| panic!("no {key} in {:?}", self.outcomes()))
    }

    pub(crate) fn gates_created(&self) -> u64 {
        self.0["gates_created"].as_u64().unwrap()
    }

    /// `place: code` of each finding.
    pub(crate) fn findings(&self) -> Vec<String> {
        let findings = self.0["findings"].as_array().unwrap().iter();
        findings.map(|one| format!("{}: {}", text(&one["source"]["path"]), text(&one["code"]))).collect()
    }

    fn stories(&self) -> impl Iterator<Item = &Value> {
        self.0["stories"].as_array().unwrap().iter()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// A database with the project `shop`, a home for the program, and a folder with stories.
pub(crate) struct World {
    pub(crate) db: TestDb,
    home: TempDir,
    folder: TempDir,
}

impl World {
    /// With an empty folder.
    pub(crate) async fn new() -> Self {
        let db = TestDb::new().await;
        db.store().add_project(&scene::project("shop")).await.unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        Self { db, home, folder: tempfile::tempdir().unwrap() }
    }

    /// With a copy of a fixture.
    pub(crate) async fn with_fixture(name: &str) -> Self {
        let world = Self::new().await;
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bmad/tests/fixtures");
        copy(&fixtures.join(name), world.path());
        world
    }

    /// With a version 6 project of one epic, these stories in it and these statuses.
    pub(crate) async fn with_stories(stories: &[&str], statuses: &str) -> Self {
        let world = Self::new().await;
        world.epic(stories, "It has to work.");
        world.write(TRACKING, format!("development_status:\n  epic-1: backlog\n{statuses}"));
        world
    }

    /// Writes the epics: one with these titles, numbered from 1.1, all with this text.
    pub(crate) fn epic(&self, titles: &[&str], body: &str) {
        let mut epics = "## Epic 1: One\n\n".to_owned();
        for (at, title) in titles.iter().enumerate() {
            epics.push_str(&format!("### Story 1.{}: {title}\n\n{body}\n\n", at + 1));
        }
        self.write(EPICS, epics);
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn store(&self) -> &Store {
        self.db.store()
    }

    /// The program, with an environment of its own.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("USER", "dana");
        command.env("DAMASCUS_HOME", self.home.path()).env("DATABASE_URL", self.db.url());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(assert_cmd::Command::from_std(self.program(arguments)).timeout(TIMEOUT).output().unwrap())
    }

    /// The arguments that import the folder.
    pub(crate) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let path = self.path().to_str().unwrap();
        [&["import", "bmad", path, "--project", "shop"], more].concat()
    }

    /// Imports the folder, for people.
    pub(crate) fn import(&self, more: &[&str]) -> Done {
        self.run(&self.arguments(more))
    }

    /// Imports the folder and reads the report.
    pub(crate) fn report(&self, more: &[&str]) -> Report {
        let done = self.import(&[more, &["--json"]].concat());
        assert_eq!(done.stderr, "", "nothing beside the report");
        done.report()
    }

    /// Everything that an import may write to, row by row.
    pub(crate) async fn tables(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for (table, order) in TABLES {
            rows.extend(
                // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
                self.db.texts(&format!("SELECT '{table} ' || t::text FROM {table} t ORDER BY t.{order}")).await,
            );
        }
        rows
    }

    /// `key rank` of all items, in the order in which they would be claimed.
    pub(crate) async fn items(&self) -> Vec<String> {
        self.db.texts(
            // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
            "SELECT s.key || ' ' || w.rank FROM work_items w JOIN stories s ON s.item_id = w.id ORDER BY w.priority, w.rank, w.id",
        )
        .await
    }

    /// `key PHASE <- upstream` or `key PHASE ? question` of all gates, with their state unless it is open.
    pub(crate) async fn gates(&self) -> Vec<String> {
        self.db.texts(
            // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
            "SELECT s.key || ' ' || g.phase || coalesce(' <- ' || u.key, ' ? ' || (g.condition ->> 'question'))
                    || CASE WHEN g.state = 'open' THEN '' ELSE ' ' || g.state END
             FROM coordination_gates g JOIN stories s ON s.item_id = g.item_id LEFT JOIN stories u ON u.item_id = g.upstream_id
             JOIN work_items w ON w.id = g.item_id ORDER BY w.rank, w.id, g.phase::text COLLATE \"C\", u.key COLLATE \"C\"",
        )
        .await
    }

    /// The item that has this key.
    pub(crate) async fn item(&self, key: &str) -> ItemId {
        let project = self.store().resolve_project("shop").await.unwrap();
        let found = self.store().existing_stories(project, &[key.to_owned()]).await.unwrap();
        found.first().unwrap_or_else(|| panic!("no item {key}")).item
    }

    /// `title` and `body` of an item.
    pub(crate) async fn text(&self, key: &str) -> (String, String) {
        let shown = self.store().item(self.item(key).await).await.unwrap();
        (shown.item.title, shown.story.body)
    }

    /// Claims everything that can be claimed.
    pub(crate) async fn claim(&self) -> Vec<ItemId> {
        let registration = Registration {
            name: "worker".to_owned(),
            host: "build-01".to_owned(),
            pid: 4711,
            version: "0.1.0".to_owned(),
            concurrency: 4,
        };
        let worker = self.store().register_worker(&registration).await.unwrap();
        let request = ClaimRequest { worker, phases: vec![WorkPhase::Spec], max: 100, lease: scene::LONG };
        self.store().claim(&request).await.unwrap().iter().map(|lease| lease.item).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Passes every phase of an item, as a worker does.
pub(crate) async fn merge(world: &World, key: &str) {
    let item = world.item(key).await;
    let registration = Registration {
        name: "worker".to_owned(),
        host: "build-01".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        concurrency: 4,
    };
    let worker = world.store().register_worker(&registration).await.unwrap();
    let request = ClaimRequest { worker, phases: scene::PHASES.to_vec(), max: 1, lease: scene::LONG };
    let none = ClaimRequest { max: 0, ..request.clone() };
    while world.store().item(item).await.unwrap().item.phase != Phase::Merged {
        for lease in world.store().claim(&request).await.unwrap() {
            let report = RunReport { outcome: Outcome::Pass(handlers::proof(lease.phase)), costs: Vec::new() };
            world.store().finish_and_claim(&[Move::from_report(&lease, report, 0.5).unwrap()], &none).await.unwrap();
        }
    }
}

//! A whole loop for tests: a real database, a real bare repository, the real sandbox, the local forge, and workers; only what a model and an
//! agent say is made up.
//!
//! The project's own test runner is a shell script that writes the Test Anything Protocol: each `tests/*.sh` is one test, which passes when it
//! ends with 0. It starts in milliseconds, so that a test can afford hundreds of runs.
//!
//! Invariant: everything that a scene makes lies in its folder, and is gone with it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use damascus_adapters::clock::SystemClock;
use damascus_adapters::forge::local::LocalForge;
use damascus_core::{CommitId, CostEntry, ItemId, MicroUsd, ProjectId};
use damascus_engine::phases::{self, Workshop, WorkshopParts};
use damascus_engine::ports::agent::Agent;
use damascus_engine::ports::forge::Forge;
use damascus_engine::ports::model::{Model, ModelAnswer, ModelError, ModelRequest};
use damascus_engine::ports::{Effects, Unheard};
use damascus_engine::{Mode, Worker, WorkerSettings};
use damascus_git::{Expect, Git, Mirror, Pushed, Remote, Snapshot, SnapshotLimits};
use damascus_sandbox::{Options, Sandbox};
use damascus_store::Store;
use damascus_store::item::NewItem;
use damascus_store::project::{ForgeKind, NewProject};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::{TestDb, ports, scene};

/// The rules of a scene's project.
pub const RULES: &str = "[test]\ncommand = [\"sh\", \"run-tests.sh\"]\nreport = \"tap\"\ntimeout_s = 60\n";
/// The project's test runner.
pub const RUNNER: &str = "n=0; bad=0\nfor t in tests/*.sh; do\n  [ -e \"$t\" ] || continue\n  n=$((n+1))\n  if sh \"$t\"; then \
                          echo \"ok $n - $t\"; else echo \"not ok $n - $t\"; bad=1; fi\ndone\necho \"1..$n\"\nexit $bad\n";
/// The tree without any file, as git knows it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
/// A scene's first commit is dated like this.
const FIRST_COMMIT_AT: i64 = 1_767_225_600;

/// A model that answers each story's question with what the test says; a story's answers come in order, the last one repeats.
#[derive(Debug, Default)]
pub struct SpecWriter {
    answers: Mutex<HashMap<String, Vec<String>>>,
    failures: Mutex<HashMap<String, ModelError>>,
    asked: Mutex<Vec<ModelRequest>>,
}

impl SpecWriter {
    /// What it will answer for a story, in order.
    pub fn answers(&self, key: &str, answers: impl IntoIterator<Item = Value>) {
        let texts = answers.into_iter().map(|one| match one {
            Value::String(text) => text,
            other => other.to_string(),
        });
        self.answers.lock().expect("no test panics while it holds this").insert(key.to_owned(), texts.collect());
    }

    /// It fails for a story, until it is told otherwise.
    pub fn fails(&self, key: &str, with: Option<ModelError>) {
        let mut failures = self.failures.lock().expect("no test panics while it holds this");
        match with {
            Some(error) => failures.insert(key.to_owned(), error),
            None => failures.remove(key),
        };
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<ModelRequest> {
        self.asked.lock().expect("no test panics while it holds this").clone()
    }
}

#[async_trait]
impl Model for SpecWriter {
    fn describe(&self) -> String {
        "a made-up model".to_owned()
    }

    async fn ask(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        self.asked.lock().expect("no test panics while it holds this").push(request.clone());
        let (key, count) = &request.tag;
        if let Some(error) = self.failures.lock().expect("no test panics while it holds this").get(key) {
            return Err(error.clone());
        }
        let answers = self.answers.lock().expect("no test panics while it holds this");
        let known = answers.get(key).filter(|known| !known.is_empty());
        let known = known.ok_or_else(|| ModelError::Refused(format!("nobody said what to answer for {key}")))?;
        let text = known[usize::try_from(*count).unwrap_or(usize::MAX).min(known.len() - 1)].clone();
        let cost = CostEntry {
            provider: "made-up".to_owned(),
            model: "made-up".to_owned(),
            tokens_in: 100,
            tokens_out: 10,
            tokens_cached: 0,
            amount: MicroUsd(1_000),
            estimated: false,
        };
        Ok(ModelAnswer { text, cost })
    }
}

/// A spec that lets a change touch `allow` and asks for a new test file.
#[must_use]
pub fn spec(allow: &[&str], new_test: &str) -> Value {
    json!({
        "goal": "It works.", "kind": "feature", "non_goals": ["Anything else"],
        "acceptance": [{ "id": "AC1", "given": "a start", "when": "it is run", "then": "it works", "tests": [new_test] }],
        "files": { "allow": allow, "create": [], "forbid": [] },
        "tests": { "command": [], "cwd": "", "timeout_s": 0, "new_files": [new_test], "must_fail_on_base": true },
        "tasks": [{ "id": "T1", "path": new_test, "action": "Make it work", "acceptance": ["AC1"] }],
        "contracts": { "consumes": [], "publishes": [] }, "ambiguities": [], "risk": "None."
    })
}

/// What a scene begins with.
pub struct Beginning {
    /// The files of the first commit, by their paths; `run-tests.sh` and `.damascus.toml` are there unless they are given.
    pub files: Vec<(String, Vec<u8>)>,
    /// The project, without its repository.
    pub project: NewProject,
    /// Who hears of effects.
    pub effects: Arc<dyn Effects>,
}

impl Default for Beginning {
    fn default() -> Self {
        let mut project = NewProject::new("demo", ForgeKind::Local, "/nowhere");
        project.backoff.base_ms = 1;
        project.backoff.cap_ms = 1;
        Self {
            files: vec![
                (".damascus.toml".to_owned(), RULES.into()),
                ("run-tests.sh".to_owned(), RUNNER.into()),
                ("tests/base.sh".to_owned(), b"test -e app.txt\n".to_vec()),
                ("app.txt".to_owned(), b"one\n".to_vec()),
            ],
            project,
            effects: Arc::new(Unheard),
        }
    }
}

impl Beginning {
    /// With a file, in place of one of that name.
    #[must_use]
    pub fn with(mut self, path: &str, content: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.into()));
        self
    }

    /// Without a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self
    }
}

/// A project with its loop.
pub struct LoopScene {
    /// The database.
    pub db: TestDb,
    /// The folder that holds everything; removed with the scene.
    pub folder: TempDir,
    /// The bare repository.
    pub repository: PathBuf,
    /// The first commit.
    pub first: CommitId,
    /// The project.
    pub project: ProjectId,
    /// The model.
    pub model: Arc<SpecWriter>,
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The tools.
    pub workshop: Arc<Workshop>,
}

impl LoopScene {
    /// A scene whose agent is made from the sandbox.
    pub async fn new(agent: impl FnOnce(&Sandbox) -> Arc<dyn Agent>) -> Self {
        Self::begin(Beginning::default(), agent).await
    }

    /// A scene with a beginning of the test's own.
    pub async fn begin(beginning: Beginning, agent: impl FnOnce(&Sandbox) -> Arc<dyn Agent>) -> Self {
        Self::begin_on(TestDb::new().await, open_folder(), beginning, agent).await
    }

    /// A scene on a given database, in a given folder: one of [`open_folder`], whose `home` the test may have prepared.
    pub async fn begin_on(
        db: TestDb,
        folder: TempDir,
        beginning: Beginning,
        agent: impl FnOnce(&Sandbox) -> Arc<dyn Agent>,
    ) -> Self {
        let repository = folder.path().join("repository.git");
        let source = folder.path().join("source");
        for (path, content) in &beginning.files {
            let file = source.join(path);
            std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder of the project");
            std::fs::write(file, content).expect("a file of the project");
        }
        let git = Git::find().await.expect("git is installed");
        let first = commit_all(&git, &source, &repository).await;
        let sandbox = sandbox(folder.path()).await;
        let new = NewProject { repo: repository.display().to_string(), ..beginning.project };
        let project = db.store().add_project(&new).await.expect("the project is new");
        let model = Arc::new(SpecWriter::default());
        let agent = agent(&sandbox);
        let workshop =
            workshop(db.store(), folder.path(), &sandbox, agent, Arc::clone(&model) as _, beginning.effects).await;
        Self { db, folder, repository, first, project, model, sandbox, workshop }
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        self.db.store()
    }

    /// A new story whose spec lets it touch `allow`, with a test of its own.
    pub async fn story(&self, key: &str, allow: &[&str], new_test: &str) -> ItemId {
        self.model.answers(key, [spec(allow, new_test)]);
        self.item(&scene::story(key)).await
    }

    /// A new item.
    pub async fn item(&self, new: &NewItem) -> ItemId {
        self.store().create_item(self.project, new).await.expect("the item is new").item
    }

    /// A worker that works until nothing is left to do.
    pub async fn run_until_idle(&self, concurrency: usize) {
        let id = self.store().register_worker(&scene::registration("worker")).await.expect("a worker registers");
        let settings = WorkerSettings { concurrency, ..WorkerSettings::default() };
        let worker = Worker::new(
            id,
            self.store().clone(),
            phases::handlers(&self.workshop),
            ports::listening(self.store()),
            settings,
        );
        worker.run(Mode::UntilIdle, CancellationToken::new()).await.expect("the worker ends in order");
    }

    /// Where the item stands, as one word and an explanation.
    pub async fn stands(&self, item: ItemId) -> (String, String) {
        let detail = self.store().item(item).await.expect("the item is there");
        (detail.item.phase.to_string(), detail.item.standing.explain())
    }

    /// The verdicts of an item's runs so far, oldest first, as `phase:verdict`, with what was told of each.
    pub async fn verdicts(&self, item: ItemId) -> Vec<(String, String)> {
        let detail = self.store().item(item).await.expect("the item is there");
        let runs = detail.runs.iter().rev();
        runs.map(|run| {
            let verdict = run.verdict.map_or_else(|| run.ended.clone(), |verdict| verdict.to_string());
            (format!("{}:{verdict}", run.phase), run.detail.clone().unwrap_or_default())
        })
        .collect()
    }

    /// A mirror of the repository, brought up to date, for looking.
    pub async fn look(&self) -> Mirror {
        let git = Git::find().await.expect("git is installed");
        let dir = self.folder.path().join("look.git");
        let mirror = Mirror::open(git, dir, Remote::Local(self.repository.clone())).await.expect("a mirror");
        mirror.fetch().await.expect("the repository answers");
        mirror
    }
}

/// A temporary folder that the users to whom root steps down can get through.
#[must_use]
pub fn open_folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("damascus-loop-").tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).expect("our own folder");
    folder
}

/// The real sandbox; a machine without one fails the test.
pub async fn sandbox(folder: &Path) -> Sandbox {
    let options = Options { scratch: folder.join("scratch"), ..Options::default() };
    Sandbox::detect(&options).await.unwrap_or_else(|missing| panic!("{missing}"))
}

/// The tools of a process: home, forge, agent and model.
pub async fn workshop(
    store: &Store,
    folder: &Path,
    sandbox: &Sandbox,
    agent: Arc<dyn Agent>,
    model: Arc<dyn Model>,
    effects: Arc<dyn Effects>,
) -> Arc<Workshop> {
    let git = Git::find().await.expect("git is installed");
    let forge: Arc<dyn Forge> = Arc::new(LocalForge::new(store.clone(), git.clone(), folder.join("home/repos")));
    let name = agent.name().to_owned();
    Workshop::open(WorkshopParts {
        store: store.clone(),
        git,
        sandbox: sandbox.clone(),
        forges: HashMap::from([(ForgeKind::Local, forge)]),
        agents: BTreeMap::from([(name.clone(), agent)]),
        default_agent: name,
        model,
        clock: Arc::new(SystemClock),
        effects,
        home: folder.join("home"),
    })
    .expect("the folders of a workshop")
}

/// Makes a bare repository with the files of a folder as the first commit of `main`.
pub async fn commit_all(git: &Git, source: &Path, repository: &Path) -> CommitId {
    let remote = Remote::Local(repository.to_owned());
    let bare = Mirror::open(git.clone(), repository.to_owned(), remote).await.expect("a bare repository");
    let empty: CommitId = EMPTY_TREE.parse().expect("a name of a tree");
    let nothing = bare.commit(&empty, &[], "Nothing yet\n", FIRST_COMMIT_AT).await.expect("a commit");
    let taken = bare.snapshot(source, &nothing, SnapshotLimits::default()).await.expect("a snapshot");
    let Snapshot::Tree(tree) = taken else { panic!("{taken:?}") };
    let first = bare.commit(&tree, &[], "Begin\n", FIRST_COMMIT_AT).await.expect("a commit");
    let pushed = bare.push(&first, "main", Expect::Absent).await.expect("a push");
    assert_eq!(pushed, Pushed::Done);
    first
}

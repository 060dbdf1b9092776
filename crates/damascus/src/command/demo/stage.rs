//! What the demo needs: a home of its own, a Postgres in it, a bare repository with the example, its stories.
//!
//! Invariant: nothing outside its own folder is written, and what it started is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use damascus_adapters::agent::{Recordings, ReplayAgent, ReplayModel};
use damascus_core::{CommitId, ProjectId};
use damascus_engine::phases::Workshop;
use damascus_engine::ports::agent::Agent;
use damascus_git::{Expect, Git, Mirror, Pushed, Remote, Snapshot, SnapshotLimits};
use damascus_store::project::{ForgeKind, NewProject};
use damascus_store::{Store, migrate};
use include_dir::{Dir, include_dir};
use tokio::time::Instant;

use super::clock;
use crate::command::import;
use crate::config::Config;
use crate::context::Context;
use crate::database::{Database, Server};
use crate::failure::Problem;
use crate::{service, workshop};

/// The example project and the recorded answers to it.
static PROJECT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../examples/bookshelf/project");
static RECORDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../examples/bookshelf/recorded");
/// Its name.
pub(super) const NAME: &str = "bookshelf";
/// The example's first commit is dated like this, so that every demo begins with the same one: 2026-01-01.
const FIRST_COMMIT_AT: i64 = 1_767_225_600;
/// The tree without any file, as git knows it.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// The demo's surroundings.
pub(super) struct Stage {
    /// Removed when dropped, unless it is kept.
    folder: Folder,
    pub(super) config: Config,
    pub(super) database: Database,
    pub(super) workshop: Arc<Workshop>,
    pub(super) project: ProjectId,
}

enum Folder {
    Temporary(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

impl Stage {
    /// Sets everything up, telling each step.
    pub(super) async fn set_up(context: &Context, keep: Option<&Path>, began: Instant) -> Result<Self> {
        let told = |what: &str| context.out.tell(format_args!("{}  {what}", clock(began)));
        let folder = folder(keep)?;
        let mut config = context.config()?.clone();
        config.home = folder.path().join("home");
        config.database_url = None;
        config.agent.name = "replay".to_owned();
        // Looked at first: without it nothing is run.
        let sandbox = workshop::sandbox(&config).await?;
        told(&format!("sandbox: {}", describe(sandbox.isolation())))?;
        let server = Server::find(&config, true).await?;
        migrate::bring_up_to_date(&server.options).await?;
        server.release().await;
        let database = Database::open(&config, service::CONNECTIONS).await?;
        told("database: a Postgres of its own")?;
        let repository = folder.path().join("bookshelf.git");
        let source = folder.path().join("bookshelf");
        let first = repository_of(&source, &repository).await?;
        told(&format!("repository: {} at {}", repository.display(), &first.as_str()[..12]))?;
        let new = NewProject {
            agent_lane: "agent:replay".to_owned(),
            provider_lane: "provider:recorded".to_owned(),
            ..NewProject::new(NAME, ForgeKind::Local, &repository.display().to_string())
        };
        let project = database.store.add_project(&new).await?;
        let taken = import::take_in(&database.store, project, &source, false).await?;
        told(&format!("stories: {taken} taken in from the project's BMAD files"))?;
        let recordings = Arc::new(recordings()?);
        let agent: Arc<dyn Agent> = Arc::new(ReplayAgent::new(Arc::clone(&recordings)));
        let agents = BTreeMap::from([(agent.name().to_owned(), agent)]);
        let model = Arc::new(ReplayModel::new(recordings));
        let workshop = workshop::open_with(&config, &database.store, sandbox, agents, model).await?;
        Ok(Self { folder, config, database, workshop, project })
    }

    pub(super) fn store(&self) -> &Store {
        &self.database.store
    }

    /// Where it is kept, if it is.
    pub(super) fn kept(&self) -> Option<&Path> {
        match &self.folder {
            Folder::Temporary(_) => None,
            Folder::Kept(path) => Some(path),
        }
    }

    /// Stops what was started and removes what is not kept.
    pub(super) async fn take_down(self, context: &Context) {
        let Self { folder, database, workshop, .. } = self;
        drop(workshop);
        database.close().await;
        if let Folder::Temporary(folder) = folder
            && let Err(error) = folder.close()
        {
            context.out.note(format_args!("the demo's folder could not be removed: {error}"));
        }
    }
}

fn describe(isolation: &damascus_sandbox::Isolation) -> String {
    match isolation {
        damascus_sandbox::Isolation::Bubblewrap { version, .. } => format!("bubblewrap {version}"),
        damascus_sandbox::Isolation::None => "none, as DAMASCUS_SANDBOX says".to_owned(),
    }
}

fn folder(keep: Option<&Path>) -> Result<Folder> {
    let unusable = |path: &Path, error: std::io::Error| {
        Problem::failed(
            "no_folder",
            format!("{} can't be made: {error}", path.display()),
            "name a folder with --keep that is not there yet, in one that you can write to",
        )
    };
    match keep {
        Some(path) => {
            let path = std::path::absolute(path).map_err(|error| unusable(path, error))?;
            std::fs::create_dir(&path).map_err(|error| unusable(&path, error))?;
            open_to_pass(&path)?;
            Ok(Folder::Kept(path))
        }
        None => {
            let place = std::env::temp_dir();
            let made = tempfile::Builder::new().prefix("damascus-demo-").tempdir_in(&place);
            let folder = made.map_err(|error| unusable(&place, error))?;
            open_to_pass(folder.path())?;
            Ok(Folder::Temporary(folder))
        }
    }
}

/// When root runs the demo, its Postgres runs as another user, who must get to its folder.
fn open_to_pass(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).context("the demo's folder")?;
    }
    Ok(())
}

fn recordings() -> Result<Recordings> {
    let mut files = Vec::new();
    gather(&RECORDED, &mut files);
    Recordings::from_files(files).context("the recorded answers of the demo")
}

fn gather(dir: &Dir<'_>, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    files.extend(dir.files().map(|file| (file.path().to_owned(), file.contents().to_vec())));
    dir.dirs().for_each(|dir| gather(dir, files));
}

/// Writes the example to a folder, and makes a bare repository with it as the first commit.
async fn repository_of(source: &Path, repository: &Path) -> Result<CommitId> {
    std::fs::create_dir(source).context("the example's folder")?;
    PROJECT.extract(source).context("the example's files")?;
    let git: Git = workshop::git().await?;
    let remote = || Remote::Local(repository.to_owned());
    let bare = Mirror::open(git, repository.to_owned(), remote()).await?;
    let empty: CommitId = EMPTY_TREE.parse()?;
    let nothing = bare.commit(&empty, &[], "Nothing yet\n", FIRST_COMMIT_AT).await?;
    let Snapshot::Tree(tree) = bare.snapshot(source, &nothing, SnapshotLimits::default()).await? else {
        anyhow::bail!("the example holds what can't be committed");
    };
    let first = bare.commit(&tree, &[], "Begin a bookshelf\n", FIRST_COMMIT_AT).await?;
    match bare.push(&first, "main", Expect::Absent).await? {
        Pushed::Done => {}
        other => anyhow::bail!("the example could not be pushed: {other:?}"),
    }
    // What a clone of it checks out.
    std::fs::write(repository.join("HEAD"), "ref: refs/heads/main\n").context("the example's repository")?;
    Ok(first)
}

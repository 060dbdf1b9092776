//! What the phases work with: tools, folders, ports.
//!
//! Invariants: a run works in a folder of its own, which is removed when the run ends; folders that a killed process left are removed by the
//! next one that starts; a mirror is opened once per process and project.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use damascus_core::ProjectId;
use damascus_git::{Git, Mirror, Remote};
use damascus_sandbox::Sandbox;
use damascus_store::Store;
use damascus_store::project::ForgeKind;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Mutex;

use super::Trouble;
use crate::ports::agent::Agent;
use crate::ports::forge::{CloneFrom, Forge, Repository};
use crate::ports::model::Model;
use crate::ports::{Clock, Effects};

/// What must be free on the disk of the home folder before a run makes files there, in bytes: more than what the sandbox leaves free.
const ROOM_MIN_BYTES: u64 = 160 << 20;
/// The most folders of dead processes that one start removes.
const STALE_FOLDERS_MAX: usize = 1_000;

/// What a workshop is made of.
pub struct WorkshopParts {
    /// The database.
    pub store: Store,
    /// The git program.
    pub git: Git,
    /// Where programs run that are not trusted.
    pub sandbox: Sandbox,
    /// The forges, by protocol.
    pub forges: HashMap<ForgeKind, Arc<dyn Forge>>,
    /// The agents, by name.
    pub agents: BTreeMap<String, Arc<dyn Agent>>,
    /// The agent for projects that name none.
    pub default_agent: String,
    /// The model that writes specs.
    pub model: Arc<dyn Model>,
    /// The time of day, for commits.
    pub clock: Arc<dyn Clock>,
    /// Who hears of effects on the outside.
    pub effects: Arc<dyn Effects>,
    /// A folder of Damascus' own, for mirrors and work trees.
    pub home: PathBuf,
}

/// What the phases of one process work with.
pub struct Workshop {
    /// What it is made of.
    pub parts: WorkshopParts,
    own: PathBuf,
    /// Held as long as the process lives; a folder whose lock is free belongs to nobody.
    _lock: std::fs::File,
    folders: AtomicU64,
    mirrors: Mutex<HashMap<ProjectId, Mirror>>,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("home", &self.parts.home).finish_non_exhaustive()
    }
}

impl Workshop {
    /// Sets up the folders, and removes what dead processes left.
    ///
    /// # Errors
    /// When the home folder can't be written.
    pub fn open(parts: WorkshopParts) -> std::io::Result<Arc<Self>> {
        let work = parts.home.join("work");
        std::fs::create_dir_all(&work)?;
        std::fs::create_dir_all(parts.home.join("repos"))?;
        remove_stale(&work);
        let (own, lock) = claim_folder(&work)?;
        Ok(Arc::new(Self { parts, own, _lock: lock, folders: AtomicU64::new(0), mirrors: Mutex::default() }))
    }

    /// The mirror of a project, brought up to date.
    pub(crate) async fn mirror(&self, project: &ProjectRef) -> Result<Mirror, Trouble> {
        let mirror = self.mirror_unfetched(project).await?;
        self.effect("fetch", mirror.fetch()).await?;
        Ok(mirror)
    }

    /// The mirror of a project as it is.
    pub(crate) async fn mirror_unfetched(&self, project: &ProjectRef) -> Result<Mirror, Trouble> {
        let mut mirrors = self.mirrors.lock().await;
        if let Some(mirror) = mirrors.get(&project.id) {
            return Ok(mirror.clone());
        }
        let forge = self.forge(project.forge)?;
        let CloneFrom::Path(path) = forge.clone_source(&project.repository());
        self.room()?;
        let dir = self.parts.home.join("repos").join(format!("{}.git", project.id.0));
        let opening = Mirror::open(self.parts.git.clone(), dir, Remote::Local(path)).await;
        let mirror = opening.map_err(|error| match error.retryable() {
            true => Trouble::from(error),
            false => Trouble::person(format_args!(
                "The repository {} can't be used: {}\nPut it right, then answer.",
                project.repo,
                super::trouble::chain(&error)
            )),
        })?;
        mirrors.insert(project.id, mirror.clone());
        Ok(mirror)
    }

    /// Makes an effect on the outside, telling who listens.
    pub(crate) async fn effect<T>(&self, name: &'static str, effect: impl Future<Output = T>) -> T {
        self.parts.effects.before(name);
        let done = effect.await;
        self.parts.effects.after(name);
        done
    }

    /// The forge of a protocol.
    pub(crate) fn forge(&self, kind: ForgeKind) -> Result<&Arc<dyn Forge>, Trouble> {
        self.parts
            .forges
            .get(&kind)
            .ok_or_else(|| Trouble::person(format_args!("This version of Damascus can't talk to {kind} yet.")))
    }

    /// The agent of this name.
    pub(crate) fn agent(&self, name: Option<&str>) -> Result<&Arc<dyn Agent>, Trouble> {
        let name = name.unwrap_or(&self.parts.default_agent);
        self.parts.agents.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.parts.agents.keys().map(String::as_str).collect();
            let name = damascus_core::display::one_line(name, 60);
            Trouble::surroundings(format_args!(
                "there is no agent \"{name}\" here; [agent] name in .damascus.toml can be one of: {}",
                known.join(", ")
            ))
        })
    }

    /// Fails while the disk is too full to begin anything on it: what then fails half-way could not be told from a failure of the work.
    fn room(&self) -> Result<(), Trouble> {
        let disk = rustix::fs::statvfs(&self.parts.home).map_err(std::io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= ROOM_MIN_BYTES {
            return Ok(());
        }
        Err(Trouble::surroundings(format_args!(
            "the disk is full: {} MiB are free at {}, and {} MiB are needed. Free some space; it is tried again",
            free >> 20,
            self.parts.home.display(),
            ROOM_MIN_BYTES >> 20
        )))
    }

    /// A new, empty folder for one run.
    pub(crate) fn folder(&self) -> Result<WorkFolder, Trouble> {
        self.room()?;
        let number = self.folders.fetch_add(1, Ordering::Relaxed);
        let path = self.own.join(number.to_string());
        std::fs::create_dir(&path)?;
        Ok(WorkFolder(path))
    }
}

/// What of a project the phases need to reach its repository.
#[derive(Debug, Clone)]
pub(crate) struct ProjectRef {
    pub(crate) id: ProjectId,
    pub(crate) forge: ForgeKind,
    pub(crate) repo: String,
    pub(crate) forge_repo_id: Option<i64>,
    pub(crate) base_branch: String,
}

impl ProjectRef {
    pub(crate) fn repository(&self) -> Repository {
        Repository { project: self.id, path: self.repo.clone(), forge_id: self.forge_repo_id }
    }
}

/// A folder of one run; removed when dropped.
#[derive(Debug)]
pub struct WorkFolder(PathBuf);

impl WorkFolder {
    /// A new, empty folder inside, by name.
    ///
    /// # Errors
    /// When it is there already or can't be made.
    pub fn sub(&self, name: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // A tree may be large: it is moved out of the way at once and removed beside the work. A process that dies meanwhile leaves it to
        // the next start.
        let doomed = self.0.with_extension("doomed");
        let path = if std::fs::rename(&self.0, &doomed).is_ok() { doomed } else { self.0.clone() };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn_blocking(move || remove(&path));
            }
            Err(_) => remove(&path),
        }
    }
}

/// Removes a folder that is ours, whatever its inside says; never follows a symlink.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        // An agent may have taken away its folders' permissions.
        open_up(path);
        if let Err(error) = std::fs::remove_dir_all(path) {
            tracing::warn!(%error, folder = %path.display(), "a work folder could not be removed");
        }
    }
}

/// Gives the owner back the right to look into and change the folders below, without following symlinks.
fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let real = std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir());
        if !real || std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).is_err() {
            continue;
        }
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        folders.extend(
            entries.flatten().filter(|one| one.file_type().is_ok_and(|kind| kind.is_dir())).map(|one| one.path()),
        );
    }
}

/// Locks a name for this process, then makes the folder of that name: a folder without a held lock belongs to nobody.
fn claim_folder(work: &Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    for attempt in 0..STALE_FOLDERS_MAX {
        let own = work.join(format!("{}-{attempt}", std::process::id()));
        let Some(file) = lock(&lock_of(&own))?.filter(|_| !own.exists()) else { continue };
        std::fs::create_dir(&own)?;
        return Ok((own, file));
    }
    Err(std::io::Error::other(format!("{} is full of folders that are in use", work.display())))
}

fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Locks a file, which is made if it is not there. None when somebody else holds it, or has removed it meanwhile.
fn lock(path: &Path) -> std::io::Result<Option<std::fs::File>> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(None);
    }
    // A lock on a file that no longer has its name keeps nobody out.
    let held = file.metadata()?;
    let named =
        std::fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino()));
    Ok(named.then_some(file))
}

/// Removes the folders of processes that are gone, those whose lock is free, and then their locks.
fn remove_stale(work: &Path) {
    let Ok(entries) = std::fs::read_dir(work) else { return };
    let names: BTreeSet<PathBuf> =
        entries.flatten().take(STALE_FOLDERS_MAX).map(|entry| entry.path().with_extension("")).collect();
    for folder in names {
        let path = lock_of(&folder);
        let Ok(Some(_held)) = lock(&path) else { continue };
        if folder.exists() {
            tracing::info!(folder = %folder.display(), "removing the work folder of a process that is gone");
            remove(&folder);
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, lock = %path.display(), "the lock of a work folder could not be removed");
        }
    }
}

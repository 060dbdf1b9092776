//! The sandbox as its callers see it: detected once, then running jobs.
//!
//! Two ways, by who Damascus is:
//! - An ordinary user: one bubblewrap in a user namespace of its own, in which no further one can be made.
//! - Root: an outer bubblewrap builds the view with root's rights (toolchains may lie below a home that only root may enter), then steps
//!   down to a user id that only this run has, without any capability, and an inner bubblewrap shuts the door to user namespaces.
//!
//! Invariant: a program of a job never has root's id, nor any capability, on the host or inside.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Ended, Exit, Job, SandboxError, Sink, Stopped,
    handover::Held,
    job::{Access, HOME},
    launch::{ARGUMENTS_FD, INNER_ARGUMENTS_FD, Launch, Programs, STATUS_FD, STUBS_FD},
    probe,
    supervise::{Loose, Running},
    toolchains::Toolchains,
    user::Users,
    view::{self, Arguments, Scene, UID_INSIDE},
    watch::{Watched, free_bytes, is_filled},
};

/// What the operator says about the sandbox.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More directories of the host that are visible inside, read-only, at the same path; a `bin` in one of them comes first in `PATH`.
    pub toolchains: Vec<PathBuf>,
    /// A directory of Damascus' own, for what runs without isolation need; made when it is missing.
    pub scratch: PathBuf,
    /// Directories that are never visible inside, wherever they lie: Damascus' own home above all.
    pub hidden: Vec<PathBuf>,
}

/// How programs are kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// Each run has its own bubblewrap.
    Bubblewrap {
        /// As bwrap says it: `0.8.0`.
        version: String,
        /// Guards that are not to be had here, one sentence each; the walls hold without them.
        missing: Vec<String>,
    },
    /// Nothing keeps them apart: the operator's explicit choice.
    None,
}

/// Why bubblewrap can't work here, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {fix}")]
pub struct Missing {
    /// What was seen.
    pub reason: String,
    /// What the operator can do about it.
    pub fix: String,
}

/// How programs are kept apart. Detected once at the start of a process; a copy is cheap.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    isolation: Isolation,
    programs: Programs,
    toolchains: Toolchains,
    hidden: Vec<PathBuf>,
    scratch: PathBuf,
    /// Where Damascus is root: the users that it steps down to.
    users: Option<Users>,
}

/// How long a run waits for another one to hand a directory back.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Between two tries.
const BUSY_AGAIN: Duration = Duration::from_millis(20);

/// Words, and bytes of all words, of one program's arguments.
const ARGV_WORDS_MAX: usize = 4096;
const ARGV_BYTES_MAX: usize = 1024 * 1024;

/// A job's mounts with their hosts resolved: the host, the path inside, and the access.
type Mounts = Vec<(PathBuf, PathBuf, Access)>;

impl Sandbox {
    /// Finds bwrap, and proves by running it that it isolates here.
    ///
    /// # Errors
    /// [`Missing`] says what stands in the way, with the operator's next step.
    pub async fn detect(options: &Options) -> Result<Sandbox, Missing> {
        let programs = probe::programs()?;
        let version = probe::version(&programs.bwrap).await?;
        let missing = probe::missing_guards();
        let sandbox =
            Sandbox::build(options, Isolation::Bubblewrap { version, missing }, programs).map_err(|error| Missing {
                reason: format!("the folder with the locks of the runs' users can't be made: {error}"),
                fix: "make /run writable for root, or give Damascus a home it can write to".to_owned(),
            })?;
        probe::trial(&sandbox).await?;
        Ok(sandbox)
    }

    /// Runs without isolation: only where an operator set the flag. Limits and the stepping down from root still hold, as does the end of
    /// the program's process group (as root: of all processes of the run's user). There is no [`WORK`](crate::WORK) then: where the job's
    /// directory, or the whole value of a variable, is a mount's path inside or below it, the host's path takes its place; arguments are
    /// passed on as they are. A read-only mount is not read-only, the network is the host's, and a process that left its group outlives
    /// the run of an ordinary user.
    #[must_use]
    pub fn none(options: &Options) -> Sandbox {
        let programs = probe::programs_or_usual();
        let rootless = || Inner {
            isolation: Isolation::None,
            programs: programs.clone(),
            toolchains: find_toolchains(options),
            hidden: Vec::new(),
            scratch: options.scratch.clone(),
            users: None,
        };
        Sandbox::build(options, Isolation::None, programs.clone()).unwrap_or_else(|_| Sandbox(Arc::new(rootless())))
    }

    fn build(options: &Options, isolation: Isolation, programs: Programs) -> std::io::Result<Sandbox> {
        let root = rustix::process::geteuid().is_root();
        let users = if root { Some(Users::new(&options.scratch)?) } else { None };
        let mut hidden = options.hidden.clone();
        hidden.extend((!options.scratch.as_os_str().is_empty()).then(|| options.scratch.clone()));
        let hidden = hidden.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let toolchains = find_toolchains(options);
        Ok(Sandbox(Arc::new(Inner {
            isolation,
            programs,
            toolchains,
            hidden,
            scratch: options.scratch.clone(),
            users,
        })))
    }

    /// How programs are kept apart here.
    #[must_use]
    pub fn isolation(&self) -> &Isolation {
        &self.0.isolation
    }

    /// Runs `job` to its end; `sink` gets what it prints as it comes. Directories that are mounted read-write are given to the run's user
    /// before, and taken back after. When this returns (or its future is dropped, or `cancelled` fires) no process of the job is left, and
    /// none outlives Damascus itself. A run that is stopped is killed, without a word before.
    ///
    /// # Errors
    /// The job is malformed, its directory is in use, or the sandbox could not be put up or taken down. How the program ended is no error.
    pub async fn run(
        &self,
        job: &Job,
        sink: &mut dyn Sink,
        cancelled: &CancellationToken,
    ) -> Result<Ended, SandboxError> {
        check(job)?;
        let mounts = view::resolve(job)?;
        let home = self.home_of_its_own()?;
        let held = self.hold(&mounts, home.as_ref().map(tempfile::TempDir::path)).await?;
        let began = Instant::now();
        let launch = match &home {
            None => self.inside(job, &mounts, held.uid()),
            Some(home) => self.outside(job, &mounts, held.uid(), home.path()),
        };
        let started = tokio::select! {
            biased;
            () = cancelled.cancelled() => None,
            started = launch.start() => Some(started?),
        };
        let mut ended =
            Ended { exit: Exit::Signal(9), stopped: Some(Stopped::Cancelled), output_bytes: 0, wall: Duration::ZERO };
        if let Some(started) = started {
            let running = Running::new(started, home.is_some().then(|| Loose { uid: held.uid() }));
            let trees = held.paths();
            let free_at_start = free_bytes(&trees);
            let watched = Watched {
                root: running.pid(),
                free_at_start,
                trees: trees.clone(),
                limits: job.limits,
                own_scratch: home.is_none(),
            };
            let followed = running.follow(&job.limits, watched, sink, cancelled, began).await?;
            ended.exit = followed.exit;
            ended.stopped = followed.stopped;
            ended.output_bytes = followed.output_bytes;
            // A program may have met the full disk before the watchdog did.
            if ended.stopped.is_none() && ended.exit != Exit::Code(0) && is_filled(&trees, free_at_start) {
                ended.stopped = Some(Stopped::DiskFull);
            }
        }
        ended.wall = began.elapsed();
        if blocking(move || held.give_back()).await? {
            ended.stopped = ended.stopped.or(Some(Stopped::Disk));
        }
        Ok(ended)
    }

    /// Locks the directories that are written to and gives them to a user of the run's own.
    async fn hold(&self, mounts: &Mounts, home: Option<&Path>) -> Result<Held, SandboxError> {
        let mut paths: Vec<PathBuf> =
            mounts.iter().filter(|mount| mount.2 == Access::ReadWrite).map(|mount| mount.0.clone()).collect();
        paths.extend(home.map(Path::to_owned));
        paths.sort();
        paths.dedup();
        let until = Instant::now() + BUSY_MAX;
        let held = loop {
            match Held::lock(&paths) {
                Err(SandboxError::Busy { .. }) if Instant::now() < until => tokio::time::sleep(BUSY_AGAIN).await,
                other => break other?,
            }
        };
        let lent = self.0.users.as_ref().map(Users::lend).transpose()?;
        blocking(move || held.give_to(lent)).await
    }

    /// Without isolation: a home directory on the host's disk, removed after the run.
    fn home_of_its_own(&self) -> Result<Option<tempfile::TempDir>, SandboxError> {
        if self.0.isolation != Isolation::None {
            return Ok(None);
        }
        let shared = std::env::temp_dir();
        // The run's user could not enter what is below root's own directories.
        let base =
            if self.0.users.is_some() || self.0.scratch.as_os_str().is_empty() { &shared } else { &self.0.scratch };
        let made = std::fs::create_dir_all(base)
            .and_then(|()| tempfile::Builder::new().prefix("damascus-run-").tempdir_in(base));
        made.map(Some).map_err(SandboxError::io(format!("make a home directory for the run in {}", base.display())))
    }

    /// The run in bubblewrap.
    fn inside(&self, job: &Job, mounts: &Mounts, uid: Option<u32>) -> Launch {
        let programs = &self.0.programs;
        let scene = Scene { toolchains: &self.0.toolchains, hidden: &self.0.hidden, mounts, stubs_from: STUBS_FD };
        let mut outer = view::arguments(job, &scene);
        outer.add(["--json-status-fd", &STATUS_FD.to_string()]);
        let mut last = Arguments::default();
        last.add(["--unshare-user", "--disable-userns", "--uid", UID_INSIDE, "--gid", UID_INSIDE]);
        for (name, value) in self.environment(job) {
            last.add(["--setenv", &name, &value]);
        }
        last.add(["--chdir".as_ref(), job.directory.as_os_str()]);

        let mut data: Vec<(i32, Vec<u8>)> = Vec::new();
        let mut command: Vec<OsString> =
            words([programs.bwrap.as_os_str(), "--args".as_ref(), ARGUMENTS_FD.to_string().as_ref(), "--".as_ref()]);
        if let Some(uid) = uid {
            outer.add([
                "--cap-add",
                "CAP_SETUID",
                "--cap-add",
                "CAP_SETGID",
                "--cap-add",
                "CAP_SETPCAP",
                "--chdir",
                "/",
            ]);
            let uid = uid.to_string();
            command.push(programs.setpriv.clone().into());
            command.extend(words([
                "--reuid",
                &uid,
                "--regid",
                &uid,
                "--clear-groups",
                "--bounding-set=-all",
                "--inh-caps=-all",
            ]));
            command.extend(words(["--no-new-privs", "--"]));
            command.push(programs.bwrap.clone().into());
            command.extend(words(["--args", &INNER_ARGUMENTS_FD.to_string(), "--"]));
            let mut inner = Arguments::default();
            inner.add(["--die-with-parent", "--dev-bind", "/", "/"]);
            inner.append(&last);
            data.push((INNER_ARGUMENTS_FD, inner.into_bytes()));
        } else {
            outer.append(&last);
        }
        data.push((ARGUMENTS_FD, outer.into_bytes()));
        data.extend(
            (STUBS_FD..).zip(view::stubs(job.network)).map(|(descriptor, text)| (descriptor, text.as_bytes().to_vec())),
        );
        command.extend(programs.limited(&job.limits, true));
        command.extend(job.argv.iter().map(OsString::from));
        Launch {
            command,
            environment: Vec::new(),
            directory: PathBuf::from("/"),
            uid: None,
            data,
            input: job.input.clone(),
            says_pid: true,
        }
    }

    /// The run without isolation.
    fn outside(&self, job: &Job, mounts: &Mounts, uid: Option<u32>, home: &Path) -> Launch {
        let programs = &self.0.programs;
        let on_host = |path: &Path| -> PathBuf {
            let shown = mounts.iter().map(|(host, inside, _)| (host.as_path(), inside.as_path()));
            let all = shown.chain([(home, Path::new(HOME)), (home, Path::new("/tmp"))]);
            let found = all.filter_map(|(host, inside)| Some((host, path.strip_prefix(inside).ok()?))).next();
            found.map_or_else(
                || path.to_owned(),
                |(host, rest)| if rest.as_os_str().is_empty() { host.to_owned() } else { host.join(rest) },
            )
        };
        let environment = self.environment(job).into_iter();
        let environment = environment
            .map(|(name, value)| (name, on_host(Path::new(&value)).to_string_lossy().into_owned()))
            .collect();
        let mut command = words([programs.setsid.as_os_str(), programs.setpriv.as_os_str()]);
        command.extend(words(["--pdeathsig", "KILL", "--no-new-privs", "--"]));
        // An ordinary user's processes are counted together with all others that the user has: no limit for one run.
        command.extend(programs.limited(&job.limits, uid.is_some()));
        command.extend(job.argv.iter().map(OsString::from));
        Launch {
            command,
            environment,
            directory: on_host(&job.directory),
            uid,
            data: Vec::new(),
            input: job.input.clone(),
            says_pid: false,
        }
    }

    fn environment(&self, job: &Job) -> Vec<(String, String)> {
        let path = view::path_variable(&self.0.toolchains).to_string_lossy().into_owned();
        let mut all = self.0.toolchains.environment.clone();
        for (name, value) in
            [("PATH", path.as_str()), ("HOME", HOME), ("LANG", "C.UTF-8"), ("TMPDIR", "/tmp"), ("USER", "sandbox")]
        {
            all.insert(name.to_owned(), value.to_owned());
        }
        all.extend(job.environment.clone());
        all.into_iter().collect()
    }
}

fn find_toolchains(options: &Options) -> Toolchains {
    let mut hidden = options.hidden.clone();
    hidden.extend((!options.scratch.as_os_str().is_empty()).then(|| options.scratch.clone()));
    let variable = |name: &str| std::env::var_os(name);
    Toolchains::find(&crate::toolchains::Surroundings {
        variable: &variable,
        extra: &options.toolchains,
        hidden: &hidden,
    })
}

fn words<T: AsRef<std::ffi::OsStr>>(words: impl IntoIterator<Item = T>) -> Vec<OsString> {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect()
}

/// Refuses what could not be passed on as it is.
fn check(job: &Job) -> Result<(), SandboxError> {
    let refuse = |reason: &str| Err(SandboxError::Job { reason: reason.to_owned() });
    let bytes: usize = job.argv.iter().map(String::len).sum();
    if job.argv.first().is_none_or(String::is_empty) {
        return refuse("it names no program");
    }
    if job.argv.len() > ARGV_WORDS_MAX || bytes > ARGV_BYTES_MAX {
        return refuse("its arguments are too long: give them as a file");
    }
    if job.input.len() > Job::INPUT_MAX {
        return refuse("its input is too long: give it as a file");
    }
    if !job.directory.is_absolute() {
        return refuse("its directory must be an absolute path");
    }
    let named = job.environment.keys().all(|name| !name.is_empty() && !name.contains(['=', '\0']));
    let texts = job.argv.iter().chain(job.environment.values());
    if !named || texts.into_iter().any(|text| text.contains('\0')) {
        return refuse("its arguments or its environment hold a zero byte, or a variable has no proper name");
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(SandboxError::io("hand the run's directory over")(std::io::Error::other(error))),
    }
}

//! A temporary home for a cluster, and what tests need to see and do there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use damascus_postgres::{Durability, ManagedPostgres, Options};
use postgres::{Client, NoTls};
use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A home that is gone, with its server, when the test is over.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) path: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self::named("home")
    }

    /// A home of that name in a temporary folder that the server's user may pass through.
    pub(crate) fn named(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("damascus-pg-").tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join(name);
        Self { dir, path }
    }

    /// The folder that holds the home.
    pub(crate) fn parent(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn options(&self) -> Options {
        Options::from_env(&self.path).with_durability(Durability::Throwaway)
    }

    pub(crate) fn acquire(&self) -> ManagedPostgres {
        ManagedPostgres::acquire(&self.options()).unwrap()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("postgres/data")
    }

    /// The process id in the lock file, whoever it means.
    pub(crate) fn recorded_pid(&self) -> Option<i32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
    }

    /// Whether any process works in the data folder.
    pub(crate) fn is_quiet(&self) -> bool {
        !processes().any(|(_, proc)| fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == self.data()))
    }

    /// A folder of programs made by the test: a `postgres` that is the real one, and this shell script as `initdb`.
    pub(crate) fn programs_with_initdb(&self, script: &str) -> PathBuf {
        let dir = self.parent().join("bin");
        fs::create_dir(&dir).unwrap();
        let real = damascus_postgres::Binaries::find(&self.options()).unwrap();
        std::os::unix::fs::symlink(real.dir.join("postgres"), dir.join("postgres")).unwrap();
        let initdb = dir.join("initdb");
        fs::write(&initdb, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&initdb, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
        dir
    }

    /// Something that looks like a cluster from outside, owned by whoever would run the server.
    pub(crate) fn pretend_cluster(&self, version: &str, marker: Option<&str>) {
        fs::create_dir_all(self.data()).unwrap();
        fs::write(self.data().join("PG_VERSION"), version).unwrap();
        if let Some(marker) = marker {
            fs::write(self.data().join("damascus.durability"), marker).unwrap();
        }
        if let Some(user) = server_user() {
            chown(self.data(), Some(user), None).unwrap();
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A failed test may leave its server, which nobody else started.
        if !self.is_quiet()
            && let Some(pid) = self.recorded_pid().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::QUIT);
            if !std::thread::panicking() {
                until("the server ends", || self.is_quiet());
                panic!("the test left its server running");
            }
        }
    }
}

/// Whom the server would run as, if not as the caller.
pub(crate) fn server_user() -> Option<u32> {
    nix::unistd::geteuid().is_root().then(|| {
        let by_name = |name| nix::unistd::User::from_name(name).unwrap();
        by_name("postgres").or_else(|| by_name("nobody")).unwrap().uid.as_raw()
    })
}

pub(crate) fn connect(server: &ManagedPostgres) -> Client {
    Client::connect(&server.url("postgres"), NoTls).unwrap()
}

pub(crate) fn show(client: &mut Client, setting: &str) -> String {
    client.query_one("SELECT current_setting($1)", &[&setting]).unwrap().get(0)
}

pub(crate) fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// All processes, with their folders under `/proc`.
pub(crate) fn processes() -> impl Iterator<Item = (u32, PathBuf)> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        Some((path.file_name()?.to_str()?.parse().ok()?, path))
    })
}

/// A field of `/proc/<pid>/stat`, counted from the state, which is 0.
pub(crate) fn stat_field(pid: u32, index: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(index).map(str::to_owned)
}

/// Waits until a condition holds; fails when it takes too long.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "gave up waiting until {what}");
        let moment = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        rustix::event::poll(&mut [], Some(&moment)).unwrap();
    }
}

//! What the tests have in common: a sandbox, a work directory, bubblewrap as one would start it without thinking, and a look at the host's
//! processes.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use damascus_sandbox::{Access, Capture, Ended, Job, Limits, Mount, Options, Sandbox, WORK};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longer than any test should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn sandbox() -> Sandbox {
    Sandbox::detect(&Options::default()).await.expect("bubblewrap works where the tests run: `make setup` installs it")
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn script(text: &str) -> Job {
    // Both streams are one, so that what they say has an order.
    let mut job = Job::new(["sh", "-c", &format!("exec 2>&1\n{text}")]);
    job.directory = "/".into();
    job.limits = Limits { wall: PATIENCE, ..Limits::default() };
    job
}

pub(crate) fn script_in(work: &Path, text: &str) -> Job {
    let mut job = script(text);
    job.directory = WORK.into();
    job.mounts.push(Mount { host: work.to_owned(), inside: WORK.into(), access: Access::ReadWrite });
    job
}

pub(crate) async fn run(sandbox: &Sandbox, job: &Job) -> (Ended, String) {
    let mut said = Capture::new(256 * 1024);
    let ended = sandbox.run(job, &mut said, &CancellationToken::new()).await.expect("the run itself works");
    (ended, said.text())
}

/// What the script prints in the real sandbox.
pub(crate) async fn inside(text: &str) -> String {
    run(&sandbox().await, &script(text)).await.1
}

/// bubblewrap with the options that come to mind first: the system visible, `options`, and a shell.
pub(crate) fn naive(options: &[&str], text: &str) -> String {
    let mut command = Command::new("bwrap");
    command.args(["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]);
    command.args(["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev"]);
    command.args(options).args(["sh", "-c", text]);
    printed(&mut command)
}

pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A number of seconds for `sleep` that names one test's processes among all of the host.
pub(crate) fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("7{:07}.{:03}", std::process::id() % 10_000_000, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The command lines of the host's processes that hold `text`, but this one's.
pub(crate) fn processes_with(text: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").expect("the host's processes").flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) && pid.cast_unsigned() != std::process::id() {
            found.push((pid, line));
        }
    }
    found
}

pub(crate) fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looked = tokio::time::timeout(PATIENCE, async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            again.tick().await;
        }
    });
    if looked.await.is_err() {
        panic!("it never came to this: {what}");
    }
}

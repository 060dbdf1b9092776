//! One git command from start to end: its input, its bounded output, its deadline.
//!
//! Invariant: a command that is late, or whose caller goes away, is killed with everything that it started; what it writes never takes
//! more memory than the bounds here.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use damascus_core::display::many_lines;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::error::GitError;
use crate::program::Git;

/// How much a command may write to standard output unless its call says otherwise, in bytes.
pub(crate) const MAX_OUTPUT_BYTES: usize = 128 << 20;

/// How much of standard error is kept, in bytes; the rest is read and dropped.
const MAX_STDERR_BYTES: usize = 64 << 10;

/// How many characters of standard error get into a message.
pub(crate) const MAX_SAID_CHARS: usize = 4_000;

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// What a command reads from standard input.
#[derive(Debug)]
enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// An open, empty lock file: the lock lives until the command ends too, even when this process is killed before.
    Held(OwnedFd),
}

/// A git command that is to be run.
#[derive(Debug)]
pub(crate) struct Call {
    name: &'static str,
    wait: Duration,
    args: Vec<OsString>,
    env: Vec<(&'static str, String)>,
    input: Input,
    max_output: usize,
    cut: bool,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// Whether standard output was cut at its bound, and the command stopped.
    pub(crate) cut: bool,
    /// Standard error: bounded and safe.
    pub(crate) said: String,
}

impl Call {
    /// A call of a subcommand that may take `wait`.
    pub(crate) fn new(name: &'static str, wait: Duration) -> Self {
        Self {
            name,
            wait,
            args: Vec::new(),
            env: Vec::new(),
            input: Input::Nothing,
            max_output: MAX_OUTPUT_BYTES,
            cut: false,
        }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Input::Bytes(bytes);
        self
    }

    pub(crate) fn holding(mut self, lock: OwnedFd) -> Self {
        self.input = Input::Held(lock);
        self
    }

    /// Stops reading after this many bytes, and takes what is there.
    pub(crate) fn cut_at(mut self, bytes: usize) -> Self {
        (self.max_output, self.cut) = (bytes, true);
        self
    }

    /// Runs it without a repository.
    pub(crate) async fn run(self, git: &Git) -> Result<Output, GitError> {
        self.run_in(git, None).await
    }

    /// Runs it in a repository of ours.
    pub(crate) async fn run_in(self, git: &Git, git_dir: Option<&Path>) -> Result<Output, GitError> {
        let (name, wait, max, may_cut) = (self.name, self.wait, self.max_output, self.cut);
        let work = async {
            let mut running = self.start(git, git_dir)?;
            let mut stdout = Vec::new();
            let source = running.stdout.take();
            let within = match source {
                Some(source) => keep(source, &mut stdout, max).await.map_err(|error| lost(name, &error))?,
                None => true,
            };
            if !within && !may_cut {
                let limit = format!("{max} bytes");
                return Err(GitError::TooMuch { what: format!("the output of `git {name}`"), limit });
            }
            if !within {
                running.kill();
            }
            let (status, said) = running.finish().await?;
            Ok(Output { name, status, stdout, cut: !within, said })
        };
        // Dropping the work on a timeout drops the running command, which kills its group.
        match timeout(wait, Box::pin(work)).await {
            Ok(done) => done,
            Err(_) => Err(GitError::TimedOut { command: name, seconds: wait.as_secs() }),
        }
    }

    /// Starts it; the caller reads its output, within the call's time, and then calls [`Running::finish`].
    pub(crate) fn start(self, git: &Git, git_dir: Option<&Path>) -> Result<Running, GitError> {
        let mut command = git.command(git_dir, self.name, &self.args);
        command.envs(self.env);
        let input = match self.input {
            Input::Nothing => None,
            Input::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
            Input::Held(lock) => {
                command.stdin(Stdio::from(lock));
                None
            }
        };
        let mut child =
            command.spawn().map_err(|source| GitError::Start { program: git.program().to_owned(), source })?;
        let feeder = child.stdin.take().zip(input).map(|(mut stdin, bytes)| {
            // A command that ends early closes its end; its exit status tells why, so the broken pipe does not matter.
            tokio::spawn(async move {
                let _ = stdin.write_all(&bytes).await;
                let _ = stdin.shutdown().await;
            })
        });
        let stderr = child.stderr.take();
        let listener = tokio::spawn(async move {
            let mut kept = Vec::new();
            if let Some(mut stderr) = stderr {
                let within = keep(&mut stderr, &mut kept, MAX_STDERR_BYTES).await.unwrap_or(true);
                if !within {
                    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
                }
            }
            kept
        });
        let stdout = child.stdout.take();
        Ok(Running { name: self.name, stdout, feeder, listener, child })
    }
}

/// Reads until the end or until `max` bytes are kept; says whether the end was reached.
async fn keep(mut source: impl AsyncRead + Unpin, kept: &mut Vec<u8>, max: usize) -> std::io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = source.read(&mut chunk).await?;
        if read == 0 {
            return Ok(true);
        }
        let room = max - kept.len();
        kept.extend_from_slice(&chunk[..read.min(room)]);
        if read > room {
            return Ok(false);
        }
    }
}

fn lost(command: &'static str, error: &std::io::Error) -> GitError {
    GitError::Unexpected { command, what: format!("its output can't be read: {error}") }
}

/// A git command that runs. Dropping it kills it with everything that it started.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    stdout: Option<ChildStdout>,
    feeder: Option<JoinHandle<()>>,
    listener: JoinHandle<Vec<u8>>,
    child: Child,
}

impl Running {
    /// Standard output as a file, for a thread that blocks on it. It ends when the command does, also when it is killed.
    pub(crate) fn output_file(&mut self) -> Result<File, GitError> {
        let stdout = self.stdout.take().ok_or(GitError::BrokenOff { what: self.name })?;
        stdout.into_owned_fd().map(File::from).map_err(|error| lost(self.name, &error))
    }

    /// Kills it and all that it started. Its leader is not reaped before [`Self::finish`], so its group can't be another's.
    fn kill(&self) {
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(git.command = self.name, %error, "the command's processes were gone before they were killed");
        }
    }

    /// Waits for its end: exit status, and what it said, bounded and safe.
    pub(crate) async fn finish(mut self) -> Result<(ExitStatus, String), GitError> {
        drop(self.stdout.take());
        // First the ends of the pipes, then the status: whoever still holds a pipe belongs to the group, which a timeout must find.
        let said = (&mut self.listener).await.unwrap_or_default();
        if let Some(feeder) = self.feeder.take() {
            feeder.abort();
        }
        let status = self.child.wait().await.map_err(|error| lost(self.name, &error))?;
        Ok((status, many_lines(String::from_utf8_lossy(&said).trim_end(), MAX_SAID_CHARS)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        self.listener.abort();
        if let Some(feeder) = &self.feeder {
            feeder.abort();
        }
    }
}

impl Output {
    /// Standard output of a command that must succeed.
    pub(crate) fn success(self) -> Result<Vec<u8>, GitError> {
        if self.status.success() { Ok(self.stdout) } else { Err(self.failure()) }
    }

    /// Whether it ended with this code.
    pub(crate) fn is_code(&self, code: i32) -> bool {
        self.status.code() == Some(code)
    }

    /// Standard output as text, of a command that answers in ASCII.
    pub(crate) fn text(self) -> Result<String, GitError> {
        let name = self.name;
        String::from_utf8(self.success()?)
            .map_err(|_| GitError::Unexpected { command: name, what: "its answer is not UTF-8".to_owned() })
    }

    /// The error that a failed command means.
    pub(crate) fn failure(self) -> GitError {
        failure(self.name, self.status, self.said)
    }
}

/// The error that an exit status and what was said mean.
pub(crate) fn failure(command: &'static str, status: ExitStatus, said: String) -> GitError {
    if is_disk_full(&said) {
        return GitError::DiskFull { doing: format!("`git {command}` ran"), said };
    }
    GitError::Failed {
        command,
        status: status.to_string(),
        said: if said.is_empty() { "it said nothing".to_owned() } else { said },
    }
}

/// Whether git, which speaks plain English here, tells of a full disk (in the words of the system, or in its own).
pub(crate) fn is_disk_full(said: &str) -> bool {
    ["No space left on device", "Out of diskspace", "Disk quota exceeded"].iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    /// A git that starts a process, notes it in a file, and never ends.
    async fn endless(folder: &Path) -> (Git, PathBuf) {
        let (program, note) = (folder.join("git"), folder.join("note"));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo git version 2.40.0 && exit\nsleep 100000 &\necho $! > {0}.new\nmv {0}.new {0}\nwait\n",
            note.display()
        );
        fs::write(&program, text).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        (Git::at(program).await.expect("a git"), note)
    }

    #[tokio::test]
    async fn a_command_that_nobody_waits_for_dies_with_all_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let (git, note) = endless(folder.path()).await;
        let call = Call::new("fetch", Duration::from_secs(600)).run(&git);
        let noted = async {
            while !note.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = call => unreachable!("it never ends: {ended:?}"),
            () = noted => {}
        }
        let inner: i32 = fs::read_to_string(&note).expect("a note").trim().parse().expect("a process id");
        let state = format!("/proc/{inner}/stat");
        // Dead, or a zombie that its new parent has not reaped.
        while fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_command_that_is_late_is_an_error_to_try_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (git, _) = endless(folder.path()).await;
        let error = Call::new("fetch", Duration::from_millis(50)).run(&git).await.expect_err("it never ends");
        assert!(matches!(&error, GitError::TimedOut { command: "fetch", .. }) && error.retryable(), "{error}");
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("git");
        let text =
            "#!/bin/sh\n[ \"$1\" = --version ] && echo git version 2.40.0 && exit\nyes no | head -c 500000 >&2\nyes\n";
        fs::write(&program, text).expect("a program");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        let git = Git::at(program).await.expect("a git");
        let output = Call::new("log", Duration::from_secs(600)).cut_at(1_001).run(&git).await.expect("a part");
        assert!(output.cut && output.stdout.len() == 1_001 && output.said.chars().count() <= MAX_SAID_CHARS);
        let mut call = Call::new("log", Duration::from_secs(600));
        call.max_output = 1_000;
        assert!(matches!(call.run(&git).await, Err(GitError::TooMuch { .. })));
    }
}

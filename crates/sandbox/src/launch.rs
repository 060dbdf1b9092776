//! Starts a program behind a gate: nothing of the job runs before the supervisor holds a handle on everything that it could start.
//!
//! Invariants: the launcher's own environment is empty; the job's environment and its mounts go through file descriptors, not through
//! arguments that the host's other users can read; the gate opens only when the process that all others hang on is held by a pidfd, and
//! never when Damascus is gone.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Seek, Write},
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use damascus_core::display::one_line;
use rustix::{
    fs::MemfdFlags,
    process::{Pid, PidfdFlags, Resource, Signal, getrlimit, kill_process_group, pidfd_open},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::unix::pipe,
    process::{Child, Command},
};

use crate::{SandboxError, job::Limits};

/// How long the sandbox may take to come up.
const START_MAX: Duration = Duration::from_secs(30);

/// How long a launcher that failed may take to say why, and to end.
const COMPLAINT_MAX: Duration = Duration::from_secs(2);

/// Bytes of a launcher's complaint that are kept.
const COMPLAINT_BYTES: usize = 4096;

/// Descriptors of the launched side.
pub(crate) const ARGUMENTS_FD: i32 = 3;
pub(crate) const INNER_ARGUMENTS_FD: i32 = 4;
pub(crate) const STATUS_FD: i32 = 5;
const GO_FD: i32 = 6;
const READY_FD: i32 = 7;
pub(crate) const STUBS_FD: i32 = 10;

/// Says that it is there, waits for the word to go, and becomes the program. Without the word (Damascus is gone) it ends.
const GATE: &str = "printf 'ready\\n' >&7; IFS= read -r go <&6 || exit 125; exec 6<&- 7>&-; exec \"$@\"";

/// Where the programs are that put the sandbox up.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) bwrap: PathBuf,
    pub(crate) setpriv: PathBuf,
    pub(crate) prlimit: PathBuf,
    pub(crate) setsid: PathBuf,
    pub(crate) sh: PathBuf,
}

/// What is to be launched.
pub(crate) struct Launch {
    pub(crate) command: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// The user that the launcher itself steps down to.
    pub(crate) uid: Option<u32>,
    /// Descriptors and what is read from them.
    pub(crate) data: Vec<(i32, Vec<u8>)>,
    pub(crate) input: Vec<u8>,
    /// Whether the launcher writes the process id to follow to [`STATUS_FD`]; else it is the launched process.
    pub(crate) says_pid: bool,
}

/// A program that runs.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) feeding: Option<tokio::task::JoinHandle<()>>,
    /// Held until the launcher has ended.
    pub(crate) status: pipe::Receiver,
}

impl Programs {
    /// The words before the program: limits, then the gate.
    pub(crate) fn limited(&self, limits: &Limits, count_processes: bool) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            vec![self.sh.clone().into(), "-c".into(), GATE.into(), "sandbox".into(), self.prlimit.clone().into()];
        let mut limit = |name: &str, resource: Resource, wanted: u64| {
            let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let value = wanted.min(most);
            words.push(format!("--{name}={value}:{value}").into());
        };
        if count_processes {
            limit("nproc", Resource::Nproc, u64::from(limits.processes));
        }
        limit("fsize", Resource::Fsize, limits.file_bytes);
        limit("data", Resource::Data, limits.memory_bytes);
        limit("cpu", Resource::Cpu, limits.cpu.as_secs().max(1));
        limit("core", Resource::Core, 0);
        words.push("--".into());
        words
    }
}

impl Launch {
    /// Starts it and opens the gate.
    pub(crate) async fn start(self) -> Result<Started, SandboxError> {
        let says_pid = self.says_pid;
        let plumbing = self.spawn().map_err(SandboxError::io("start the sandbox"))?;
        let Plumbing { child, status, ready, go, input } = plumbing;
        let mut starting = Starting(Some(child));
        let waited = tokio::time::timeout(START_MAX, handshake(status, ready, says_pid)).await;
        let said = match waited {
            Err(_) => Err(format!("it was not ready after {} s", START_MAX.as_secs())),
            Ok(said) => said.map_err(|error| error.to_string()),
        };
        let (status, pid) = match said {
            Ok((status, said)) => (status, said.or_else(|| starting.0.as_ref().and_then(Child::id))),
            Err(why) => {
                let complaint = starting.complaint(&why).await;
                return Err(SandboxError::Start { message: complaint });
            }
        };
        let pid = pid
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
            .ok_or_else(|| SandboxError::Start { message: "its process id is not known".to_owned() })?;
        // The gate is still shut, so the process is still there: its number can't mean another one.
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(io::Error::from)
            .map_err(SandboxError::io("hold the sandbox's process"))?;
        let Some(mut child) = starting.0.take() else {
            return Err(SandboxError::Start { message: "it is gone".to_owned() });
        };
        let feeding = feed(&mut child, input);
        let mut go = go;
        go.write_all(b"go\n").map_err(SandboxError::io("open the sandbox's gate"))?;
        Ok(Started { child, pid, pidfd, feeding, status })
    }

    fn spawn(self) -> io::Result<Plumbing> {
        let (status, status_child) = io::pipe()?;
        let (ready, ready_child) = io::pipe()?;
        let (go_child, go) = io::pipe()?;
        let mut mappings = vec![mapping(ready_child, READY_FD), mapping(go_child, GO_FD)];
        if self.says_pid {
            mappings.push(mapping(status_child, STATUS_FD));
        }
        for (descriptor, bytes) in &self.data {
            mappings.push(mapping(in_memory(bytes)?, *descriptor));
        }
        let taken: Vec<i32> = mappings.iter().map(|mapping| mapping.child_fd).collect();
        for descriptor in inherited()?.into_iter().filter(|descriptor| !taken.contains(descriptor)) {
            mappings.push(mapping(File::open("/dev/null")?, descriptor));
        }
        let (program, arguments) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.environment).current_dir(&self.directory);
        command.stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        } else if self.says_pid {
            // A signal from the terminal is for Damascus, which then stops its runs.
            command.process_group(0);
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let child = command.spawn()?;
        Ok(Plumbing { child, status, ready, go, input: self.input })
    }
}

struct Plumbing {
    child: Child,
    status: io::PipeReader,
    ready: io::PipeReader,
    go: io::PipeWriter,
    input: Vec<u8>,
}

/// Descriptors that who started Damascus left open, and that every child would get: a directory of the host among them would be a way out.
/// The child gets the null device in their place. (All that Damascus itself opens is closed on exec.)
fn inherited() -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let name = entry?.file_name();
        let Some(descriptor) =
            name.to_str().and_then(|name| name.parse::<i32>().ok()).filter(|descriptor| *descriptor > 2)
        else {
            continue;
        };
        // One that is gone meanwhile was not inherited.
        let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).unwrap_or(0);
        if flags & rustix::fs::OFlags::CLOEXEC.bits() == 0 {
            found.push(descriptor);
        }
    }
    Ok(found)
}

fn mapping(fd: impl Into<OwnedFd>, child_fd: i32) -> FdMapping {
    FdMapping { parent_fd: fd.into(), child_fd }
}

fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("damascus", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads the process id (where it is said) and waits until the gate is reached.
///
/// The launcher says more when it ends: who drops the status pipe before kills it.
async fn handshake(
    status: io::PipeReader,
    ready: io::PipeReader,
    says_pid: bool,
) -> io::Result<(pipe::Receiver, Option<u32>)> {
    let mut ready = pipe::Receiver::from_owned_fd(ready.into())?;
    let line = line(&mut ready).await?;
    if line != "ready" {
        return Err(io::Error::other("it ended before the program"));
    }
    let mut status = pipe::Receiver::from_owned_fd(status.into())?;
    if !says_pid {
        return Ok((status, None));
    }
    let mut text = String::new();
    // One document per line, or one over several lines: read until the number is there.
    for _ in 0..STATUS_LINES_MAX {
        text.push_str(&self::line(&mut status).await?);
        if let Some(pid) = child_pid(&text) {
            return Ok((status, Some(pid)));
        }
    }
    Err(io::Error::other("it did not say its process id"))
}

/// Lines of a status that are read.
const STATUS_LINES_MAX: usize = 16;

/// Bytes of one line of a status.
const LINE_MAX: usize = 1024;

async fn line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < LINE_MAX {
        match from.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn child_pid(status: &str) -> Option<u32> {
    let (_, after) = status.split_once("\"child-pid\"")?;
    let digits: String =
        after.chars().skip_while(|c| matches!(c, ':' | ' ')).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A launcher before its gate. Dropped, it is killed with its group: killed alone, bwrap would leave its child waiting for it for ever
/// (it asks for the death signal later).
struct Starting(Option<Child>);

impl Starting {
    fn kill(&mut self) {
        let Some(child) = &mut self.0 else { return };
        if let Some(group) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = child.start_kill();
    }

    /// What the launcher said on its standard error before it ended.
    async fn complaint(mut self, otherwise: &str) -> String {
        let mut said = Vec::new();
        if let Some(stderr) = self.0.as_mut().and_then(|child| child.stderr.take()) {
            let mut stderr = stderr.take(COMPLAINT_BYTES as u64);
            // A launcher that hangs says no more; what it said so far counts.
            let _ = tokio::time::timeout(COMPLAINT_MAX, stderr.read_to_end(&mut said)).await;
        }
        self.kill();
        if let Some(child) = &mut self.0 {
            let _ = tokio::time::timeout(COMPLAINT_MAX, child.wait()).await;
        }
        let said = one_line(String::from_utf8_lossy(&said).trim(), 400);
        if said.is_empty() { otherwise.to_owned() } else { said }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes the input on the side: a program that doesn't read it is not held up, and doesn't hold anything up.
fn feed(child: &mut Child, input: Vec<u8>) -> Option<tokio::task::JoinHandle<()>> {
    let mut stdin = child.stdin.take()?;
    Some(tokio::spawn(async move {
        // A program may end, or close its input, without reading all of it.
        let _ = stdin.write_all(&input).await;
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_id_is_read_in_the_forms_that_bwrap_writes() {
        assert_eq!(child_pid(r#"{ "child-pid": 4711, "cgroup-namespace": 1 }"#), Some(4711));
        assert_eq!(child_pid(r#"{"child-pid":12"#), Some(12));
        assert_eq!(child_pid(r#"{ "exit-code": 0 }"#), None);
        assert_eq!(child_pid(r#"{ "child-pid": x"#), None);
    }
}

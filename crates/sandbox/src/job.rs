//! What is run: the program, what it sees, and what bounds it.
//!
//! Invariant: nothing that is not written in a [`Job`] or in the sandbox's own defaults reaches the program: no environment, no file, no
//! network.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Where the work tree is mounted, by convention of the callers.
pub const WORK: &str = "/work";

/// The home directory inside: part of the scratch space, empty at the start of each run, gone at its end.
pub const HOME: &str = "/tmp/home";

/// One program to run, with all that it sees.
#[derive(Debug, Clone)]
pub struct Job {
    /// The program and its arguments. `argv[0]` is looked up in the `PATH` inside. Arguments are visible to every user of the host while
    /// the program runs (as any program's are): secrets go into `environment` or `input`.
    pub argv: Vec<String>,
    /// Where it starts, as seen inside; usually [`WORK`].
    pub directory: PathBuf,
    /// All of its environment. `PATH`, `HOME`, `LANG`, `TMPDIR` and those that the toolchains need are set by the sandbox unless given.
    pub environment: BTreeMap<String, String>,
    /// What else of the host is visible, mounted in this order.
    pub mounts: Vec<Mount>,
    /// Which network it reaches.
    pub network: Network,
    /// What bounds it.
    pub limits: Limits,
    /// Standard input, all of it; at most [`Job::INPUT_MAX`] bytes.
    pub input: Vec<u8>,
}

impl Job {
    /// Standard input is held in memory: at most so many bytes.
    pub const INPUT_MAX: usize = 64 * 1024 * 1024;

    /// A job that runs `argv` in [`WORK`], with nothing mounted, no network and the limits' defaults.
    pub fn new(argv: impl IntoIterator<Item = impl Into<String>>) -> Job {
        Job {
            argv: argv.into_iter().map(Into::into).collect(),
            directory: PathBuf::from(WORK),
            environment: BTreeMap::new(),
            mounts: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
            input: Vec::new(),
        }
    }
}

/// A directory (or, read-only, a file) of the host that is visible inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is on the host; it must exist. Read-write needs a directory.
    ///
    /// A directory that is mounted read-write belongs to one run at a time: a second run that wants it gets
    /// [`SandboxError::Busy`](crate::SandboxError::Busy). After the run its files belong to the caller again. What lies in it is the
    /// program's word: symbolic links may point anywhere on the host, so read it without following them.
    ///
    /// Where Damascus runs as root, what is mounted read-only must be readable by other users (the program is not root).
    pub host: PathBuf,
    /// Where it is inside: an absolute path without `..`.
    pub inside: PathBuf,
    /// Whether the program may write to it.
    pub access: Access,
}

/// Whether a program may write to what is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may read it.
    ReadOnly,
    /// It may read and write it.
    ReadWrite,
}

/// Which network a program reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// None: only a loopback device of its own.
    None,
    /// The host's, all of it: also services on the host's loopback device and abstract Unix sockets.
    Host,
}

/// What bounds a run. Beyond a limit of time, output or disk the run is stopped; beyond the others a system call of the program fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time by the clock.
    pub wall: Duration,
    /// Time without any output; none: only `wall` counts.
    pub silence: Option<Duration>,
    /// Bytes of both output streams together.
    pub output_bytes: u64,
    /// Processes and threads at one time.
    pub processes: u32,
    /// Bytes of memory: of one process (its data), and of all of them together with the scratch space, as a watchdog sees them.
    pub memory_bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of `/tmp` (home directory included), a file system in memory.
    pub scratch_bytes: u64,
    /// Bytes on disk of each directory that is mounted read-write, as a watchdog sees them: what was there before counts too.
    pub tree_bytes: u64,
    /// Processor time of one process.
    pub cpu: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        const MIB: u64 = 1024 * 1024;
        Limits {
            wall: Duration::from_secs(30 * 60),
            silence: Some(Duration::from_secs(10 * 60)),
            output_bytes: 64 * MIB,
            processes: 512,
            memory_bytes: 8 * 1024 * MIB,
            file_bytes: 2 * 1024 * MIB,
            scratch_bytes: 1024 * MIB,
            tree_bytes: 8 * 1024 * MIB,
            cpu: Duration::from_secs(30 * 60),
        }
    }
}

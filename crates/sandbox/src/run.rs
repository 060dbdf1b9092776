//! How a run ends, and where its output goes.
//!
//! Invariant: an [`Ended`] says what was seen; a run that was stopped says by what, whatever its exit code.

use std::time::Duration;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code. 126 and 127: it could not be executed, or was not found.
    Code(i32),
    /// By this signal. Inside bubblewrap a signal is seen as 128 + its number, the shell's convention: a program that itself exits so
    /// (as a shell does for its own child) can't be told apart, and is shown as a signal too.
    Signal(i32),
}

impl Exit {
    /// The code as a shell shows it: 128 + the number of a signal.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Why a run was stopped before its program ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It ran longer than `Limits::wall`.
    WallClock,
    /// It printed nothing for `Limits::silence`.
    Silence,
    /// It printed more than `Limits::output_bytes`.
    Output,
    /// A directory grew beyond `Limits::tree_bytes`, or beyond what can be walked.
    Disk,
    /// The disk of a directory was about to be full, whoever filled it; or it was when the program failed.
    DiskFull,
    /// Its processes together took more than `Limits::memory_bytes`.
    Memory,
    /// The caller cancelled it.
    Cancelled,
}

/// How a run ended. When one has this, none of the run's processes is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How its main program ended.
    pub exit: Exit,
    /// Why it was stopped, if it was.
    pub stopped: Option<Stopped>,
    /// Bytes of both output streams that the sink got.
    pub output_bytes: u64,
    /// How long it took, from the start of the sandbox to the end of its last process.
    pub wall: Duration,
}

/// One of a program's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Gets what a program prints, as it comes. It is called between reads and must not block for long.
pub trait Sink: Send {
    /// Takes the next bytes of a stream; never empty, at most 64 KiB. The order between the two streams is about right, not exact.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
}

//! Exit codes, as `docs/cli.md` promises them.
//!
//! Invariant: every way in which a command can end has exactly one of these.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The command line or the configuration is wrong; nothing was done.
    Usage,
    /// The item was cancelled.
    Cancelled,
    /// What was asked for is not allowed in the state that things are in.
    NotAllowed,
    /// Blocked, or awaiting a person.
    Waiting,
    /// Still under way.
    StillRunning,
    /// Interrupted by a signal.
    Interrupted,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Cancelled,
        Self::NotAllowed,
        Self::Waiting,
        Self::StillRunning,
        Self::Interrupted,
    ];

    /// The code that the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::NotAllowed => 4,
            Self::Waiting => 5,
            Self::StillRunning => 8,
            Self::Interrupted => 130,
        }
    }

    /// What the code means, in a few words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage: the command line or the configuration is wrong",
            Self::Cancelled => "cancelled",
            Self::NotAllowed => "not allowed in the present state",
            Self::Waiting => "blocked, or awaiting a person",
            Self::StillRunning => "still running",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

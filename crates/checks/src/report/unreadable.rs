//! Why a report can't be believed.
//!
//! Invariant: every reason says what was expected and what to do; text out of a report is made safe to show before it gets in here.

/// Why a report gives no counts. None of these is ever a pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is no report where the format has one.
    #[error("no test report: expected {expected}; {advice}")]
    Missing {
        /// What was looked for.
        expected: &'static str,
        /// What to change in the project's rules or its test command.
        advice: &'static str,
    },
    /// The report was found, and no test ran.
    #[error(
        "the test report names no test that ran: {what}; a run of zero tests proves nothing, see that the command selects tests"
    )]
    NoTests {
        /// Where that was read.
        what: String,
    },
    /// The runner stopped before it had run the tests: code that doesn't build, a collection error, a bail-out, a crash.
    #[error("the test run broke off: {what}; mend that and run again")]
    Broken {
        /// What the runner said.
        what: String,
    },
    /// Not the shape that the format has.
    #[error(
        "the test report can't be read: {what}; see that the report format in the project's rules fits the test command"
    )]
    Malformed {
        /// What was found, and where.
        what: String,
    },
    /// The report says two things that can't both be true.
    #[error(
        "the test report contradicts itself: {what}; it counts for nothing, let only the test runner write reports"
    )]
    Contradiction {
        /// The two things.
        what: String,
        /// Whether this smells of forgery: a runner by itself does not write such a thing.
        suspicious: bool,
    },
    /// Over a bound.
    #[error(
        "the test report is too large: {what} over the bound of {bound}; make the runner print less or split the run"
    )]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The bound, in the unit that `what` names.
        bound: usize,
    },
    /// The log was cut before it got here.
    #[error(
        "the output of the test run was cut off, so its report can't be trusted; make the runner print less, or let it write a JUnit file"
    )]
    Truncated,
    /// The format has no report.
    #[error("the format exit_code has no report to read: a proof that rests on an exit code alone is shown as such")]
    ExitCodeOnly,
}

impl Unreadable {
    /// Whether this smells of a forged report rather than of a broken run or a wrong configuration.
    #[must_use]
    pub fn suspicious(&self) -> bool {
        matches!(self, Self::Contradiction { suspicious: true, .. })
    }
}

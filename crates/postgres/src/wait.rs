//! Bounded waiting: every wait of the crate has a deadline, and only this file sleeps.

use std::time::{Duration, Instant};

/// The first pause of a polling loop.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// The longest pause of a polling loop.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A point in time after which a polling loop gives up, with a pause that grows to [`LONGEST_PAUSE`].
#[derive(Debug)]
pub(crate) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    /// Patience for `limit` from now on.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, pause: FIRST_PAUSE }
    }

    /// What is left; zero when it is over.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// How long the next pause is to be; each is half as long again as the one before.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.pause.min(self.left());
        self.pause = (self.pause * 3 / 2).min(LONGEST_PAUSE);
        pause
    }

    /// Pauses where the system offers nothing to wait on.
    #[expect(
        clippy::disallowed_methods,
        reason = "flock with a deadline and a lost child of init have no event to wait on"
    )]
    pub(crate) fn pause(&mut self) {
        std::thread::sleep(self.next_pause());
    }
}

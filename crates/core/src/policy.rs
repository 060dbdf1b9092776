//! Policy: the limits that hold for an item, resolved from the project and the installation before `step` is called.
//!
//! Invariant: every limit is finite and at least one, so that every path ends.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The limits within which an item may fail before a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Policy {
    /// Failures of the surroundings that an item survives, counted over its life since the last retry by a person.
    pub max_infra_failures: NonZeroU16,
    /// Times that the head or the base may move under a finished review.
    pub max_moves: NonZeroU16,
    /// Suspicions of tampering at which the item is parked.
    pub max_tampers: NonZeroU16,
    /// The delay after a failure of the surroundings.
    pub backoff: Backoff,
}

/// Attempts that a new item gets when neither it nor its project says otherwise.
pub const DEFAULT_ATTEMPTS: NonZeroU16 = nonzero(3);

const fn nonzero(n: u16) -> NonZeroU16 {
    match NonZeroU16::new(n) {
        Some(n) => n,
        None => NonZeroU16::MIN,
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_infra_failures: nonzero(10),
            max_moves: nonzero(5),
            max_tampers: nonzero(2),
            backoff: Backoff::default(),
        }
    }
}

/// Exponential backoff: `min(base · 2^(n−1), cap)`, then jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Backoff {
    /// The delay after the first failure, in milliseconds.
    pub base_ms: u32,
    /// The longest delay, in milliseconds.
    pub cap_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 10_000, cap_ms: 300_000 }
    }
}

impl Backoff {
    /// The delay after the `failures`-th failure (1 is the first). `jitter` is a fraction in `0.0..=1.0` drawn by the caller: half of the
    /// delay is fixed and half is scaled by it, so that many items that failed together do not come back together.
    #[must_use]
    pub fn delay(self, failures: u16, jitter: f64) -> Duration {
        let doublings = u32::from(failures.saturating_sub(1)).min(31);
        let full = u64::from(self.base_ms).saturating_mul(1 << doublings).min(u64::from(self.cap_ms));
        let fraction = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        Duration::from_millis(full / 2) + Duration::from_millis(full - full / 2).mul_f64(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap_and_jitter_only_shortens_it() {
        let backoff = Backoff::default();
        let whole: Vec<u64> = (1..=8).map(|n| backoff.delay(n, 1.0).as_secs()).collect();
        assert_eq!(whole, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(backoff.delay(1, 0.0), Duration::from_secs(5));
        assert_eq!(backoff.delay(u16::MAX, f64::NAN), Duration::from_secs(300));
        assert!(backoff.delay(3, 0.5) < backoff.delay(3, 0.6));
    }
}

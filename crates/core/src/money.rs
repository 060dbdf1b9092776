//! Money: whole millionths of a US dollar, so that sums are exact.
//!
//! Invariant: arithmetic saturates instead of wrapping; a spend can't become a gain.

use serde::{Deserialize, Serialize};

/// An amount in millionths of a US dollar. Negative amounts appear only as releases in the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub i64);

impl std::ops::Add for MicroUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for MicroUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |total, amount| total + amount)
    }
}

impl std::fmt::Display for MicroUsd {
    /// Dollars with two decimals, or as many (up to six) as an amount under a cent needs to be told from nothing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let text = if micros != 0 && micros < 10_000 {
            let decimals = format!("{micros:06}");
            format!("{sign}$0.{}", decimals.trim_end_matches('0'))
        } else {
            let cents = micros.saturating_add(5_000) / 10_000;
            format!("{sign}${}.{:02}", cents / 100, cents % 100)
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::MicroUsd;

    #[test]
    fn amounts_read_as_dollars_and_small_ones_do_not_read_as_nothing() {
        let shown: Vec<String> =
            [0, 1, 420, 9_999, 10_000, 1_234_567, -2_500_000].map(|n| MicroUsd(n).to_string()).to_vec();
        assert_eq!(shown, ["$0.00", "$0.000001", "$0.00042", "$0.009999", "$0.01", "$1.23", "-$2.50"]);
        assert_eq!(MicroUsd(i64::MAX) + MicroUsd(1), MicroUsd(i64::MAX));
    }
}

//! What tokens cost, where the gateway does not say it.
//!
//! Invariant: an amount is never less than the truth by rounding, and never negative.

use std::collections::BTreeMap;

use damascus_core::MicroUsd;

const TOKENS_PER_PRICE: u128 = 1_000_000;
/// No call costs more: a larger figure is a mistake or a lie. In millionths of a dollar.
const AMOUNT_MAX: f64 = 1e12;
/// What binary fractions are off by, in millionths of a dollar, and must not become a whole millionth.
const NOISE: f64 = 1e-6;

/// The price of a million tokens of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Read, in millionths of a dollar.
    pub input: MicroUsd,
    /// Written, in millionths of a dollar.
    pub output: MicroUsd,
}

/// Prices by model, as requests name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices(pub BTreeMap<String, Price>);

impl Prices {
    /// What so many tokens of a model cost; none where its price is not known.
    #[must_use]
    pub fn estimate(&self, model: &str, tokens_in: u64, tokens_out: u64) -> Option<MicroUsd> {
        let price = self.0.get(model)?;
        Some(part(price.input, tokens_in) + part(price.output, tokens_out))
    }
}

fn part(price: MicroUsd, tokens: u64) -> MicroUsd {
    let price = u128::try_from(price.0).unwrap_or_default();
    let amount = price.saturating_mul(u128::from(tokens)).div_ceil(TOKENS_PER_PRICE);
    MicroUsd(i64::try_from(amount).unwrap_or(i64::MAX))
}

/// Dollars as a program writes them, such as `0.00187` or `1.5e-05`; none for what is no amount.
pub(crate) fn dollars(amount: f64) -> Option<MicroUsd> {
    let micros = (amount * 1e6 - NOISE).ceil();
    // A negative zero and what rounding left just below zero are zero; what is truly negative, or no number, is no amount.
    let sound = amount >= 0.0 && micros <= AMOUNT_MAX;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the bound checked above")]
    sound.then(|| MicroUsd(micros.max(0.0) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_become_whole_millionths_and_round_up() {
        let read = |text: &str| dollars(text.parse().expect("a number")).map(|amount| amount.0);
        assert_eq!(read("0.0018700000000000001"), Some(1870));
        assert_eq!(read("1.5e-05"), Some(15));
        assert_eq!(read("0.0000001"), Some(1));
        assert_eq!((read("0"), read("-0.0"), read("0.0")), (Some(0), Some(0), Some(0)));
        assert_eq!((read("-1"), read("NaN"), read("inf"), read("1e300")), (None, None, None, None));
    }

    #[test]
    fn an_estimate_rounds_up_and_needs_a_price() {
        let price = Price { input: MicroUsd(3_000_000), output: MicroUsd(15_000_000) };
        let prices = Prices(BTreeMap::from([("m".to_owned(), price)]));

        assert_eq!(prices.estimate("m", 1_000_000, 1), Some(MicroUsd(3_000_015)));
        assert_eq!(prices.estimate("m", 0, 0), Some(MicroUsd(0)));
        assert_eq!(prices.estimate("other", 1, 1), None);
        assert_eq!(prices.estimate("m", u64::MAX, u64::MAX), Some(MicroUsd(i64::MAX)));
    }
}

//! How long to wait before asking again.
//!
//! Invariant: what a server says is bounded, and a date is read against the server's own clock: ours may be another.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::Pace;

/// No server makes us wait longer than this, whatever it says.
const SAID_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `Retry-After` says: seconds, or a date that is read against the answer's `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds.max(0.0)).ok()?,
        Err(_) => {
            let then = DateTime::parse_from_rfc2822(text).ok()?;
            let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
            then.signed_duration_since(now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(SAID_MAX))
}

/// What an error's text says, as in "try again in 12.5s" or "retry after 40 seconds".
pub(crate) fn said_wait(text: &str) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let after = ["try again in ", "retry after ", "retry in "].iter().find_map(|mark| lower.split_once(mark))?.1;
    let digits = after.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(after.len());
    let (number, unit) = after.split_at(digits);
    let number: f64 = number.trim_end_matches('.').parse().ok()?;
    let unit: String = unit.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    let seconds = match unit.as_str() {
        "ms" | "millisecond" | "milliseconds" => number / 1000.0,
        "s" | "sec" | "secs" | "second" | "seconds" => number,
        "m" | "min" | "mins" | "minute" | "minutes" => number * 60.0,
        "h" | "hour" | "hours" => number * 3600.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(SAID_MAX))
}

/// Our own wait after attempt `attempt`, counted from 0: doubled each time, bounded, and between half and all of it by chance.
pub(crate) fn backoff(pace: &Pace, attempt: u32, fraction: f64) -> Duration {
    let doubled = pace.backoff.saturating_mul(2u32.saturating_pow(attempt));
    doubled.min(pace.backoff_max).mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn seconds_and_dates_are_read_against_the_servers_clock() {
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        let of = |text| retry_after(&headers(&[date, ("retry-after", text)]));
        assert_eq!(of("12"), Some(Duration::from_secs(12)));
        assert_eq!(of("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(of("Wed, 21 Oct 2015 07:30:00 GMT"), Some(Duration::from_secs(120)));
        assert_eq!(of("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("-4"), Some(Duration::ZERO));
        assert_eq!(of("99999999999"), Some(SAID_MAX));
        assert_eq!((of("soon"), of("NaN").is_some_and(|wait| wait > SAID_MAX)), (None, false));
        assert_eq!(retry_after(&headers(&[("retry-after", "Wed, 21 Oct 2015 07:30:00 GMT")])), None);
    }

    #[test]
    fn texts_that_name_a_time_are_understood_and_others_are_not() {
        assert_eq!(said_wait("Rate limit. Please try again in 12.5s."), Some(Duration::from_millis(12_500)));
        assert_eq!(said_wait("Retry after 2 minutes"), Some(Duration::from_secs(120)));
        assert_eq!(said_wait("try again in 300ms"), Some(Duration::from_millis(300)));
        assert_eq!(said_wait("try again in 1e9"), None);
        assert_eq!(said_wait("try again in a moment"), None);
        assert_eq!(said_wait("try again in 5"), None);
    }

    #[test]
    fn our_own_waits_grow_and_are_bounded() {
        let pace = Pace { backoff: Duration::from_secs(1), backoff_max: Duration::from_secs(4), ..Pace::default() };
        assert_eq!(backoff(&pace, 0, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(&pace, 1, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(&pace, 40, 1.0), Duration::from_secs(4));
    }
}

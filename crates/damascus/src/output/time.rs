//! Times and durations, short.
//!
//! Invariant: an age is the difference of two readings of one clock, the database's.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

/// The longest duration that can be asked for.
const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// A time as RFC 3339 in UTC, to the second.
#[must_use]
pub fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How long ago `then` was at `now`, such as `3m 20s`; a time to come counts as now.
#[must_use]
pub fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    duration((now - then).to_std().unwrap_or_default())
}

/// Reads a day (its beginning, UTC) or a time.
///
/// # Errors
/// How to write one.
pub fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.and_time(NaiveTime::MIN).and_utc());
    }
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.with_timezone(&Utc))
        .map_err(|_| "write a day as 2026-11-30 or a time as 2026-11-30T08:00:00Z".to_owned())
}

/// Reads a duration such as `90s`, `15m`, `2h` or `1d`; a bare number counts seconds.
///
/// # Errors
/// How to write one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, seconds) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) if text.ends_with('m') => (digits, 60),
        Some(digits) if text.ends_with('h') => (digits, 3_600),
        Some(digits) if text.ends_with('d') => (digits, 86_400),
        Some(digits) => (digits, 1),
        None => (text, 1),
    };
    let n: Option<u64> = digits.parse().ok();
    n.and_then(|n| n.checked_mul(seconds))
        .filter(|seconds| *seconds <= MAX_DURATION.as_secs())
        .map(Duration::from_secs)
        .ok_or_else(|| "write a duration as 90s, 15m, 2h or 1d, at most a year".to_owned())
}

/// A duration in its two largest units.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: char, small: u64, small_unit: char| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => two(minutes, 'm', seconds % 60, 's'),
        (0, hours, minutes) => two(hours, 'h', minutes, 'm'),
        (days, hours, _) => two(days, 'd', hours, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_times_and_durations_are_read_strictly() {
        assert_eq!(parse("2026-11-30").map(stamp), Ok("2026-11-30T00:00:00Z".to_owned()));
        assert_eq!(parse("2026-11-30T09:30:00+01:00").map(stamp), Ok("2026-11-30T08:30:00Z".to_owned()));
        assert!(parse("yesterday").is_err());
        assert_eq!(
            ["5", "90s", "15m", "2h", "1d"].map(|text| parse_duration(text).unwrap().as_secs()),
            [5, 90, 900, 7_200, 86_400]
        );
        assert!(["", "s", "-1", "1w", "99999999d"].iter().all(|text| parse_duration(text).is_err()));
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let shown = [0, 59, 60, 200, 3_600, 3_660, 90_000].map(|s| duration(Duration::from_secs(s)));
        assert_eq!(shown, ["0s", "59s", "1m", "3m 20s", "1h", "1h 1m", "1d 1h"]);
    }
}

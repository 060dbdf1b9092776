//! Readings of this process, and what to make of many of them.
//!
//! Invariant: a reading that can't be had is an error, never a zero.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// CPU time of this process so far, user and system.
///
/// # Errors
/// When `/proc` can't be read.
pub(super) fn cpu_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat can't be read")?;
    // The program's name may hold spaces; the fields after its closing parenthesis don't. utime and stime are the 14th and 15th of all.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |at: usize| -> Result<u64> { Ok(fields.get(at).context("/proc/self/stat is too short")?.parse()?) };
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) as f64 / ticks_per_second as f64))
}

/// Resident memory of this process, in bytes.
///
/// # Errors
/// When `/proc` can't be read.
pub(super) fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status can't be read")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The value below which this part of the values lies; `part` is a fraction. The values need not be sorted.
pub(super) fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = (part.clamp(0.0, 1.0) * last as f64).ceil() as usize;
    sorted.get(at).copied()
}

/// The middle value.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_and_of_none() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(median(&values), Some(3.0));
        assert_eq!(quantile(&values, 0.99), Some(5.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn this_process_has_memory_and_has_used_time() {
        assert!(resident_bytes().expect("/proc is there") > 1 << 20);
        cpu_time().expect("/proc is there");
    }
}

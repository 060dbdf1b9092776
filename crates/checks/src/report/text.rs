//! Output as text: bounded, decoded strictly, without terminal escapes.
//!
//! Invariant: bytes that are no text are refused, never replaced; an escape sequence never joins two lines.

use damascus_core::display::one_line;

use super::{MAX_REPORT_BYTES, Output, Unreadable};

/// The most tests that one report may count. Above that a number is no count.
pub(super) const MAX_TESTS: u32 = 1_000_000;

/// The longest piece of a report that goes into a message, in characters.
const MAX_QUOTE_CHARS: usize = 160;

/// A contradiction.
pub(super) fn contradiction(suspicious: bool, what: impl Into<String>) -> Unreadable {
    Unreadable::Contradiction { what: what.into(), suspicious }
}

/// Not the shape of the format.
pub(super) fn malformed(what: impl Into<String>) -> Unreadable {
    Unreadable::Malformed { what: what.into() }
}

/// A piece of a report, safe to put into a message.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", one_line(text.trim(), MAX_QUOTE_CHARS))
}

/// The text of `bytes` without terminal escapes; `what` names them in the error.
pub(super) fn decode(bytes: &[u8], what: &'static str) -> Result<String, Unreadable> {
    if bytes.len() > MAX_REPORT_BYTES {
        return Err(Unreadable::TooLarge { what: "bytes of output or of a report file", bound: MAX_REPORT_BYTES });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|fault| malformed(format!("{what} is not UTF-8 after byte {}", fault.valid_up_to())))?;
    if let Some(at) = text.find('\0') {
        return Err(malformed(format!("{what} is binary: a NUL at byte {at}")));
    }
    Ok(without_escapes(text))
}

/// `text` without terminal escape sequences. A sequence ends at a line break at the latest.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match chars.peek() {
            Some('[') => {
                chars.next();
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            Some(']') => {
                while chars.next_if(|c| !matches!(c, '\n' | '\u{7}' | '\u{1b}')).is_some() {}
                chars.next_if_eq(&'\u{7}');
            }
            Some(c) if *c != '\n' => {
                chars.next();
            }
            _ => {}
        }
    }
    plain
}

/// Both streams of a run as text.
pub(super) struct Streams {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) exit_code: i32,
}

impl Streams {
    pub(super) fn of(output: &Output<'_>) -> Result<Self, Unreadable> {
        if output.truncated {
            return Err(Unreadable::Truncated);
        }
        Ok(Self {
            stdout: decode(output.stdout, "standard output")?,
            stderr: decode(output.stderr, "standard error")?,
            exit_code: output.exit_code,
        })
    }

    /// The lines of the one stream that holds a line for which `is_mark` answers true. Marks in both streams contradict each other:
    /// a runner writes its report to one of them.
    pub(super) fn with_mark(
        &self,
        is_mark: impl Fn(&str) -> bool,
        missing: Unreadable,
    ) -> Result<Vec<&str>, Unreadable> {
        match (self.stdout.lines().any(&is_mark), self.stderr.lines().any(&is_mark)) {
            (true, true) => Err(contradiction(true, "both standard output and standard error hold a report")),
            (true, false) => Ok(self.stdout.lines().collect()),
            (false, true) => Ok(self.stderr.lines().collect()),
            (false, false) => Err(missing),
        }
    }
}

/// A count of tests, strictly: digits alone, not over [`MAX_TESTS`].
pub(super) fn count(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok().filter(|n| *n <= MAX_TESTS) } else { None }
}

/// Whether `text` is a duration such as `0.33s`, `12 ms` or `1.5 s`.
pub(super) fn is_duration(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    matches!(&text[number.len()..], "s" | "ms" | "m" | "min" | "h") && is_number(number.trim_end())
}

/// Whether `text` is a number such as `3` or `0.25`.
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The only line that `read` answers for, with its place. Two of them are a contradiction that smells: a runner sums up once.
pub(super) fn only<'a, T>(
    lines: &[&'a str],
    what: &str,
    read: impl Fn(&'a str) -> Option<T>,
) -> Result<Option<(usize, T)>, Unreadable> {
    let mut found = lines.iter().enumerate().filter_map(|(at, line)| read(line).map(|value| (at, value)));
    let first = found.next();
    match found.next() {
        Some((at, _)) => Err(contradiction(
            true,
            format!("a second {what}, at line {}: {}; one command must run the runner once", at + 1, quote(lines[at])),
        )),
        None => Ok(first),
    }
}

//! What comes from outside, checked before it is stored: bounded, without control characters, with an error that names the field.
//!
//! Invariant: what identifies something (a name, a key, a path) is refused when it is not clean; prose is cleaned instead.

use damascus_core::display;
use serde_json::Value;

use crate::StoreError;

/// How long the name of a person or program that decides may be, in characters.
const WHO_MAX_CHARS: usize = 200;
/// How long a reason may be, in characters; more is cut.
pub(crate) const REASON_MAX_CHARS: usize = 4_000;
/// How much of a refused text an error repeats, in characters.
const SHOWN_MAX_CHARS: usize = 80;

/// A text as an error shows it.
pub(crate) fn shown(text: &str) -> String {
    display::one_line(text, SHOWN_MAX_CHARS)
}

/// An error about a field.
pub(crate) fn wrong(field: &str, problem: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid(format!("{field}: {problem}"))
}

/// Who decides, as it is stored.
pub(crate) fn who(by: &str) -> Result<String, StoreError> {
    let clean = display::one_line(by.trim(), WHO_MAX_CHARS);
    if clean.trim().is_empty() {
        return Err(wrong("by", "is empty; say who decides"));
    }
    Ok(clean)
}

/// Why, as it is stored.
pub(crate) fn reason(why: &str) -> String {
    display::many_lines(why.trim(), REASON_MAX_CHARS)
}

/// A text that identifies something: not empty, at most `max_chars` characters, none of them unsafe or white space.
pub(crate) fn word<'a>(field: &str, text: &'a str, max_chars: usize) -> Result<&'a str, StoreError> {
    if text.chars().any(|c| c.is_whitespace() || display::is_unsafe(c)) {
        return Err(wrong(field, format_args!("\"{}\" holds white space or control characters", shown(text))));
    }
    line(field, text, max_chars)
}

/// One line that must be taken as it is: not empty, at most `max_chars` characters, none of them unsafe.
pub(crate) fn line<'a>(field: &str, text: &'a str, max_chars: usize) -> Result<&'a str, StoreError> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err(wrong(field, "is empty"))
    } else if text.chars().any(display::is_unsafe) {
        Err(wrong(field, format_args!("\"{}\" holds control characters", shown(text))))
    } else if length > max_chars {
        Err(wrong(field, format_args!("\"{}\" has {length} characters; at most {max_chars}", shown(text))))
    } else {
        Ok(text)
    }
}

/// A number within bounds, as a column takes it.
pub(crate) fn within<T: Copy + Into<i64>>(field: &str, value: T, least: i64, most: i64) -> Result<i64, StoreError> {
    let value = value.into();
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(wrong(field, format_args!("is {value}; between {least} and {most}")))
}

/// A text that is stored as it is: at most `max_bytes` of UTF-8, and without the one character that Postgres can't keep.
pub(crate) fn body<'a>(field: &str, text: &'a str, max_bytes: usize) -> Result<&'a str, StoreError> {
    if text.len() > max_bytes {
        return Err(wrong(field, format_args!("has {} bytes; at most {max_bytes}", text.len())));
    }
    if text.contains('\0') {
        return Err(wrong(field, "holds a NUL character; take it out"));
    }
    Ok(text)
}

/// A document that is stored as it is, under the same conditions.
pub(crate) fn json(field: &str, value: &Value, max_bytes: usize) -> Result<(), StoreError> {
    let length = value.to_string().len();
    if length > max_bytes {
        return Err(wrong(field, format_args!("has {length} bytes as JSON; at most {max_bytes}")));
    }
    if holds_nul(value) {
        return Err(wrong(field, "holds a NUL character; take it out"));
    }
    Ok(())
}

/// The depth is bounded by that of a `Value` which was parsed; ours are flat.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_and_shows_the_text_without_its_escapes() {
        assert_eq!(
            word("key", "a\u{1b}[31m", 9).unwrap_err().to_string(),
            "key: \"a[31m\" holds white space or control characters"
        );
        assert_eq!(line("repo", "  ", 9).unwrap_err().to_string(), "repo: is empty");
        assert_eq!(
            line("repo", "0123456789", 9).unwrap_err().to_string(),
            "repo: \"0123456789\" has 10 characters; at most 9"
        );
        assert_eq!(
            within("priority", 1001_i32, 0, 1000).unwrap_err().to_string(),
            "priority: is 1001; between 0 and 1000"
        );
        assert!(who("\u{7}\n ").is_err());
    }

    #[test]
    fn what_postgres_can_not_keep_is_refused() {
        assert_eq!(body("text", "abc", 2).unwrap_err().to_string(), "text: has 3 bytes; at most 2");
        assert!(body("text", "a\0b", 9).unwrap_err().to_string().contains("NUL"));
        assert_eq!(body("text", "äb", 3).unwrap(), "äb");
        for held in [serde_json::json!({ "a": ["b\0"] }), serde_json::json!({ "a\0": 1 })] {
            assert!(json("tests", &held, 99).unwrap_err().to_string().contains("NUL"));
        }
        json("tests", &serde_json::json!({ "a": "\\u0000" }), 99).unwrap();
        assert!(json("tests", &serde_json::json!(["abc"]), 6).unwrap_err().to_string().contains("7 bytes"));
    }
}

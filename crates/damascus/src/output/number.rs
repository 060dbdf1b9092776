//! Numbers for people.

/// A count with its thousands set apart, such as `1,234,567`.
#[must_use]
pub fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::from(if n < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in a table, where nothing is better seen than read.
#[must_use]
pub fn cell(n: i64) -> String {
    if n == 0 { "-".to_owned() } else { count(n) }
}

/// `1 item`, `2 items`.
#[must_use]
pub fn of(n: i64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567, -1_000].map(count), ["0", "999", "1,000", "1,234,567", "-1,000"]);
        assert_eq!(cell(0), "-");
        assert_eq!(of(1, "item", "items"), "1 item");
    }
}

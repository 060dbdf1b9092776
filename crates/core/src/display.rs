//! Text from outside, made safe to show: no control characters, no terminal escapes, no bidirectional overrides, bounded.
//!
//! Invariant: what these functions return can't move a cursor, change a colour, or reorder what a reader sees.

/// Whether a character acts on a terminal or on the order of text instead of being shown.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` on one line of at most `max_chars` characters: line breaks and tabs become spaces, other unsafe characters go, and a cut
/// shows as `…`.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' => Some(' '),
        c if is_unsafe(c) => None,
        c => Some(c),
    });
    bounded(shown, max_chars)
}

/// `text` with its line breaks and tabs, without other unsafe characters, at most `max_chars` characters.
#[must_use]
pub fn many_lines(text: &str, max_chars: usize) -> String {
    bounded(text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c)), max_chars)
}

fn bounded(mut chars: impl Iterator<Item = char>, max_chars: usize) -> String {
    let mut shown: String = chars.by_ref().take(max_chars).collect();
    // Where nothing may be shown, not even the sign of a cut may.
    if chars.next().is_some() && shown.pop().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_overrides_and_length_are_taken_out() {
        assert_eq!(one_line("a\u{1b}[31mred\u{7}\nb\u{202e}c", 80), "a[31mred bc");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");

        assert_eq!(many_lines("a\n\tb\r\u{9b}1m", 80), "a\n\tb1m");
    }
}

//! Texts for the local forge: made safe and cut to what it keeps, as a real forge cuts what is too long.
//!
//! Invariant: what these functions give is what the store takes.

use damascus_core::display;
use damascus_store::pull_request::{BODY_MAX_BYTES, DESCRIPTION_MAX_CHARS, TITLE_MAX_CHARS};

/// How much of a name or path is shown, in characters.
const SHOWN_MAX_CHARS: usize = 300;
/// The title of a pull request that has none.
const NO_TITLE: &str = "(no title)";
/// Stands at the end of a text that was cut.
const CUT: &str = "\n\n… (the rest was cut)\n";

/// A name or a path, safe to show.
pub(super) fn shown(text: &str) -> String {
    display::one_line(text, SHOWN_MAX_CHARS)
}

/// A title: one line that says something.
pub(super) fn title(text: &str) -> String {
    let title = display::one_line(text.trim(), TITLE_MAX_CHARS);
    if title.trim().is_empty() { NO_TITLE.to_owned() } else { title }
}

/// A description of a status.
pub(super) fn description(text: &str) -> String {
    display::one_line(text.trim(), DESCRIPTION_MAX_CHARS).trim().to_owned()
}

/// The text of a pull request or a comment.
pub(super) fn body(text: &str) -> String {
    // A character has at least one byte, so that many characters are at most what is cut by bytes below.
    let mut safe = display::many_lines(text, BODY_MAX_BYTES.saturating_add(1));
    if safe.len() <= BODY_MAX_BYTES {
        return safe;
    }
    let mut end = BODY_MAX_BYTES - CUT.len();
    while !safe.is_char_boundary(end) {
        end -= 1;
    }
    safe.truncate(end);
    safe.push_str(CUT);
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_safe_and_bounded() {
        assert_eq!(title(" a\u{1b}[31m\nb "), "a[31m b");
        assert_eq!(title("\u{7}\n"), NO_TITLE);
        assert_eq!(title(&"ä".repeat(600)).chars().count(), 500);
        assert_eq!(body("a\r\n\tb\0\u{202e}"), "a\n\tb");
        let most = "x".repeat(BODY_MAX_BYTES);
        assert_eq!(body(&most), most);
        for (unit, count) in [("x", BODY_MAX_BYTES + 1), ("€", BODY_MAX_BYTES), ("\u{1}", 3 * BODY_MAX_BYTES)] {
            let cut = body(&unit.repeat(count));
            assert!(cut.len() <= BODY_MAX_BYTES && (cut.is_empty() || cut.ends_with(CUT)), "{unit:?}");
        }
        assert_eq!(description(&"x".repeat(141)).chars().count(), 140);
    }
}

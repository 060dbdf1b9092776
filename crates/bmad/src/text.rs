//! Text that came from outside, made safe to show.
//!
//! Invariant: what leaves this module holds no control character but (in bodies) newline and tab, no terminal escape
//! sequence, and no character that reorders or hides text (bidirectional overrides, zero-width marks, tag characters).

use std::iter::Peekable;
use std::str::Chars;

/// Characters of foreign text that a message quotes.
const MAX_QUOTED_CHARS: usize = 80;

/// A text after cleaning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    /// What is left.
    pub(crate) text: String,
    /// 1-based line of the first thing removed, if anything was.
    pub(crate) first_removed: Option<u32>,
}

/// Cleans a multi-line text: line ends become `\n`, tabs stay, everything else that is not visible text goes.
pub(crate) fn clean_body(raw: &str) -> Cleaned {
    let mut text = String::with_capacity(raw.len());
    let mut first_removed = None;
    let mut line = 1_u32;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() == Some(&'\n') {
                    chars.next();
                }
                text.push('\n');
                line = line.saturating_add(1);
            }
            '\n' | '\u{2028}' | '\u{2029}' => {
                text.push('\n');
                line = line.saturating_add(1);
            }
            '\t' => text.push('\t'),
            _ if is_unsafe(c) => {
                skip_escape(c, &mut chars);
                first_removed.get_or_insert(line);
            }
            _ => text.push(c),
        }
    }
    Cleaned { text, first_removed }
}

/// Cleans a text that must be one line: white space is folded into single spaces. Says whether anything was removed.
pub(crate) fn clean_line(raw: &str) -> (String, bool) {
    let mut text = String::with_capacity(raw.len().min(1024));
    let mut removed = false;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}') || c.is_whitespace() && !c.is_control() {
            if !text.ends_with(' ') && !text.is_empty() {
                text.push(' ');
            }
        } else if is_unsafe(c) {
            skip_escape(c, &mut chars);
            removed = true;
        } else {
            text.push(c);
        }
    }
    text.truncate(text.trim_end().len());
    (text, removed)
}

/// Cuts a text to a number of characters; says whether it was longer.
pub(crate) fn truncate_chars(text: &mut String, max: usize) -> bool {
    match text.char_indices().nth(max) {
        Some((at, _)) => {
            text.truncate(at);
            true
        }
        None => false,
    }
}

/// Foreign text for use in a message: one clean line, bounded, in backticks.
pub(crate) fn quote(raw: &str) -> String {
    let (mut text, _) = clean_line(raw);
    if truncate_chars(&mut text, MAX_QUOTED_CHARS) {
        text.push('…');
    }
    format!("`{text}`")
}

/// Whether a character may not be shown. Newline and tab are control characters too; callers that keep them ask first.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' // marks of direction, zero-width space
            | '\u{2028}'..='\u{202E}' // line and paragraph separators, embeddings and overrides
            | '\u{2060}'..='\u{206F}' // invisible operators, isolates
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}' // tag characters: text that only a machine reads
        )
}

/// Passes over the rest of an escape sequence that `introducer` starts. String sequences end at the end of the line at
/// the latest, so that an unfinished one cannot swallow a document.
fn skip_escape(introducer: char, chars: &mut Peekable<Chars<'_>>) {
    let kind = match introducer {
        '\u{1b}' => match chars.peek() {
            Some(&c @ ('[' | ']' | 'P' | 'X' | '^' | '_')) => {
                chars.next();
                c
            }
            Some(' '..='/') => {
                chars.next();
                chars.next_if(|c| ('0'..='~').contains(c));
                return;
            }
            Some('0'..='~') => {
                chars.next();
                return;
            }
            _ => return,
        },
        '\u{9b}' => '[',
        '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => ']',
        _ => return,
    };
    if kind == '[' {
        while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
        chars.next_if(|c| ('@'..='~').contains(c));
        return;
    }
    while let Some(c) = chars.next_if(|c| !matches!(c, '\n' | '\r')) {
        let ended = match c {
            '\u{7}' | '\u{9c}' => true,
            '\u{1b}' => chars.next_if_eq(&'\\').is_some(),
            _ => false,
        };
        if ended {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_go_whole_and_text_stays() {
        let cleaned = clean_body("a\u{1b}[31;1mred\u{1b}[0m\r\nb\u{1b}]0;title\u{7}c\rd\u{9b}2Je\u{1b}(Bf");
        assert_eq!(cleaned, Cleaned { text: "ared\nbc\nde\u{66}".to_owned(), first_removed: Some(1) });
    }

    #[test]
    fn an_unfinished_string_sequence_ends_with_its_line() {
        assert_eq!(clean_body("x\u{1b}]0;never ended\nkept").text, "x\nkept");
    }

    #[test]
    fn overrides_and_tag_characters_go() {
        assert_eq!(clean_line("a\u{202e}b\u{2066}c\u{e0041}d\u{feff}"), ("abcd".to_owned(), true));
        assert_eq!(clean_line("Élan  中文\t🙂"), ("Élan 中文 🙂".to_owned(), false));
    }

    #[test]
    fn quoting_is_bounded() {
        assert_eq!(quote(&"é".repeat(100)).chars().count(), 83);
    }
}

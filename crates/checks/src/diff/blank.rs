//! Source text without what is not code: comments, and the contents of strings.
//!
//! Invariant: both views are as long as the source, byte for byte, with the same line ends, so that a place in one is a place in the
//! other. What the lexer misreads it misreads the same way before and after a change.

use super::conventions::Language;

/// A source in two views.
#[derive(Debug, Clone)]
pub(super) struct Views {
    /// Neither comments nor strings; the quotes go too.
    pub(super) code: String,
    /// No comments; strings as they are.
    pub(super) text: String,
}

/// What a scan is in.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    code: Vec<u8>,
    text: Vec<u8>,
    language: Language,
    /// The last byte of code that was no space, to tell a regular expression from a division.
    before: u8,
}

/// The two views of a source.
pub(super) fn views(source: &str, language: Language) -> Views {
    let bytes = source.as_bytes();
    let mut scan = Scan { bytes, at: 0, code: Vec::new(), text: Vec::new(), language, before: b'\n' };
    while scan.at < bytes.len() {
        scan.step();
    }
    Views {
        code: String::from_utf8_lossy(&scan.code).into_owned(),
        text: String::from_utf8_lossy(&scan.text).into_owned(),
    }
}

impl Scan<'_> {
    fn step(&mut self) {
        let rest = &self.bytes[self.at..];
        let hash_comments = matches!(self.language, Language::Python);
        if hash_comments && rest[0] == b'#' || !hash_comments && rest.starts_with(b"//") {
            let len = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
            self.skip(len, false);
        } else if !hash_comments && rest.starts_with(b"/*") {
            let len = self.block_comment(rest);
            self.skip(len, false);
        } else if let Some(len) = self.string(rest) {
            self.skip(len, true);
            self.before = b'"';
        } else {
            let byte = rest[0];
            self.code.push(byte);
            self.text.push(byte);
            if !byte.is_ascii_whitespace() {
                self.before = byte;
            }
            self.at += 1;
        }
    }

    /// Passes over `len` bytes; a string stays in the text.
    fn skip(&mut self, len: usize, string: bool) {
        for &byte in &self.bytes[self.at..self.at + len] {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            self.code.push(blank);
            self.text.push(if string { byte } else { blank });
        }
        self.at += len;
    }

    /// Rust nests block comments, the others don't.
    fn block_comment(&self, rest: &[u8]) -> usize {
        let mut depth = 1_usize;
        let mut at = 2;
        while at < rest.len() && depth > 0 {
            if rest[at..].starts_with(b"*/") {
                depth -= 1;
                at += 2;
            } else if self.language == Language::Rust && rest[at..].starts_with(b"/*") {
                depth += 1;
                at += 2;
            } else {
                at += 1;
            }
        }
        at.min(rest.len())
    }

    /// The length of the string that begins here, if one does.
    fn string(&self, rest: &[u8]) -> Option<usize> {
        let triple = |quote: &[u8]| rest.starts_with(quote).then(|| until(rest, 3, quote, true));
        match (self.language, rest[0]) {
            (Language::Python, b'"' | b'\'') => {
                triple(b"\"\"\"").or_else(|| triple(b"'''")).or_else(|| Some(one_line(rest, rest[0])))
            }
            (Language::Java, b'"') => triple(b"\"\"\"").or_else(|| Some(one_line(rest, b'"'))),
            (Language::Rust, b'r' | b'b') if !is_word(self.previous()) => raw_string(rest),
            (Language::Rust, b'"') => Some(until(rest, 1, b"\"", true)),
            (Language::Rust, b'\'') => character(rest),
            (Language::Script, b'`') => Some(until(rest, 1, b"`", true)),
            (Language::Go, b'`') => Some(until(rest, 1, b"`", false)),
            (Language::Script, b'/') if self.regex_may_begin() => regex(rest),
            (_, b'"' | b'\'') => Some(one_line(rest, rest[0])),
            _ => None,
        }
    }

    fn previous(&self) -> u8 {
        self.at.checked_sub(1).map_or(b' ', |at| self.bytes[at])
    }

    fn regex_may_begin(&self) -> bool {
        let after_return = self.code.trim_ascii_end().ends_with(b"return");
        after_return || b"(,=:[!&|?{};\n+>".contains(&self.before)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// From `from` to the end of what `close` ends.
fn until(rest: &[u8], from: usize, close: &[u8], escapes: bool) -> usize {
    let mut at = from;
    while at < rest.len() {
        if escapes && rest[at] == b'\\' {
            at += 2;
        } else if rest[at..].starts_with(close) {
            return at + close.len();
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// A string that can't span lines: an unpaired quote is taken as code.
fn one_line(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'\n' {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    1
}

/// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let mut at = usize::from(rest[0] == b'b');
    let raw = rest.get(at) == Some(&b'r');
    at += usize::from(raw);
    let hashes = rest[at..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(at + hashes) != Some(&b'"') || (!raw && hashes > 0) {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    Some(until(rest, at + hashes + 1, &close, !raw))
}

/// A character, not a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'\\' => Some(one_line(rest, b'\'')).filter(|&len| len > 1),
        byte => {
            let width = match byte {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
        }
    }
}

/// A regular expression on one line.
fn regex(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    let mut in_class = false;
    while at < rest.len() && rest[at] != b'\n' {
        match rest[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'/' if !in_class => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

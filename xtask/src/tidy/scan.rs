//! Splits Rust source into code, string literals and comments, so that a rule about code is not tripped by text.
//!
//! Not a parser: it knows where literals and comments begin and end, and nothing more. It never fails; source that
//! does not compile yields whatever was there until the end.

/// A Rust source, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Code by line (index 0 is line 1), with literals emptied and comments left out.
    pub(crate) code: Vec<String>,
    /// String literals with the line on which they begin, escapes resolved as far as rules need.
    pub(crate) strings: Vec<(usize, String)>,
}

/// Takes `source` apart.
pub(crate) fn scan(source: &str) -> Scan {
    let mut scanner = Scanner { rest: source, line: 1, out: Scan { code: vec![String::new()], strings: Vec::new() } };
    while scanner.step() {}
    scanner.out
}

/// Whether `code` has `word` as a whole word, at any place.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    word_ends(code, word).next().is_some()
}

/// What follows each whole-word occurrence of `word`.
pub(crate) fn word_ends<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(word).filter_map(move |(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + word.len()..];
        let whole = !before.is_some_and(is_word) && !after.chars().next().is_some_and(is_word);
        whole.then_some(after)
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    out: Scan,
}

impl Scanner<'_> {
    /// Consumes one comment, literal or character; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if first == '"' {
            self.string();
        } else if first == '\'' {
            self.quote();
        } else if first != 'r' || self.inside_word() || !self.raw_string() {
            self.keep(first);
        }
        true
    }

    /// A raw string may follow `b` or `c`, which are then part of its prefix.
    fn inside_word(&self) -> bool {
        let before = self.out.code.last().map_or("", String::as_str);
        let prefixed = before.strip_suffix(['b', 'c']).unwrap_or(before);
        prefixed.chars().next_back().is_some_and(is_word)
    }

    fn keep(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.out.code.push(String::new());
        } else if let Some(line) = self.out.code.last_mut() {
            line.push(c);
        }
    }

    /// Leaves out `bytes` of text, counting its lines.
    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes);
        for _ in gone.matches('\n') {
            self.line += 1;
            self.out.code.push(String::new());
        }
        self.rest = rest;
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        let mut at = 0;
        while at < self.rest.len() {
            let here = &self.rest[at..];
            if here.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        self.skip(at);
    }

    /// Records a literal and leaves `""` in the code.
    fn literal(&mut self, value: String, bytes: usize) {
        self.out.strings.push((self.line, value));
        if let Some(line) = self.out.code.last_mut() {
            line.push_str("\"\"");
        }
        self.skip(bytes);
    }

    fn string(&mut self) {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, '"')) => value.push('"'),
                    Some((_, '\\')) => value.push('\\'),
                    // A newline or a line that goes on: the rules count lines, so it stays one.
                    Some((_, 'n' | 't' | 'r')) => value.push(' '),
                    Some((_, '\n')) => value.push('\n'),
                    Some((_, other)) => value.extend(['\\', other]),
                    None => break,
                },
                other => value.push(other),
            }
        }
        self.literal(value, end);
    }

    /// `r"…"`, `r#"…"#`; false when it is no raw string (a name, or a raw identifier).
    fn raw_string(&mut self) -> bool {
        let after = &self.rest[1..];
        let hashes = after.bytes().take_while(|b| *b == b'#').count();
        let Some(body) = after[hashes..].strip_prefix('"') else { return false };
        let closing = format!("\"{}", "#".repeat(hashes));
        let length = body.find(&closing).unwrap_or(body.len());
        let bytes = (1 + hashes + 1 + length + closing.len()).min(self.rest.len());
        self.literal(body[..length].to_owned(), bytes);
        true
    }

    /// A character literal is left out; a lifetime is code.
    fn quote(&mut self) {
        let mut chars = self.rest.chars().skip(1);
        let (first, second) = (chars.next(), chars.next());
        let length = match (first, second) {
            (Some('\\'), Some(escaped)) => {
                let from = 2 + escaped.len_utf8();
                self.rest[from..].find('\'').map(|at| from + at + 1)
            }
            (Some(c), Some('\'')) => Some(1 + c.len_utf8() + 1),
            _ => None,
        };
        match length {
            Some(bytes) => self.skip(bytes),
            None => self.keep('\''),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(source: &str) -> Vec<(usize, String)> {
        scan(source).strings
    }

    #[test]
    fn comments_are_left_out_and_lines_kept() {
        let scan = scan("a // b\n/* c /* d */\n e */ f\n");
        assert_eq!(scan.code, ["a ", "", " f", ""]);
        assert_eq!(scan.strings, []);
    }

    #[test]
    fn strings_are_taken_out_with_their_line() {
        let found = strings("let a = \"x // y\";\nlet b = r#\"q \"z\" \"#;\nlet c = br\"w\"; let d = b\"v\\\"\";");
        let expected = [(1, "x // y"), (2, "q \"z\" "), (3, "w"), (3, "v\"")];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn a_string_over_lines_keeps_the_count() {
        let source = "f(\"a\n  b\");\ng(\"c\");";
        assert_eq!(strings(source), [(1, "a\n  b".to_owned()), (3, "c".to_owned())]);
        assert_eq!(scan(source).code, ["f(\"\"", ");", "g(\"\");"]);
    }

    #[test]
    fn quotes_may_be_characters_or_lifetimes() {
        let source = "fn f<'a>(x: &'a str) { let _ = ('\"', '\\'', '\\u{1F}', 'é'); g(\"s\") }";
        assert_eq!(strings(source), [(1, "s".to_owned())]);
    }

    #[test]
    fn a_name_that_ends_in_r_is_no_raw_string() {
        assert_eq!(strings("for\"x\" r#type \"y\""), [(1, "x".to_owned()), (1, "y".to_owned())]);
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("a.sleep(1)", "sleep"));
        assert!(!has_word("asleep(1) sleeper", "sleep"));
        assert_eq!(word_ends("x.sleep (1); sleep(2)", "sleep").collect::<Vec<_>>(), [" (1); sleep(2)", "(2)"]);
    }
}

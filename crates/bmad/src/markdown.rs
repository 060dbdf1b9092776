//! As much of Markdown as stories need: lines, fences, comments, headings, front matter.
//!
//! Invariant: a line inside a code fence or a comment is never taken for a heading, a status or a criterion; every line
//! knows its number in the file.

/// What a line is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// Ordinary text.
    Text,
    /// A code fence or something inside one.
    Code,
    /// Inside a comment, its first and last line included.
    Comment,
}

/// A line of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// 1-based, in the file.
    pub(crate) number: u32,
    /// Without its end.
    pub(crate) text: &'a str,
    /// What it is part of.
    pub(crate) kind: LineKind,
}

impl<'a> Line<'a> {
    /// The level and text of a heading. Any white space may follow the `#`s, or none: upstream's patterns allow both.
    pub(crate) fn heading(&self) -> Option<(u8, &'a str)> {
        if self.kind != LineKind::Text {
            return None;
        }
        let text = self.text.trim_start_matches('#');
        let level = u8::try_from(self.text.len() - text.len()).ok()?;
        (1..=6).contains(&level).then_some((level, text.trim()))
    }

    /// Like [`Self::heading`], but by CommonMark: white space follows the `#`s, and closing ones are no part of the
    /// text.
    pub(crate) fn strict_heading(&self) -> Option<(u8, &'a str)> {
        let (level, text) = self.heading()?;
        let after = self.text.get(usize::from(level)..)?;
        (after.is_empty() || after.starts_with([' ', '\t'])).then(|| (level, without_closing(text)))
    }
}

/// A heading's text without a closing run of `#`, which white space must precede.
pub(crate) fn without_closing(text: &str) -> &str {
    let bare = text.trim_end_matches('#');
    if bare.is_empty() || bare.ends_with([' ', '\t']) { bare.trim_end() } else { text }
}

/// A text by lines.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// All of them.
    pub(crate) lines: Vec<Line<'a>>,
    /// Where a fence opens that never closes.
    pub(crate) unclosed_fence: Option<u32>,
    /// Where a comment opens that never closes.
    pub(crate) unclosed_comment: Option<u32>,
}

enum Inside {
    Nothing,
    Fence { mark: char, length: usize, line: u32 },
    Comment { line: u32 },
}

impl<'a> Document<'a> {
    /// Splits a text whose first line has the given number.
    pub(crate) fn parse(text: &'a str, first_line: u32) -> Self {
        let mut inside = Inside::Nothing;
        let mut lines = Vec::new();
        for (number, text) in (first_line..).zip(text.lines()) {
            let kind;
            (kind, inside) = step(inside, text, number);
            lines.push(Line { number, text, kind });
        }
        let (unclosed_fence, unclosed_comment) = match inside {
            Inside::Nothing => (None, None),
            Inside::Fence { line, .. } => (Some(line), None),
            Inside::Comment { line } => (None, Some(line)),
        };
        Self { lines, unclosed_fence, unclosed_comment }
    }
}

fn step(inside: Inside, text: &str, number: u32) -> (LineKind, Inside) {
    match inside {
        Inside::Nothing => {
            if let Some((mark, length, info)) = fence(text) {
                // By CommonMark a backtick fence's info string holds no backtick: otherwise it is inline code.
                if mark == '~' || !info.contains('`') {
                    return (LineKind::Code, Inside::Fence { mark, length, line: number });
                }
            }
            let comment = text.rfind("<!--").filter(|at| !text.get(*at..).is_some_and(|rest| rest.contains("-->")));
            match comment {
                Some(at) if text.get(..at).is_some_and(|before| before.trim().is_empty()) => {
                    (LineKind::Comment, Inside::Comment { line: number })
                }
                Some(_) => (LineKind::Text, Inside::Comment { line: number }),
                None => (LineKind::Text, Inside::Nothing),
            }
        }
        Inside::Fence { mark, length, line } => {
            let closes = fence(text).is_some_and(|(m, l, info)| m == mark && l >= length && info.trim().is_empty());
            (LineKind::Code, if closes { Inside::Nothing } else { Inside::Fence { mark, length, line } })
        }
        Inside::Comment { line } => {
            (LineKind::Comment, if text.contains("-->") { Inside::Nothing } else { Inside::Comment { line } })
        }
    }
}

fn fence(text: &str) -> Option<(char, usize, &str)> {
    let rest = text.trim_start_matches(' ');
    if text.len() - rest.len() > 3 {
        return None;
    }
    let mark = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = rest.trim_start_matches(mark);
    let length = rest.len() - info.len();
    (length >= 3).then_some((mark, length, info))
}

/// A text split at the end of its front matter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    /// The YAML between the `---` lines; its first line is the file's second.
    pub(crate) front_matter: Option<&'a str>,
    /// What follows.
    pub(crate) body: &'a str,
    /// The number of the body's first line.
    pub(crate) body_line: u32,
}

/// Takes the front matter off. Without a closing `---` there is none.
pub(crate) fn split_front_matter(text: &str) -> Split<'_> {
    let whole = Split { front_matter: None, body: text, body_line: 1 };
    let Some(rest) = text.strip_prefix("---").and_then(|rest| rest.trim_start_matches([' ', '\t']).strip_prefix('\n'))
    else {
        return whole;
    };
    let mut at = 0;
    for (number, line) in (2_u32..).zip(rest.split_inclusive('\n')) {
        if line.trim_end() == "---" {
            let body = rest.get(at + line.len()..).unwrap_or_default();
            return Split { front_matter: rest.get(..at), body, body_line: number.saturating_add(1) };
        }
        at += line.len();
    }
    whole
}

/// A line without emphasis marks at its ends and around a label.
pub(crate) fn without_emphasis(text: &str) -> String {
    text.replace("**", "").replace("__", "").trim().to_owned()
}

/// A line's text without what makes it a quotation, a list item or indented.
pub(crate) fn without_markers(text: &str) -> &str {
    let text = text.trim_start().trim_start_matches(['>', ' ']);
    list_item(text).map_or(text.trim(), |(_, item)| item)
}

/// What follows a list marker (`-`, `*`, `+`, `1.`, `1)`), and the indentation before it in columns.
pub(crate) fn list_item(text: &str) -> Option<(usize, &str)> {
    let rest = text.trim_start_matches([' ', '\t']);
    let indent = text.get(..text.len() - rest.len())?.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
    let after = match rest.strip_prefix(['-', '*', '+']) {
        Some(after) => after,
        None => {
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            if after.len() == rest.len() || rest.len() - after.len() > 9 {
                return None;
            }
            after.strip_prefix(['.', ')'])?
        }
    };
    (after.is_empty() || after.starts_with([' ', '\t'])).then(|| (indent, after.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<LineKind> {
        Document::parse(text, 1).lines.iter().map(|line| line.kind).collect()
    }

    #[test]
    fn fences_end_with_their_own_mark() {
        use LineKind::{Code, Text};
        assert_eq!(kinds("a\n````md\n```\n# x\n~~~\n````\nb"), [Text, Code, Code, Code, Code, Code, Text]);
        assert_eq!(kinds("``` inline ```\nb"), [Text, Text]);
        assert_eq!(Document::parse("a\n```\nb", 5).unclosed_fence, Some(6));
    }

    #[test]
    fn comments_hide_their_lines() {
        use LineKind::{Comment, Text};
        assert_eq!(kinds("<!-- one -->\n<!--\n# x\n-->\nb"), [Text, Comment, Comment, Comment, Text]);
        assert_eq!(Document::parse("<!-- a\nb", 1).unclosed_comment, Some(1));
    }

    #[test]
    fn front_matter_is_split_off() {
        let split = split_front_matter("---\na: b\n---\n# T\n");
        assert_eq!(split, Split { front_matter: Some("a: b\n"), body: "# T\n", body_line: 4 });
        assert_eq!(split_front_matter("---\na: b\n").front_matter, None);
        assert_eq!(split_front_matter("a\n---\n").front_matter, None);
    }

    #[test]
    fn headings_and_items() {
        let line = |text| Line { number: 1, text, kind: LineKind::Text };
        assert_eq!(line("### A b ##").strict_heading(), Some((3, "A b")));
        assert_eq!(line("# Learn C#").strict_heading(), Some((1, "Learn C#")));
        assert_eq!(line("###A").strict_heading(), None);
        assert_eq!(line("###A").heading(), Some((3, "A")));
        assert_eq!(line("####### A").heading(), None);
        assert_eq!(list_item("  - x"), Some((2, "x")));
        assert_eq!(list_item("12) y"), Some((0, "y")));
        assert_eq!(list_item("-x"), None);
        assert_eq!(list_item("1234567890. x"), None);
    }
}

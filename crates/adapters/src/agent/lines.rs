//! A program's output as lines, and the last of them.
//!
//! Invariant: neither a line without an end nor a flood of lines takes more memory than the bounds below.

use std::collections::VecDeque;

use damascus_sandbox::{Sink, Stream};

/// What takes lines, without their ends; bytes that are no UTF-8 are replaced.
pub(crate) trait TakesLines: Send {
    fn line(&mut self, stream: Stream, line: &str);
}

/// Takes a program's output apart into lines.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    to: T,
    out: Buffer,
    err: Buffer,
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    max: usize,
    /// A line beyond the bound comes in pieces; else it is left out, since a piece of it would mean nothing.
    in_pieces: bool,
    leaving_out: bool,
}

/// What stands for a line that was left out.
const LEFT_OUT: &str = "[a line that is too long was left out]";

impl<T: TakesLines> Lines<T> {
    /// Lines of both streams; longer ones come in pieces of `max` bytes.
    pub(crate) fn in_pieces(to: T, max: usize) -> Self {
        Self { to, out: Buffer::new(max, true), err: Buffer::new(max, true) }
    }

    /// Lines of standard output are whole, up to `max_out` bytes, or left out; those of standard error come in pieces.
    pub(crate) fn whole(to: T, max_out: usize, max_err: usize) -> Self {
        Self { to, out: Buffer::new(max_out, false), err: Buffer::new(max_err, true) }
    }

    /// Passes on what has no line end yet, and gives the taker back.
    pub(crate) fn finish(mut self) -> T {
        self.out.flush(Stream::Out, &mut self.to);
        self.err.flush(Stream::Err, &mut self.to);
        self.to
    }
}

impl<T: TakesLines> Sink for Lines<T> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let buffer = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(rest) => {
                    buffer.push(rest, stream, &mut self.to);
                    buffer.end(stream, &mut self.to);
                }
                None => buffer.push(part, stream, &mut self.to),
            }
        }
    }
}

impl Buffer {
    const fn new(max: usize, in_pieces: bool) -> Self {
        Self { bytes: Vec::new(), max, in_pieces, leaving_out: false }
    }

    fn push(&mut self, mut bytes: &[u8], stream: Stream, to: &mut impl TakesLines) {
        if self.leaving_out {
            return;
        }
        while self.bytes.len() + bytes.len() > self.max {
            if !self.in_pieces {
                self.bytes = Vec::new();
                self.leaving_out = true;
                return;
            }
            let (now, later) = bytes.split_at(self.max - self.bytes.len());
            self.bytes.extend_from_slice(now);
            bytes = later;
            let cut = whole_characters(&self.bytes);
            let rest = self.bytes.split_off(cut);
            self.give(stream, to);
            self.bytes = rest;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, stream: Stream, to: &mut impl TakesLines) {
        if std::mem::take(&mut self.leaving_out) {
            to.line(stream, LEFT_OUT);
        } else {
            self.give(stream, to);
        }
    }

    fn flush(&mut self, stream: Stream, to: &mut impl TakesLines) {
        if self.leaving_out || !self.bytes.is_empty() {
            self.end(stream, to);
        }
    }

    fn give(&mut self, stream: Stream, to: &mut impl TakesLines) {
        let line = self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes);
        to.line(stream, &String::from_utf8_lossy(line));
        self.bytes.clear();
    }
}

/// How many bytes may be cut off so that a character that is not whole yet stays together. At least one.
fn whole_characters(bytes: &[u8]) -> usize {
    const CHARACTER_MAX: usize = 4;
    let from = bytes.len().saturating_sub(CHARACTER_MAX - 1);
    let begun = (from..bytes.len()).rev().find(|&at| bytes[at] >= 0xc0);
    match begun {
        Some(at) if at > 0 && std::str::from_utf8(&bytes[at..]).is_err() => at,
        _ => bytes.len(),
    }
}

/// The last lines of a text that is not kept.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Tail {
    /// Bytes that are kept; of a single longer line its end.
    const MAX_BYTES: usize = 2 * 1024;

    pub(crate) fn push(&mut self, line: &str) {
        let line = &line[line.ceil_char_boundary(line.len().saturating_sub(Self::MAX_BYTES))..];
        // A line end counts, so that empty lines are bounded too.
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > Self::MAX_BYTES && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
        }
    }

    pub(crate) fn text(&self) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join("\n").trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(Vec<String>);

    impl TakesLines for Kept {
        fn line(&mut self, _stream: Stream, line: &str) {
            self.0.push(line.to_owned());
        }
    }

    fn split(mut lines: Lines<Kept>, pieces: &[&[u8]]) -> Vec<String> {
        for piece in pieces {
            lines.write(Stream::Out, piece);
        }
        lines.finish().0
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let pieces: [&[u8]; 4] = [b"on", b"e\r\ntwo\n\nth", "\u{e9}".as_bytes(), b"ree\xff"];
        assert_eq!(split(Lines::in_pieces(Kept::default(), 100), &pieces), ["one", "two", "", "th\u{e9}ree\u{fffd}"]);
    }

    #[test]
    fn a_line_without_an_end_comes_in_pieces_that_keep_characters_whole() {
        let text = "a\u{20ac}\u{20ac}\u{20ac}b\n";
        assert_eq!(
            split(Lines::in_pieces(Kept::default(), 5), &[text.as_bytes()]),
            ["a\u{20ac}", "\u{20ac}", "\u{20ac}b"]
        );
        let bytes = [0xe2u8; 12];
        assert_eq!(split(Lines::in_pieces(Kept::default(), 5), &[&bytes]).concat().chars().count(), 12);
    }

    #[test]
    fn a_line_that_must_be_whole_is_left_out_when_it_is_too_long() {
        let lines = Lines::whole(Kept::default(), 4, 4);
        assert_eq!(split(lines, &[b"abcd\nabc", b"def", b"ghi\nxy\nabcdefg"]), ["abcd", LEFT_OUT, "xy", LEFT_OUT]);
    }

    #[test]
    fn the_tail_keeps_what_came_last() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(&format!("line {number}"));
        }
        assert!(tail.text().ends_with("line 998\nline 999") && tail.text().len() <= Tail::MAX_BYTES);
        tail.push(&format!("{}\u{20ac}end", "\u{20ac}".repeat(100_000)));
        assert!(tail.text().ends_with("\u{20ac}end") && tail.text().len() <= Tail::MAX_BYTES);
    }
}

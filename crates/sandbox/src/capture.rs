//! Keeps what a program printed within a bound: its head and its tail, and how much was left out between them.
//!
//! Invariant: never more than the bound is held in memory; a cut always shows.

use std::collections::VecDeque;

use crate::run::{Sink, Stream};

/// A [`Sink`] that keeps the head and the tail of what was printed, both streams in the order they came.
#[derive(Debug, Clone)]
pub struct Capture {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    left_out: u64,
}

impl Capture {
    /// Keeps at most `bytes` bytes: a quarter of them for the head, the rest for the tail (what went wrong is said last).
    #[must_use]
    pub fn new(bytes: usize) -> Capture {
        let head_max = bytes / 4;
        Capture { head: Vec::new(), head_max, tail: VecDeque::new(), tail_max: bytes - head_max, left_out: 0 }
    }

    /// Bytes that were printed and not kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What was kept, with a line in place of what was left out. Bytes that are not UTF-8 become `\u{fffd}`; control characters are the
    /// program's own, so make it safe before it is shown.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n[… {} bytes left out …]\n", self.left_out));
            text.push_str(&String::from_utf8_lossy(&self.tail_bytes()));
            return text;
        }
        // Joined as bytes, so that a character that lies across the border of head and tail stays whole.
        let mut all = self.head.clone();
        all.extend(self.tail_bytes());
        String::from_utf8_lossy(&all).into_owned()
    }

    fn tail_bytes(&self) -> Vec<u8> {
        self.tail.iter().copied().collect()
    }
}

impl Sink for Capture {
    fn write(&mut self, _stream: Stream, bytes: &[u8]) {
        let room = self.head_max - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        // Of a piece that is longer than the tail only its end can stay.
        let skipped = rest.len().saturating_sub(self.tail_max);
        let kept = rest.get(skipped..).unwrap_or_default();
        let pushed_out = (self.tail.len() + kept.len()).saturating_sub(self.tail_max);
        self.tail.drain(..pushed_out);
        self.tail.extend(kept);
        self.left_out += (skipped + pushed_out) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_whole_in_the_order_it_came() {
        let mut capture = Capture::new(40);
        capture.write(Stream::Out, b"one ");
        capture.write(Stream::Err, "zwölf drei\n".as_bytes());
        capture.write(Stream::Out, b"four");

        assert_eq!(capture.text(), "one zwölf drei\nfour");
        assert_eq!(capture.left_out(), 0);
    }

    #[test]
    fn beyond_the_bound_head_and_tail_stay_and_the_cut_shows() {
        let mut capture = Capture::new(16);
        for piece in ["aaaa", "bbbbbbbb", "cc", "dddddddddd"] {
            capture.write(Stream::Out, piece.as_bytes());
        }

        assert_eq!(capture.text(), "aaaa\n[… 8 bytes left out …]\nccdddddddddd");
        assert_eq!(capture.left_out(), 8);
    }

    #[test]
    fn one_piece_longer_than_everything_leaves_its_ends() {
        let mut capture = Capture::new(8);
        capture.write(Stream::Out, b"0123456789abcdef");

        assert_eq!(capture.text(), "01\n[… 8 bytes left out …]\nabcdef");
    }

    #[test]
    fn a_flood_never_holds_more_than_the_bound() {
        let mut capture = Capture::new(1000);
        for _ in 0..1000 {
            capture.write(Stream::Err, &[b'x'; 333]);
        }

        assert_eq!(capture.head.len() + capture.tail.len(), 1000);
        assert_eq!(capture.left_out(), 333 * 1000 - 1000);
    }
}

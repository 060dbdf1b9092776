//! A terminal that is redrawn in place.
//!
//! Invariant: however the drawing ends, the terminal is given back as it was, with the last picture left on it.

use super::style::{Style, Tone};
use super::{Output, OutputError};

/// To a screen of its own, without a cursor.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
/// Back.
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// A screen of its own on a terminal; on anything else each picture follows the one before.
#[derive(Debug)]
pub struct Screen<'a> {
    out: &'a Output,
    last: String,
    entered: bool,
}

impl<'a> Screen<'a> {
    /// Takes the terminal over, if it is one.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn enter(out: &'a Output) -> Result<Self, OutputError> {
        let entered = out.size().is_some();
        if entered {
            out.write(ENTER)?;
        }
        Ok(Self { out, last: String::new(), entered })
    }

    /// Shows a picture instead of the one before. Lines below the screen are counted instead of shown.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn draw(&mut self, picture: String) -> Result<(), OutputError> {
        match self.out.size().filter(|_| self.entered) {
            Some((_, lines)) => self.out.write(&frame(&picture, lines, self.out.style()))?,
            None if picture != self.last => self.out.write(&format!("{picture}\n"))?,
            None => {}
        }
        self.last = picture;
        Ok(())
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        if self.entered {
            // Nobody is left to be told when the terminal is gone.
            let _ = self.out.write(&format!("{LEAVE}{}", self.last));
        }
    }
}

/// What redraws a screen of so many lines without flicker: each line over the old one, then nothing below.
fn frame(picture: &str, lines: usize, style: Style) -> String {
    let all: Vec<&str> = picture.lines().collect();
    let fits = if all.len() > lines { lines.saturating_sub(1) } else { all.len() };
    let mut text = String::from("\u{1b}[H");
    for (at, line) in all.iter().take(fits).enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str("\u{1b}[K");
    }
    if fits < all.len() {
        let more = format!("… {} more lines", all.len() - fits);
        text.push_str(&format!("\r\n{}\u{1b}[K", style.paint(Tone::Faint, &more)));
    }
    text.push_str("\u{1b}[J");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_has_more_lines_than_the_screen() {
        assert_eq!(frame("a\nb", 2, Style::new(false)), "\u{1b}[Ha\u{1b}[K\r\nb\u{1b}[K\u{1b}[J");
        let cut = frame("a\nb\nc\n", 2, Style::new(false));
        assert_eq!(cut, "\u{1b}[Ha\u{1b}[K\r\n… 2 more lines\u{1b}[K\u{1b}[J");
    }
}

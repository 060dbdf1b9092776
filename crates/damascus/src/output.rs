//! Standard output and standard error: what goes where, how wide, in colour or not.
//!
//! Invariant: with `--json`, standard output holds JSON only. Nothing else in the program writes to either stream, but for logs, the
//! parser of the command line, and the completion scripts.

pub mod fields;
pub mod number;
pub mod screen;
pub mod style;
pub mod table;
pub mod time;

use std::io::{IsTerminal as _, Write as _};

use rustix::termios;
use serde::Serialize;

use style::Style;
use table::Table;

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("standard output can't be written")]
pub struct OutputError(#[from] std::io::Error);

impl OutputError {
    /// Whether the reader went away, as `head` does.
    #[must_use]
    pub fn reader_left(&self) -> bool {
        self.0.kind() == std::io::ErrorKind::BrokenPipe
    }
}

/// Where a command writes.
#[derive(Debug)]
pub struct Output {
    json: bool,
    terminal: bool,
    /// How standard output is decorated.
    style: Style,
}

impl Output {
    /// Looks at the streams and the environment. `json` is the flag of that name.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { json, terminal, style: Style::new(terminal && colour_is_wanted()) }
    }

    /// Whether JSON was asked for.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// How to decorate text.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// The columns and lines of the terminal; nothing when standard output is none.
    #[must_use]
    pub fn size(&self) -> Option<(usize, usize)> {
        if !self.terminal {
            return None;
        }
        let size = termios::tcgetwinsize(std::io::stdout()).ok()?;
        (size.ws_col > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// How wide a table may be; nothing when it may be as wide as it likes.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.size().map(|(columns, _)| columns)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn write(&self, text: &str) -> Result<(), OutputError> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }

    /// Writes a line.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn line(&self, text: impl std::fmt::Display) -> Result<(), OutputError> {
        self.write(&format!("{text}\n"))
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn json<T: Serialize>(&self, value: &T) -> Result<(), OutputError> {
        let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
        self.line(text)
    }

    /// Writes a value as JSON on one line, for a stream of them.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn json_line<T: Serialize>(&self, value: &T) -> Result<(), OutputError> {
        let text = serde_json::to_string(value).map_err(std::io::Error::from)?;
        self.line(text)
    }

    /// Writes a table that fits the terminal; one without rows as `nothing`.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn table(&self, table: &Table, nothing: &str) -> Result<(), OutputError> {
        if table.is_empty() {
            return self.line(nothing);
        }
        self.write(&table.render(self.width(), self.style))
    }

    /// Tells how a command gets on: on standard output for people, on standard error where that holds JSON.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn tell(&self, text: impl std::fmt::Display) -> Result<(), OutputError> {
        if self.json {
            self.note(text);
            return Ok(());
        }
        self.line(text)
    }

    /// Tells a person something beside the result, on standard error. What can't be told is not worth failing for.
    pub fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// `NO_COLOR` and a dumb terminal switch colours off.
fn colour_is_wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

//! Tables: aligned columns without borders, cut to the terminal's width.
//!
//! Invariants: a row is one line; no cell can break out of its own, since all text passes through [`display::one_line`]; when standard
//! output is no terminal nothing is cut.

use damascus_core::display;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::{Style, Tone};

/// Spaces between columns.
const GAP: usize = 2;
/// A column that may be cut keeps at least this width.
const MIN_CUT_WIDTH: usize = 6;
/// The longest text that a cell takes, in characters.
const CELL_MAX_CHARS: usize = 1_000;

/// Where a column's text stands, and what happens to it when space is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// To the left, never cut.
    Left,
    /// To the right, never cut: numbers.
    Right,
    /// To the left; may be cut when the terminal is narrow.
    Cut,
}

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone.
    pub fn toned(tone: Tone, text: impl AsRef<str>) -> Self {
        Self { text: display::one_line(text.as_ref(), CELL_MAX_CHARS), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

/// A table with a heading for each column.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Column)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: &[(&'static str, Column)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let row: Vec<Cell> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, at most `width` columns wide where that is possible.
    #[must_use]
    pub fn render(&self, width: Option<usize>, style: Style) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        let heading = self.columns.iter().map(|(name, _)| Cell::toned(Tone::Strong, name)).collect::<Vec<_>>();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let mut line = String::new();
            let mut pending = 0;
            for (cell, (&(_, column), &wide)) in row.iter().zip(self.columns.iter().zip(&widths)) {
                let shown = cut(&cell.text, wide);
                let missing = wide.saturating_sub(shown.width());
                let (before, after) = if column == Column::Right { (missing, 0) } else { (0, missing) };
                if !shown.is_empty() {
                    line.extend(std::iter::repeat_n(' ', pending + before));
                    line.push_str(&style.paint(cell.tone, &shown));
                    pending = 0;
                } else {
                    pending += before;
                }
                pending += after + GAP;
            }
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = (*wide).max(cell.text.width());
            }
        }
        let Some(limit) = width else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        // The widest column that may be cut gives way first.
        while widths.iter().sum::<usize>() + gaps > limit {
            let widest = widths
                .iter_mut()
                .zip(&self.columns)
                .filter(|(wide, (_, column))| *column == Column::Cut && **wide > MIN_CUT_WIDTH)
                .map(|(wide, _)| wide)
                .max();
            match widest {
                Some(wide) => *wide -= 1,
                None => break,
            }
        }
        widths
    }
}

/// `text` in at most `width` columns; a cut shows as `…`.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide >= width {
            break;
        }
        used += wide;
        shown.push(c);
    }
    shown.truncate(shown.trim_end().len());
    shown.push('…');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[("ID", Column::Right), ("TITLE", Column::Cut), ("PHASE", Column::Left)]);
        table.row(["7".into(), "Sign in with a passkey".into(), "spec".into()]);
        table.row(["12".into(), "日本語の表題\u{1b}[31m".into(), "merge".into()]);
        table
    }

    #[test]
    fn columns_align_and_nothing_is_cut_without_a_width() {
        let text = table().render(None, Style::new(false));
        assert_eq!(
            text,
            "ID  TITLE                   PHASE\n 7  Sign in with a passkey  spec\n12  日本語の表題[31m        merge\n"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_the_column_that_may_be_cut() {
        let text = table().render(Some(24), Style::new(false));
        assert_eq!(text, "ID  TITLE          PHASE\n 7  Sign in with…  spec\n12  日本語の表題…  merge\n");
        assert!(text.lines().all(|line| line.width() <= 24));
        assert_eq!(cut("abc", 0), "…");
    }
}

//! One thing's fields, a line each.
//!
//! Invariant: a value can't break out of its line.

use damascus_core::display;

/// The longest value that is shown, in characters.
const VALUE_MAX_CHARS: usize = 2_000;

/// Names and values, aligned.
#[must_use]
pub fn render(fields: &[(&str, String)]) -> String {
    let wide = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    fields
        .iter()
        .map(|(name, value)| format!("{name:wide$}  {}\n", display::one_line(value, VALUE_MAX_CHARS)))
        .collect()
}

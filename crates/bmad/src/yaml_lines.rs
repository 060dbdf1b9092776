//! The little of YAML that can be read when the whole does not parse.
//!
//! Invariant: only plain `key: value` lines are believed; a value that opens a structure, an anchor or a block is none.
//! The caller always reports that it read this way.

/// A `key: value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyValue {
    /// Without quotes.
    pub(crate) key: String,
    /// Without quotes and comment; empty if there is none.
    pub(crate) value: String,
    /// 1-based.
    pub(crate) line: u32,
}

/// The unindented entries.
pub(crate) fn top_level(text: &str) -> Vec<KeyValue> {
    numbered(text).filter(|(_, line)| !line.starts_with([' ', '\t', '-', '#'])).filter_map(read).collect()
}

/// The entries indented below an unindented `name:`, up to the next unindented line.
pub(crate) fn section(text: &str, name: &str) -> Vec<KeyValue> {
    numbered(text)
        .skip_while(|(_, line)| !is_section_head(line, name))
        .skip(1)
        .take_while(|(_, line)| line.trim().is_empty() || line.starts_with([' ', '#']))
        .filter(|(_, line)| !line.trim_start().starts_with(['#', '-']))
        .filter_map(read)
        .collect()
}

fn is_section_head(line: &str, name: &str) -> bool {
    line.strip_prefix(name)
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .is_some_and(|rest| rest.trim().is_empty() || rest.trim_start().starts_with('#'))
}

fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1_u32..).zip(text.lines())
}

fn read((line, text): (u32, &str)) -> Option<KeyValue> {
    let (key, value) = text.trim().split_once(':')?;
    if !value.is_empty() && !value.starts_with([' ', '\t']) {
        return None;
    }
    let key = unquote(key.trim())?;
    let value = unquote(strip_comment(value.trim()).trim_end())?;
    (!key.is_empty()).then(|| KeyValue { key: key.to_owned(), value: value.to_owned(), line })
}

/// Takes quotes away; `None` for a value that is no plain text. `{project-root}` is what makes most such files fail, so
/// a value that begins with exactly that is let through.
fn unquote(text: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            return rest.strip_suffix(quote).filter(|inner| !inner.contains([quote, '\\']));
        }
    }
    let opens_more = text.starts_with(['{', '[', '&', '*', '!', '|', '>', '%', '@', '`']);
    (!opens_more || text.starts_with("{project-root}")).then_some(text)
}

fn strip_comment(text: &str) -> &str {
    if text.starts_with('#') {
        return "";
    }
    if text.starts_with(['"', '\'']) {
        let quote = text.as_bytes().first().copied();
        let end = text.bytes().skip(1).position(|b| Some(b) == quote);
        return end.and_then(|at| text.get(..at + 2)).unwrap_or(text);
    }
    text.find(" #").map_or(text, |at| text.get(..at).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(entries: &[KeyValue]) -> Vec<(&str, &str, u32)> {
        entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str(), entry.line)).collect()
    }

    #[test]
    fn a_section_is_read_to_its_end() {
        let text = "story_location: {project-root}/docs\ndevelopment_status: # all\n  epic-1: backlog\n\n  # note\n  1-1-a: done # yes\n  \"1-2-b\": 'review'\naction_items:\n  x: y\n";
        let found = section(text, "development_status");
        assert_eq!(pairs(&found), [("epic-1", "backlog", 3), ("1-1-a", "done", 6), ("1-2-b", "review", 7)]);
        let top = top_level(text);
        assert_eq!(top[0].value, "{project-root}/docs");
    }

    #[test]
    fn structures_are_not_believed() {
        assert!(top_level("a: {b: c}\nd: [1]\ne: &x 1\nf: *x\nurl:http\n- a: b\n").is_empty());
    }
}

//! Code without the space that means nothing, and the search for words in it.
//!
//! Invariant: reformatting does not change what is found.

/// Whether a character can be part of a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Without white space, except for one space between two names.
pub(super) fn dense(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut gap = false;
    for c in code.chars() {
        if c.is_whitespace() {
            gap = true;
            continue;
        }
        if gap && is_word(c) && out.chars().next_back().is_some_and(is_word) {
            out.push(' ');
        }
        gap = false;
        out.push(c);
    }
    out
}

/// How often `needle` stands in `code`, not as the end or the beginning of a longer name.
pub(super) fn count(code: &str, needle: &str) -> usize {
    places(code, needle).count()
}

/// Where `needle` stands in `code`, not as a part of a longer name.
pub(super) fn places<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let opens = needle.chars().next().is_some_and(is_word);
    let closes = needle.chars().next_back().is_some_and(is_word);
    code.match_indices(needle).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + needle.len()..].chars().next().is_some_and(is_word);
        !(opens && before || closes && after)
    })
}

/// How far a closing bracket, or the end of a statement, is looked for, in bytes; so that no source takes long to read.
const SPAN_MAX_BYTES: usize = 32 * 1024;
/// How long a declaration or a call may be to be read whole, in bytes.
const NEAR_BYTES: usize = 2 * 1024;

/// What follows `from`, as far as one declaration or call may reach.
pub(super) fn ahead(code: &str, from: usize) -> &str {
    let mut end = code.len().min(from.saturating_add(NEAR_BYTES));
    while !code.is_char_boundary(end) {
        end -= 1;
    }
    code.get(from..end).unwrap_or_default()
}

/// Where what stands before `at` and belongs to it begins: after the last bracket or semicolon.
pub(super) fn head_start(code: &str, at: usize) -> usize {
    let mut start = at.saturating_sub(NEAR_BYTES);
    while !code.is_char_boundary(start) {
        start += 1;
    }
    code.get(start..at).and_then(|head| head.rfind(['}', ';', '{'])).map_or(start, |before| start + before + 1)
}

/// [`closing`] for what is short: a call.
pub(super) fn call_end(code: &str, open: usize) -> usize {
    let near = ahead(code, open);
    open + closing(near, 0).min(near.len())
}

/// The end of what the bracket at byte `open` opens, after its closing bracket; the end of the search where it is not closed.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open).take(SPAN_MAX_BYTES) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    span_end(code, open)
}

/// Where a search that began at `from` ends.
fn span_end(code: &str, from: usize) -> usize {
    let mut end = code.len().min(from + SPAN_MAX_BYTES);
    while !code.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// The end of a Python statement that begins at byte `from`: the line end outside of brackets.
pub(super) fn statement_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    let mut continued = false;
    for (at, byte) in code.bytes().enumerate().skip(from).take(SPAN_MAX_BYTES) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' | b';' if depth == 0 && !continued => return at,
            _ => {}
        }
        continued = byte == b'\\';
    }
    span_end(code, from)
}

/// The arguments between the brackets of `call`, which begins with its opening bracket.
pub(super) fn arguments(call: &str) -> Vec<String> {
    let inner = call.get(1..call.len().saturating_sub(1)).unwrap_or_default();
    let mut all = vec![String::new()];
    let mut depth = 0_usize;
    let mut quote: Option<char> = None;
    for c in inner.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.retain(|argument| !argument.trim().is_empty());
    all
}

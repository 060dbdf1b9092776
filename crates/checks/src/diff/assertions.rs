//! What a source asserts: how often, how strictly, and whether it can fail at all.
//!
//! Invariant: counts depend on what is called, not on how it is laid out.

use super::blank::Views;
use super::conventions::Language;
use super::dense::{ahead, arguments, call_end, closing, count, dense, is_word, places, statement_end};

/// What a stretch of code asserts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Assertions {
    /// All that can fail.
    pub(super) all: usize,
    /// Those that compare with a value.
    pub(super) exact: usize,
    /// Those that can't fail.
    pub(super) trivial: usize,
    /// Rows of tables that cases are made of.
    pub(super) rows: usize,
}

/// How many assertions of one source are looked at.
pub(super) const ASSERTIONS_MAX: usize = 10_000;
/// How much of an assertion is looked at to tell whether it can fail, in bytes.
const LOOKED_AT_BYTES: usize = 512;
/// How many tables of one source are looked into.
const TABLES_MAX: usize = 500;
/// How many functions that assert are looked into.
const DEFINITIONS_MAX: usize = 200;
/// Calls that take one value, which must be true.
const TRUTHS: [&str; 16] = [
    "assert",
    "asserttrue",
    "self.asserttrue",
    "assert_true",
    "assert.ok",
    "assert.true",
    "assert.istrue",
    "require.true",
    "debug_assert",
    "prop_assert",
    "ensure",
    "assert.assert",
    "assert.asserttrue",
    "assertions.asserttrue",
    "assert.isok",
    "assert.truthy",
];
/// Beginnings of names that assert when they are called.
const STEMS: [&str; 6] = ["assert", "expect", "check", "verify", "ensure", "should"];
/// Ends of names that compare with a value.
const EXACT: [&str; 13] = [
    "_eq",
    "equal",
    "equals",
    "_ne",
    "tobe",
    "toequal",
    "tostrictequal",
    "isequalto",
    "same",
    "arrayequals",
    "snapshot",
    "deepequal",
    "tohavebeencalledwith",
];
/// Calls that assert besides.
const RUST: &[&str] = &["unwrap_err(", "#[should_panic", "panic!(", "matches!("];
const PYTHON: &[&str] = &["pytest.raises(", "pytest.warns(", "self.fail(", "pytest.fail("];
const SCRIPT: &[&str] =
    &["t.is(", "t.deepEqual(", "t.equal(", "t.ok(", "t.true(", "t.same(", "t.throws(", "t.like(", ".should."];
const GO: &[&str] = &["t.Error(", "t.Errorf(", "t.Fatal(", "t.Fatalf(", "t.Fail(", "t.FailNow("];
const JAVA: &[&str] = &["fail("];

/// One assertion and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    at: usize,
    name: &'a str,
    exact: bool,
    trivial: bool,
}

/// Every assertion of a source by name, at most [`ASSERTIONS_MAX`].
pub(super) fn scan(views: &Views, language: Language) -> Vec<Found<'_>> {
    let code = &views.code;
    let mut found = Vec::new();
    let mut defined = Vec::new();
    for (at, name) in names(code) {
        if found.len() >= ASSERTIONS_MAX {
            break;
        }
        if is_defined(code, at) {
            defined.push((at, name));
        } else if let Some(end) = extent(code, language, at, name) {
            let shown = beginning(&views.text, at, end);
            let trivial = is_trivial(&shown, name, ahead(&views.text, end));
            found.push(Found { at, name, trivial, exact: !trivial && is_exact(code, language, name, at, end) });
        }
    }
    // A call of a function that is defined here says as much as the function does.
    for (at, name) in defined.into_iter().take(DEFINITIONS_MAX) {
        let end = body_end(code, language, at);
        let says = found.iter().any(|one| (at..end).contains(&one.at) && !one.trivial)
            || by_words(&dense(code.get(at..end).unwrap_or_default()), language) > 0;
        for call in found.iter_mut().filter(|one| one.name == name) {
            call.trivial |= !says;
            call.exact = says;
        }
    }
    found
}

/// An assertion without space, as far as its first arguments reach; closed where it was cut.
fn beginning(text: &str, at: usize, end: usize) -> String {
    let mut cut = end.min(at + LOOKED_AT_BYTES);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut shown = dense_text(text.get(at..cut).unwrap_or_default());
    if cut < end {
        shown.push(')');
    }
    shown
}

/// Whether the name at `at` is being defined or imported.
fn is_defined(code: &str, at: usize) -> bool {
    let before = code[..at].trim_end();
    let word = before.rsplit(|c: char| !is_word(c)).next().unwrap_or("");
    matches!(word, "fn" | "def" | "function" | "func" | "void" | "const" | "let")
}

/// Where the function whose name stands at `at` ends.
fn body_end(code: &str, language: Language, at: usize) -> usize {
    if language != Language::Python {
        let open = ahead(code, at).find('{').map_or(code.len(), |open| at + open);
        return closing(code, open);
    }
    let line = code[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(&code[line..]);
    let mut end = code[at..].find('\n').map_or(code.len(), |end| at + end + 1);
    for next in code[end..].split_inclusive('\n') {
        if !next.trim().is_empty() && indent(next) <= own && !next.trim_start().starts_with(')') {
            break;
        }
        end += next.len();
    }
    end
}

fn by_words(dense: &str, language: Language) -> usize {
    let words = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Script => SCRIPT,
        Language::Go => GO,
        Language::Java => JAVA,
        Language::Other => &[],
    };
    words.iter().map(|word| count(dense, word)).sum()
}

/// What the bytes `from..to` assert, given what the whole source does.
pub(super) fn assertions(views: &Views, language: Language, all: &[Found<'_>], from: usize, to: usize) -> Assertions {
    let code = views.code.get(from..to).unwrap_or_default();
    let first = all.partition_point(|one| one.at < from);
    let inside = all.get(first..).unwrap_or_default().iter().take_while(|one| one.at < to);
    let mut found = Assertions::default();
    for one in inside {
        found.trivial += usize::from(one.trivial);
        found.all += usize::from(!one.trivial);
        found.exact += usize::from(one.exact);
    }
    let dense = dense(code);
    found.all += by_words(&dense, language);
    found.rows = rows(views, language, from, to, &dense);
    found
}

/// Names that may assert, with their places.
fn names(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + code[at..].find(is_word)?;
            let len = code[start..].find(|c| !is_word(c)).unwrap_or(code.len() - start);
            at = start + len;
            let name = &code[start..at];
            let lower = name.to_ascii_lowercase();
            let stem = lower.trim_start_matches("debug_").trim_start_matches("prop_");
            if STEMS.iter().any(|one| stem.starts_with(one)) || matches!(name, "require" | "must") {
                return Some((start, name));
            }
        }
    })
}

/// Where the assertion that begins with `name` ends; nothing when it is none.
fn extent(code: &str, language: Language, at: usize, name: &str) -> Option<usize> {
    let before = code[..at].trim_end();
    // Rust's `.expect(…)` takes a value out.
    if language == Language::Rust && before.ends_with('.') && !name.ends_with("_err") {
        return None;
    }
    let after = at + name.len();
    let gap = code[after..].len() - code[after..].trim_start().len();
    let next = code[after + gap..].chars().next()?;
    let stem_only = STEMS.contains(&name.to_ascii_lowercase().as_str());
    match (language, next) {
        (Language::Script, _) if name == "require" => None,
        (Language::Python, _) if name == "assert" => Some(at + statement_end(ahead(code, at), 0)),
        (_, '(') if stem_only || continues(name) => Some(call_end(code, after + gap)),
        (Language::Rust, '!') if !code[after + gap..].starts_with("!=") => {
            let open = ahead(code, after).find(['(', '[', '{']).map(|found| after + found)?;
            Some(call_end(code, open))
        }
        // `assert.equal(…)`, `require.NoError(…)`, `assert_that.…`.
        (_, '.') if stem_only || matches!(name, "require" | "must") => {
            let open = ahead(code, after).find('(').map(|found| after + found)?;
            code[after + gap + 1..open].chars().all(|c| is_word(c) || c == '.').then(|| call_end(code, open))
        }
        _ => None,
    }
}

/// `check_total` and `checkTotal`, but not `checkout`.
fn continues(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.trim_start_matches("debug_").trim_start_matches("prop_");
    let cut = name.len() - stem.len();
    STEMS.iter().any(|one| {
        stem.strip_prefix(one).is_some_and(|_| {
            let next = name[cut + one.len()..].chars().next();
            next.is_none_or(|c| c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit())
        })
    })
}

fn is_exact(code: &str, language: Language, name: &str, at: usize, end: usize) -> bool {
    let call = &code[at..end];
    let compares = |name: &str| {
        let lower = name.to_ascii_lowercase();
        EXACT.iter().any(|word| lower.ends_with(word))
    };
    // `expect(x).toBe(…)` compares after its own bracket.
    let after: String = if matches!(language, Language::Script | Language::Java | Language::Other) {
        dense(ahead(code, end).split(['(', ';']).next().unwrap_or_default())
    } else {
        String::new()
    };
    let method = dense(call.split('(').next().unwrap_or_default());
    compares(name) || compares(&method) || ahead(call, 0).contains("==") || after.starts_with('.') && compares(&after)
}

/// Text without space outside of strings.
fn dense_text(text: &str) -> String {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    for c in text.chars() {
        match quote {
            Some(open) => quote = Some(open).filter(|&open| open != c),
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c.is_whitespace() => {
                if out.chars().next_back().is_some_and(is_word) {
                    out.push(' ');
                }
                continue;
            }
            None => {}
        }
        out.push(c);
    }
    out.replace(" )", ")").replace(" ,", ",").replace(" =", "=").replace(" |", "|").trim_end().to_owned()
}

fn is_trivial(call: &str, name: &str, after: &str) -> bool {
    let inner = match call.find(['(', '[', '{']) {
        Some(open)
            if call.ends_with([')', ']', '}'])
                && call[name.len()..open].chars().all(|c| is_word(c) || ".!".contains(c)) =>
        {
            arguments(&call[open..])
        }
        // Python's statement: what is asserted, then what to say.
        _ => arguments(&format!("({})", &call[name.len()..])),
    };
    let values: Vec<&str> = inner.iter().map(|argument| argument.trim().trim_end_matches(',')).collect();
    // testify's functions take the test first.
    let values = if values.first() == Some(&"t") { &values[1..] } else { &values[..] };
    let Some(first) = values.first() else { return false };
    let escapes = ["||true", "or True", "or 1", "|| true"].iter().any(|end| first.ends_with(end));
    let sides = first.split_once("===").or_else(|| first.split_once("=="));
    let equal_sides = sides.is_some_and(|(left, right)| left.trim() == right.trim());
    let lower = name.to_ascii_lowercase();
    let method = call.split(['(', '[', '{', ' ']).next().unwrap_or_default().trim_end_matches('!').to_ascii_lowercase();
    // `expect(true).toBe(true)` says nothing; `expect(5).toBe(total)` does.
    let literal = if lower == "expect" {
        is_literal(first) && is_literal(chained(after).as_str())
    } else {
        is_truth(first) && TRUTHS.contains(&method.as_str())
    };
    // Python: a tuple, or a text, is always true.
    let filled = name == "assert"
        && (is_literal(first) && !matches!(*first, "false" | "None" | "False" | "0")
            || first.starts_with('(') && closing(first, 0) == first.len() && arguments(first).len() > 1);
    let pairs = EXACT.iter().any(|word| method.ends_with(word)) && !method.ends_with("_ne");
    escapes || equal_sides || literal || filled || pairs && values.len() >= 2 && values[0] == values[1]
}

/// The first argument of what is called on the result: `.toBe(true)` → `true`.
fn chained(after: &str) -> String {
    let after = after.trim_start();
    let Some(open) = after.find('(').filter(|_| after.starts_with('.')) else { return String::new() };
    let arguments = arguments(&after[open..closing(after, open)]);
    // `.toBeTruthy()` compares with nothing else.
    arguments.first().map_or_else(|| "true".to_owned(), |argument| argument.trim().to_owned())
}

fn is_truth(text: &str) -> bool {
    matches!(text, "true" | "True" | "1" | "!false" | "not False" | "!0")
}

fn is_literal(text: &str) -> bool {
    is_truth(text)
        || matches!(text, "false" | "null" | "undefined" | "None" | "False")
        || !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.')
        || text.len() >= 2 && text.starts_with(['"', '\'', '`']) && text.ends_with(['"', '\'', '`'])
}

/// Rows of tables that cases are made of.
fn rows(views: &Views, language: Language, from: usize, to: usize, dense: &str) -> usize {
    match language {
        Language::Rust => {
            dense.matches("#[case(").count() + dense.matches("#[case::").count() + dense.matches("#[test_case(").count()
        }
        Language::Go => dense.matches(",{").count() + dense.matches("{{").count(),
        Language::Java => {
            let marks = ["@ValueSource", "@CsvSource", "@EnumSource", "@MethodSource"];
            literals(views, from, to, &marks)
        }
        Language::Python => literals(views, from, to, &["parametrize"]),
        Language::Script => literals(views, from, to, &[".each", ".for"]),
        Language::Other => 0,
    }
}

/// How many values stand in the brackets after each of `marks`.
fn literals(views: &Views, from: usize, to: usize, marks: &[&str]) -> usize {
    let code = views.code.get(from..to).unwrap_or_default();
    let found = marks.iter().flat_map(|mark| places(code, mark).map(|at| at + mark.len()));
    found
        .take(TABLES_MAX)
        .filter_map(|at| {
            let open = at + (code[at..].len() - code[at..].trim_start().len());
            code[open..].starts_with('(').then(|| {
                let text = views.text.get(from + open..from + closing(code, open)).unwrap_or_default();
                let quotes = text.matches(['"', '\'', '`']).count() / 2;
                // A trailing comma is layout.
                quotes
                    + super::dense::dense(&code[open..closing(code, open)])
                        .replace(",]", "]")
                        .replace(",)", ")")
                        .matches(',')
                        .count()
            })
        })
        .sum()
}

//! Test cases in a source: their names, and where each begins and ends.
//!
//! Invariant: what a runner would not collect is no case: a function that lost its attribute, a test inside another function, a comment.

use super::blank::Views;
use super::conventions::Language;
use super::dense::{ahead, call_end, closing, dense, head_start, is_word, places};

/// How many cases of one source are looked at.
pub(super) const CASES_MAX: usize = 2_000;

/// One test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    /// As the source names it.
    pub(super) name: String,
    /// What stands before it and belongs to it, without space: attributes, decorators, annotations.
    pub(super) head: String,
    /// From its declaration to its end, in bytes.
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The cases of a source.
pub(super) fn cases(views: &Views, language: Language) -> Vec<Case> {
    match language {
        Language::Rust => marked(views, "fn", |head| {
            const MARKS: [&str; 9] = [
                "#[test]",
                "::test]",
                "::test(",
                "#[test(",
                "#[rstest",
                "#[test_case",
                "#[quickcheck",
                "#[wasm_bindgen_test",
                "#[test_",
            ];
            MARKS.iter().any(|mark| head.contains(mark))
        }),
        Language::Java => java(views),
        Language::Go => go(views),
        Language::Python => python(&views.code),
        Language::Script => script(views),
        Language::Other => Vec::new(),
    }
}

/// Functions by a keyword, whose attributes make them tests.
fn marked(views: &Views, keyword: &str, is_test: impl Fn(&str) -> bool) -> Vec<Case> {
    let code = &views.code;
    places(code, keyword)
        .filter_map(|at| {
            let start = head_start(code, at);
            let head = dense(&code[start..at]);
            if !is_test(&head) {
                return None;
            }
            let name: String = code[at + keyword.len()..].trim_start().chars().take_while(|&c| is_word(c)).collect();
            let open = ahead(code, at).find('{').map(|found| at + found)?;
            Some(Case { name, head, from: start, to: closing(code, open) })
        })
        .take(CASES_MAX)
        .collect()
}

fn go(views: &Views) -> Vec<Case> {
    let code = &views.code;
    let functions = places(code, "func").filter_map(|at| {
        let name: String = code[at + 4..].trim_start().chars().take_while(|&c| is_word(c)).collect();
        let runs = ["Test", "Fuzz", "Example", "Benchmark"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(char::is_lowercase)));
        let open = ahead(code, at).find('{').map(|found| at + found)?;
        (runs && name != "TestMain").then(|| Case { name, head: String::new(), from: at, to: closing(code, open) })
    });
    let subtests = places(code, "t.Run").filter_map(|at| {
        let open = ahead(code, at).find('(').map(|found| at + found)?;
        let name = quoted(&views.text, open + 1)?;
        Some(Case { name, head: String::new(), from: at, to: closing(code, open) })
    });
    functions.chain(subtests).take(CASES_MAX).collect()
}

fn java(views: &Views) -> Vec<Case> {
    let code = &views.code;
    let marks = ["@Test", "@ParameterizedTest", "@RepeatedTest", "@TestFactory", "@Property"];
    let annotated = marks.iter().flat_map(|mark| places(code, mark));
    annotated
        .filter_map(|at| {
            let open = ahead(code, at).find('{').map(|found| at + found)?;
            // The name stands before the parameters, the last bracket before the body that is not an annotation's.
            let declaration = &code[at..open];
            let parameters = declaration.rfind('(')?;
            let name: String = word_before(&declaration[..parameters]);
            let start = head_start(code, at);
            Some(Case { name, head: dense(&code[start..at + parameters]), from: start, to: closing(code, open) })
        })
        .take(CASES_MAX)
        .collect()
}

fn word_before(text: &str) -> String {
    let word: Vec<char> = text.trim_end().trim_end_matches('`').chars().rev().take_while(|&c| is_word(c)).collect();
    word.into_iter().rev().collect()
}

/// What encloses a line of Python.
struct Block {
    indent: usize,
    /// Whether a runner looks into it.
    collected: bool,
}

fn python(code: &str) -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    let mut head = String::new();
    let mut at = 0;
    let mut depth = 0_i64;
    for line in code.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim();
        let inside = depth > 0;
        depth += brackets(line);
        if trimmed.is_empty() || inside {
            if head.starts_with('@') {
                head.push_str(&dense(trimmed));
            }
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        close(&mut found, &mut open, indent, start);
        blocks.retain(|block| block.indent < indent);
        let collected = blocks.iter().all(|block| block.collected);
        if trimmed.starts_with('@') {
            head.push_str(&dense(trimmed));
            continue;
        }
        let head = std::mem::take(&mut head);
        let function = trimmed.strip_prefix("async ").map_or(trimmed, str::trim_start).strip_prefix("def ");
        if let Some(rest) = function {
            let name: String = rest.trim_start().chars().take_while(|&c| is_word(c)).collect();
            blocks.push(Block { indent, collected: false });
            if name.starts_with("test") && collected {
                open.push((indent, found.len()));
                found.push(Case { name, head, from: start, to: code.len() });
            }
            if found.len() >= CASES_MAX {
                break;
            }
        } else if let Some(rest) = trimmed.strip_prefix("class ") {
            let name: String = rest.trim_start().chars().take_while(|&c| is_word(c)).collect();
            let bases = rest.trim_start()[name.len()..].trim_start();
            let has_base = bases.starts_with('(') && !bases.trim_start_matches('(').trim_start().starts_with(')');
            blocks.push(Block { indent, collected: name.starts_with("Test") || has_base });
        }
    }
    found
}

/// Ends the functions that a line with this indent is no longer part of.
fn close(found: &mut [Case], open: &mut Vec<(usize, usize)>, indent: usize, at: usize) {
    while let Some(&(inner, index)) = open.last() {
        if inner < indent {
            break;
        }
        if let Some(case) = found.get_mut(index) {
            case.to = at;
        }
        open.pop();
    }
}

fn brackets(line: &str) -> i64 {
    line.bytes().map(|byte| i64::from(b"([{".contains(&byte)) - i64::from(b")]}".contains(&byte))).sum()
}

fn script(views: &Views) -> Vec<Case> {
    let code = &views.code;
    let mut found = Vec::new();
    for keyword in ["it", "test", "specify"] {
        for at in places(code, keyword) {
            if found.len() >= CASES_MAX {
                break;
            }
            let owner = code[..at].trim_end();
            if let Some(owner) = owner.strip_suffix('.') {
                // Of methods, only those of a test context or of Deno are tests; `pattern.test(…)` is not.
                if !matches!(word_before(owner).as_str(), "t" | "Deno") {
                    continue;
                }
            }
            let Some((head, open)) = chain(code, at + keyword.len()) else { continue };
            // A title; anything else is a call of the same name.
            let Some(name) = quoted(&views.text, open + 1) else { continue };
            if !head.contains(".skip") && !head.contains(".todo") {
                found.push(Case { name, head, from: at, to: closing(code, open) });
            }
        }
    }
    found.sort_by_key(|case: &Case| case.from);
    found
}

/// What follows a keyword up to the bracket with the title: `.only`, `.each([…])`.
fn chain(code: &str, from: usize) -> Option<(String, usize)> {
    /// How many parts such a chain may have.
    const PARTS_MAX: usize = 6;
    let mut at = from;
    let mut parts = 0;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        match code.as_bytes().get(at)? {
            b'.' if parts < PARTS_MAX => {
                at += 1;
                at += code[at..].find(|c: char| !is_word(c) && !c.is_whitespace())?;
                parts += 1;
                let name = dense(&code[from..at]);
                let calls = [".each", ".for", ".runIf", ".skipIf"].iter().any(|call| name.ends_with(call));
                if calls && code.as_bytes().get(at) == Some(&b'(') {
                    at = call_end(code, at);
                }
            }
            b'(' => return Some((dense(&code[from..at]), at)),
            _ => return None,
        }
    }
}

/// The string that begins at `from`, after spaces.
fn quoted(text: &str, from: usize) -> Option<String> {
    let rest = ahead(text, from).trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'))?;
    let mut name = String::new();
    let mut escaped = false;
    for c in rest.chars().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(name),
            _ => {}
        }
        name.push(c);
    }
    None
}

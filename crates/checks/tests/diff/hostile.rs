//! Texts made to break the reader: any bytes, unclosed brackets and strings, great depth.

use std::time::{Duration, Instant};

use damascus_checks::diff::Kind;
use proptest::prelude::*;

use crate::story::{FILE, Story};

const PATHS: [&str; 8] = [
    "tests/a.rs",
    "tests/test_a.py",
    "tests/a.test.ts",
    "tests/a_test.go",
    "src/test/java/ATest.java",
    "tests/a.rb",
    "src/lib.rs",
    "tests/conftest.py",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(old in proptest::collection::vec(any::<u8>(), 0..300), new in proptest::collection::vec(any::<u8>(), 0..300)) {
        for path in PATHS {
            Story::new().change(path, Kind::Modified, (FILE, FILE), Some(&old), Some(&new)).judge();
        }
    }

    #[test]
    fn any_code_is_judged_and_no_change_is_no_violation(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "#[test]", "fn", "def", "test_a", "(", ")", "{", "}", "[", "]", "\"", "'", "`", "\"\"\"", "r#\"", "\\", "//", "/*", "*/", "#",
                "\n", "    ", "it(", "describe", "assert", "assert!(", "expect(", ".toBe(", "==", "true", ":", ";", "class A:", "@x", "é",
                "func TestA(t *testing.T) {", "@Test void a() {", "/", "t.Run(", ".each(", "async ", "日", "mod tests;",
            ]),
            0..80,
        )
    ) {
        let text = words.join(" ");
        for path in PATHS {
            let story = Story::new().edit(path, &text, &text).allow(&[path]);
            prop_assert_eq!(story.judge(), vec![]);
            // More of the same is additive, or told; it never breaks the reader.
            Story::new().edit(path, &text, &format!("{text}\n{text}")).judge();
        }
    }
}

#[test]
fn no_source_takes_long() {
    // The limit is generous for a loaded machine, and far below what reading every span to the end would take.
    let limit = Duration::from_secs(20);
    let pieces = [
        "assert(",
        "#[test] fn a() { ",
        "def test_a(: ",
        "it('a', (",
        "/*",
        "\"",
        "t.Run(\"a\", func() {",
        "@Test void a(",
        "\n  x",
    ];
    for piece in pieces {
        let text = piece.repeat(48 * 1024 / piece.len());
        for path in PATHS {
            let started = Instant::now();
            Story::new().edit(path, "a\n", &text).judge();
            assert!(started.elapsed() < limit, "{path}: {piece} took {:?}", started.elapsed());
        }
    }
}

#[test]
fn messages_are_safe_to_show() {
    let found = Story::new()
        .add("docs/\u{1b}[31m\u{202e}a.md", "a\n")
        .edit("tests/a.test.js", "it('\u{1b}[2Jx\u{202e}', () => { expect(1).toBe(f()) })", "x")
        .judge();
    assert!(found.len() >= 2);
    for one in found {
        assert!(!one.to_string().chars().any(damascus_core::display::is_unsafe), "{one:?}");
    }
}

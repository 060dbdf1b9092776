//! Text from outside: whatever comes in, what goes out is bounded, safe to print, and nothing but what came in.

use damascus_core::display::{is_unsafe, many_lines, one_line};
use proptest::prelude::*;

/// Characters that act, and line ends.
const ACTING: [char; 16] = [
    '\n',
    '\r',
    '\t',
    '\0',
    '\u{7}',
    '\u{8}',
    '\u{1b}',
    '\u{7f}',
    '\u{85}',
    '\u{9b}',
    '\u{ad}',
    '\u{61c}',
    '\u{180e}',
    '\u{feff}',
    '\u{fff9}',
    '\u{e0041}',
];

/// Text with many more unsafe characters than chance would bring.
fn hostile() -> impl Strategy<Value = String> {
    // One number for a character, since a strategy for each would take most of the suite's time.
    let character = |n: u32| {
        let (kind, n) = (n % 4, n / 4);
        let scalar = match kind {
            0 => ACTING[n as usize % ACTING.len()].into(),
            1 => 0x2000 + n % 0x70,
            2 => 0x20 + n % 0x5f,
            _ => n % 0x11_0000,
        };
        char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    prop::collection::vec(any::<u32>(), 0..40).prop_map(move |numbers| numbers.into_iter().map(character).collect())
}

/// Whether `shown` is `all`, or a beginning of it with the sign of a cut.
fn is_cut_of(shown: &str, all: &str, max_chars: usize) -> bool {
    if all.chars().count() <= max_chars {
        return shown == all;
    }
    let kept = shown.strip_suffix('…');
    if max_chars == 0 { shown.is_empty() } else { kept.is_some_and(|kept| all.starts_with(kept)) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn one_line_is_one_safe_line_of_at_most_its_length(text in hostile(), max_chars in 0_usize..50) {
        let shown = one_line(&text, max_chars);
        prop_assert!(shown.chars().count() <= max_chars);
        prop_assert!(!shown.chars().any(is_unsafe), "{:?}", shown);
        let spaced: String = text.chars().map(|c| if "\n\r\t".contains(c) { ' ' } else { c }).collect();
        let safe: String = spaced.chars().filter(|c| !is_unsafe(*c)).collect();
        prop_assert!(is_cut_of(&shown, &safe, max_chars), "{:?} of {:?}", shown, safe);
        prop_assert_eq!(&one_line(&shown, max_chars), &shown, "shown twice");
    }

    #[test]
    fn many_lines_keep_line_breaks_and_tabs_and_nothing_else_that_acts(text in hostile(), max_chars in 0_usize..50) {
        let shown = many_lines(&text, max_chars);
        prop_assert!(shown.chars().count() <= max_chars);
        prop_assert!(!shown.chars().any(|c| is_unsafe(c) && c != '\n' && c != '\t'), "{:?}", shown);
        let safe: String = text.chars().filter(|c| matches!(c, '\n' | '\t') || !is_unsafe(*c)).collect();
        prop_assert!(is_cut_of(&shown, &safe, max_chars), "{:?} of {:?}", shown, safe);
        prop_assert_eq!(&many_lines(&shown, max_chars), &shown, "shown twice");
    }

    #[test]
    fn plain_text_is_shown_as_it_is(text in "[ -~äöüßéñ漢字✓]{0,40}") {
        prop_assert_eq!(one_line(&text, 40), text.clone());
        prop_assert_eq!(many_lines(&text, 40), text);
    }
}

#[test]
fn every_character_that_moves_a_cursor_or_turns_text_around_is_unsafe() {
    let controls = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32);
    // The characters with the property Bidi_Control.
    let bidirectional =
        "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    // Lines end here too; tags hide text; the last ones are not to be seen.
    let others = "\u{2028}\u{2029}\u{e0001}\u{e0020}\u{e007f}\u{200b}\u{2060}\u{feff}\u{ad}\u{180e}\u{206a}\u{206f}";
    for c in controls.chain(bidirectional.chars()).chain(others.chars()) {
        assert!(is_unsafe(c), "{c:?}");
    }
    for c in ('!'..='~').chain("ä漢字مرحبا✓😀\u{301}".chars()) {
        assert!(!is_unsafe(c), "{c:?}");
    }
}

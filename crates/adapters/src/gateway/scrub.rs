//! Text from a server or a program, made fit for a message: safe to show, bounded, and without the keys.
//!
//! Invariant: invisible characters go before a key is looked for, so that they can't hide it; the text is cut after that, so that the
//! start of a key can't remain.

use damascus_core::display::{many_lines, one_line};
use secrecy::{ExposeSecret as _, SecretString};

/// What stands in place of a key.
const MASK: &str = "[key]";
/// A shorter key is a placeholder such as `x`, which half of all texts contain.
const KEY_MIN_BYTES: usize = 5;
/// How much of a text is looked at, in characters.
const LOOK_MAX_CHARS: usize = 64 * 1024;

/// Takes keys out of texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scrub {
    keys: Vec<SecretString>,
}

impl Scrub {
    pub(crate) fn new(keys: impl IntoIterator<Item = SecretString>) -> Self {
        Self { keys: keys.into_iter().filter(|key| key.expose_secret().len() >= KEY_MIN_BYTES).collect() }
    }

    /// `text` on one line of at most `max_chars` characters.
    pub(crate) fn one_line(&self, text: &str, max_chars: usize) -> String {
        one_line(&self.mask(one_line(text, LOOK_MAX_CHARS)), max_chars)
    }

    /// `text` with its line breaks, at most `max_chars` characters.
    pub(crate) fn many_lines(&self, text: &str, max_chars: usize) -> String {
        many_lines(&self.mask(many_lines(text, LOOK_MAX_CHARS)), max_chars)
    }

    /// `text` as it is, without the keys: for what is made safe to show elsewhere.
    pub(crate) fn mask(&self, text: String) -> String {
        self.keys.iter().fold(text, |text, key| match text.contains(key.expose_secret()) {
            true => text.replace(key.expose_secret(), MASK),
            false => text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_goes_whole_also_when_it_is_hidden_or_cut() {
        let scrub = Scrub::new(["sk-secret-1".into(), "other-secret".into()]);

        assert_eq!(scrub.one_line("bad key sk-secret-1!", 80), "bad key [key]!");
        assert_eq!(scrub.one_line("bad key sk-se\u{200b}cret\u{1b}-1!", 80), "bad key [key]!");
        assert_eq!(scrub.one_line("bad key sk-secret-1!", 12), "bad key [ke…");
        assert_eq!(scrub.many_lines("a\nsk-secret-1", 80), "a\n[key]");
        assert_eq!(scrub.mask("other-secret\u{1b}".to_owned()), "[key]\u{1b}");
        assert!(!format!("{scrub:?}").contains("sk-secret"));
    }

    #[test]
    fn a_placeholder_is_no_secret() {
        assert_eq!(Scrub::new(["x".into()]).one_line("extra", 80), "extra");
        assert_eq!(Scrub::default().one_line("extra", 80), "extra");
    }
}

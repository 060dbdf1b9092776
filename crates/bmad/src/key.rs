//! Story numbers, keys and slugs, by upstream's grammar.
//!
//! Invariant: a key made or accepted here is safe in a path, a branch name and a terminal: no separator, no `..`, no
//! control character, bounded.

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::text;

/// Characters of a slug; upstream's bound.
const MAX_SLUG_CHARS: usize = 60;
/// Characters of the hash that stands in for a title without letters; upstream's.
const HASH_SLUG_CHARS: usize = 8;

/// `N.M`, with the letter of a split story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoryNumber {
    /// The epic's number.
    pub epic: u32,
    /// The story's number in its epic.
    pub story: u32,
    /// `a` in `2.6a`.
    pub suffix: Option<char>,
}

impl std::fmt::Display for StoryNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epic, self.story)?;
        self.suffix.map_or(Ok(()), |letter| write!(f, "{letter}"))
    }
}

impl Serialize for StoryNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a key of `development_status` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `epic-N`.
    Epic,
    /// `epic-N-retrospective`.
    Retrospective,
    /// `N-M-slug`.
    Story(StoryNumber),
    /// Outside the grammar, harmless.
    Odd,
    /// May not be used as a key at all.
    Unsafe,
}

/// Says what a key is.
pub(crate) fn classify(key: &str, max_chars: usize) -> KeyKind {
    if !is_safe(key, max_chars) {
        return KeyKind::Unsafe;
    }
    if let Some(rest) = key.strip_prefix("epic-") {
        let number = rest.strip_suffix("-retrospective").unwrap_or(rest);
        if is_digits(number) {
            return if number.len() == rest.len() { KeyKind::Epic } else { KeyKind::Retrospective };
        }
        return KeyKind::Odd;
    }
    number_of_key(key).map_or(KeyKind::Odd, KeyKind::Story)
}

/// The number in a key `N-M-slug`.
pub(crate) fn number_of_key(key: &str) -> Option<StoryNumber> {
    let (epic, rest) = take_number(key)?;
    let (story, rest) = take_number(rest.strip_prefix('-')?)?;
    let (suffix, rest) = take_suffix(rest);
    let slug = rest.strip_prefix('-')?;
    (!slug.is_empty()).then_some(StoryNumber { epic, story, suffix })
}

/// A number written `N.M` or `N-M`, whole.
pub(crate) fn number_of_text(text: &str) -> Option<StoryNumber> {
    let (number, rest) = leading_number(text, &['.', '-'])?;
    rest.is_empty().then_some(number)
}

/// The number that a text begins with, and the rest. `separators` are what may stand between epic and story.
pub(crate) fn leading_number<'a>(text: &'a str, separators: &[char]) -> Option<(StoryNumber, &'a str)> {
    let (epic, rest) = take_number(text)?;
    let (story, rest) = take_number(rest.strip_prefix(separators)?)?;
    let (suffix, rest) = take_suffix(rest);
    Some((StoryNumber { epic, story, suffix }, rest))
}

/// A decimal number at the start of a text, and the rest.
pub(crate) fn take_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn take_suffix(text: &str) -> (Option<char>, &str) {
    let mut chars = text.chars();
    match chars.next() {
        Some(c) if c.is_ascii_alphabetic() && !chars.as_str().starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            (Some(c.to_ascii_lowercase()), chars.as_str())
        }
        _ => (None, text),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text may serve as a key: letters and digits of any script, `-`, `_`, and single dots inside.
pub(crate) fn is_safe(key: &str, max_chars: usize) -> bool {
    !key.is_empty()
        && key.chars().count() <= max_chars
        && key.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
        && !key.starts_with(['.', '-'])
        && !key.ends_with('.')
        && !key.contains("..")
}

/// The key that upstream gives a story of an epics file: `story` is its number as written, `title` what follows it.
pub(crate) fn from_heading(epic: u32, story: &str, title: &str) -> String {
    format!("{epic}-{story}-{}", slug(title))
}

/// Upstream's slug: lower case, runs of anything but letters, digits and `_` become one `-`, at most 60 characters. A
/// title without any of these gets the start of its SHA-256 instead, so that two such stories keep two keys.
pub(crate) fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.to_lowercase().chars() {
        if is_word(c) {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    text::truncate_chars(&mut slug, MAX_SLUG_CHARS);
    let trimmed = slug.trim_matches('-');
    if trimmed.is_empty() {
        let mut hash = hex::encode(Sha256::digest(title.as_bytes()));
        hash.truncate(HASH_SLUG_CHARS);
        return hash;
    }
    trimmed.to_owned()
}

fn is_word(c: char) -> bool {
    c == '_' || matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(epic: u32, story: u32, suffix: Option<char>) -> StoryNumber {
        StoryNumber { epic, story, suffix }
    }

    #[test]
    fn keys_by_the_grammar() {
        assert_eq!(classify("epic-3", 99), KeyKind::Epic);
        assert_eq!(classify("epic-3-retrospective", 99), KeyKind::Retrospective);
        assert_eq!(classify("2-6a-split", 99), KeyKind::Story(number(2, 6, Some('a'))));
        assert_eq!(classify("1-2-über-login", 99), KeyKind::Story(number(1, 2, None)));
        for odd in ["1a-1-x", "epic-3-5", "orch-1-1-x", "1-8.1-x", "1-2", "1-2-", "epic-", "99999999999-1-x"] {
            assert_eq!(classify(odd, 99), KeyKind::Odd, "{odd}");
        }
        for bad in [
            "../../etc/passwd",
            "1-1-../x",
            "1-1-a/b",
            "",
            "a\u{1b}[2J",
            "1-1-a b",
            ".hidden",
            "a\\b",
            "-rf",
            "1-1-a..b",
            "1-1-x.",
        ] {
            assert_eq!(classify(bad, 99), KeyKind::Unsafe, "{bad}");
        }
        assert_eq!(classify(&"a".repeat(100), 99), KeyKind::Unsafe);
    }

    #[test]
    fn slugs_as_upstream_makes_them() {
        assert_eq!(slug("User Login & Sign-up!"), "user-login-sign-up");
        assert_eq!(slug("Größe_ändern — jetzt"), "größe_ändern-jetzt");
        assert_eq!(slug("用户 登录"), "用户-登录");
        assert_eq!(slug("कि"), "क");
        assert_eq!(slug(&"x".repeat(70)), "x".repeat(60));
        assert_eq!(slug("🚀"), "ebbc0b28");
        assert_eq!(slug(&format!("{} tail", "x".repeat(59))), "x".repeat(59));
    }

    #[test]
    fn numbers_are_whole() {
        assert_eq!(number_of_text("1.2"), Some(number(1, 2, None)));
        assert_eq!(number_of_text("1-2b"), Some(number(1, 2, Some('b'))));
        for bad in ["1", "1.", "1.2.3", "a.1", "1.2 ", "1.2ab"] {
            assert_eq!(number_of_text(bad), None, "{bad}");
        }
    }
}

//! Names that Damascus gives on a forge and in a mirror.
//!
//! Invariant: a name depends on the item alone, so that a run made again finds what the one before left.

use damascus_core::ItemId;

/// How much of a story's key goes into a branch's name, in characters.
const SLUG_MAX_CHARS: usize = 48;

/// The trailer by which a landed commit names its item.
const TRAILER: &str = "Damascus-Item";

/// The branch of an item.
#[must_use]
pub fn branch_of(item: ItemId, key: &str) -> String {
    let mut slug = String::new();
    for c in key.chars().take(SLUG_MAX_CHARS) {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { format!("damascus/{}", item.0) } else { format!("damascus/{}-{slug}", item.0) }
}

/// The trailer line of an item's commits.
#[must_use]
pub fn item_trailer(item: ItemId) -> String {
    format!("{TRAILER}: {}", item.0)
}

/// Whether a commit message names this item in its last paragraph. Only Damascus writes that paragraph: all else in its messages is one line.
pub(crate) fn names_item(message: &str, item: ItemId) -> bool {
    let trailer = item_trailer(item);
    message.trim_end().rsplit("\n\n").next().is_some_and(|last| last.lines().any(|line| line.trim_end() == trailer))
}

/// Whether it names this item there and no other: a landed commit that names another item would be taken for that one's landing.
pub(crate) fn names_only_item(message: &str, item: ItemId) -> bool {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    let own = item_trailer(item);
    names_item(message, item)
        && last.lines().filter(|line| line.starts_with(TRAILER)).all(|line| line.trim_end() == own)
}

/// Where the mirror keeps what the build of an item came to, so that it is never collected.
pub(crate) fn kept_build(item: ItemId, inputs: &str) -> String {
    format!("builds/{}/{inputs}", item.0)
}

/// Where the mirror keeps a tip that somebody else had pushed to an item's branch.
pub(crate) fn kept_foreign(item: ItemId, commit: &str) -> String {
    format!("foreign/{}/{commit}", item.0)
}

/// Where the mirror keeps a candidate for landing.
pub(crate) fn kept_candidate(item: ItemId, commit: &str) -> String {
    format!("candidates/{}/{commit}", item.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_made_of_the_item_and_what_can_be_said_of_its_key() {
        assert_eq!(branch_of(ItemId(7), "1-2-Sign In!"), "damascus/7-1-2-sign-in");
        assert_eq!(branch_of(ItemId(7), "…"), "damascus/7");
        assert_eq!(branch_of(ItemId(7), "--../..@{"), "damascus/7");
        assert!(branch_of(ItemId(i64::MAX), &"x".repeat(500)).len() < 90);
    }

    #[test]
    fn only_the_last_paragraph_of_a_message_names_its_item() {
        let message = format!("Add a shelf\n\nWhat it does.\n\nDamascus-Spec: 1\n{}\n", item_trailer(ItemId(12)));
        assert!(names_item(&message, ItemId(12)));
        assert!(!names_item(&message, ItemId(1)), "a number that begins alike");
        assert!(!names_item(&format!("{}\n\nend", item_trailer(ItemId(12))), ItemId(12)), "not in the last paragraph");
        assert!(names_only_item(&message, ItemId(12)));
        assert!(!names_only_item(&format!("{message}{}\n", item_trailer(ItemId(13))), ItemId(12)), "another one, too");
        assert!(!names_only_item("Add a shelf\n", ItemId(12)));
    }
}

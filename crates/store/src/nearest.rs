//! What somebody may have meant: the names that are there, the nearest first.
//!
//! Invariant: a hint is bounded, whatever is there; a name is proposed, never assumed.

/// How many names a hint lists.
const MAX_NAMES: usize = 5;
/// How long a name may be to be compared, in characters.
const MAX_CHARS: usize = 100;

/// The end of a "there is no …" message: the nearest names, or all there are when they are few.
pub(crate) fn hint(sought: &str, there: &[String], nothing: &str) -> String {
    if there.is_empty() {
        return format!("; {nothing}");
    }
    let mut near: Vec<(usize, &String)> = there
        .iter()
        .map(|name| (distance(sought, name), name))
        .filter(|(far, name)| *far <= (name.chars().count().min(MAX_CHARS) / 4).max(2))
        .collect();
    near.sort();
    if let [(_, first), ..] = near.as_slice() {
        let names: Vec<&str> = near.iter().take(3).map(|(_, name)| name.as_str()).collect();
        return if near.len() == 1 {
            format!("; did you mean {first}?")
        } else {
            format!("; did you mean one of {}?", names.join(", "))
        };
    }
    let names: Vec<&str> = there.iter().take(MAX_NAMES).map(String::as_str).collect();
    let more = if there.len() > MAX_NAMES { ", …" } else { "" };
    format!("; there are {}{more}", names.join(", "))
}

/// How many characters must be added, removed or replaced to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().take(MAX_CHARS).collect(), b.to_lowercase().chars().take(MAX_CHARS).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn near_names_are_proposed_and_far_ones_listed() {
        let there = ["demo", "shop", "shops"].map(str::to_owned);
        assert_eq!(hint("dmeo", &there, "none"), "; did you mean demo?");
        assert_eq!(hint("shp", &there, "none"), "; did you mean one of shop, shops?");
        assert_eq!(hint("something-else", &there, "none"), "; there are demo, shop, shops");
        assert_eq!(hint("x", &[], "add one"), "; add one");
    }
}

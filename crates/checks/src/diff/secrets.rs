//! Credentials that can be told from other text with near certainty.
//!
//! Invariant: few patterns of high precision; placeholders are none.

/// A kind of credential: what it begins with, and how it goes on.
struct Pattern {
    what: &'static str,
    prefix: &'static str,
    /// How many characters follow, at least.
    least: usize,
    /// How many follow at most.
    most: usize,
    /// Whether `-` and `_` may be among them.
    dashes: bool,
    /// Whether only capitals and digits may.
    capitals: bool,
}

const fn pattern(what: &'static str, prefix: &'static str, least: usize, most: usize, dashes: bool) -> Pattern {
    Pattern { what, prefix, least, most, dashes, capitals: false }
}

/// No credential is longer, in characters.
const LONGEST: usize = 400;
/// Fewer different characters make a placeholder.
const LEAST_DIFFERENT: usize = 8;
const PATTERNS: &[Pattern] = &[
    Pattern { what: "an AWS access key", prefix: "AKIA", least: 16, most: 16, dashes: false, capitals: true },
    Pattern { what: "an AWS access key", prefix: "ASIA", least: 16, most: 16, dashes: false, capitals: true },
    pattern("a GitHub token", "ghp_", 36, LONGEST, false),
    pattern("a GitHub token", "gho_", 36, LONGEST, false),
    pattern("a GitHub token", "ghu_", 36, LONGEST, false),
    pattern("a GitHub token", "ghs_", 36, LONGEST, false),
    pattern("a GitHub token", "ghr_", 36, LONGEST, false),
    pattern("a GitHub token", "github_pat_", 50, LONGEST, true),
    pattern("a GitLab token", "glpat-", 20, LONGEST, true),
    pattern("a Slack token", "xoxb-", 20, LONGEST, true),
    pattern("a Slack token", "xoxa-", 20, LONGEST, true),
    pattern("a Slack token", "xoxp-", 20, LONGEST, true),
    pattern("a Slack token", "xoxr-", 20, LONGEST, true),
    pattern("a Slack token", "xoxs-", 20, LONGEST, true),
    pattern("a key for a model's API", "sk-ant-", 20, LONGEST, true),
    pattern("a key for a model's API", "sk-", 40, LONGEST, true),
    pattern("a Google API key", "AIza", 35, 35, true),
    pattern("an npm token", "npm_", 36, 36, false),
];

/// What a line gives away, if anything.
pub(super) fn found(line: &str) -> Option<&'static str> {
    if let Some((_, rest)) = line.split_once("-----BEGIN ")
        && rest.split("-----").next().is_some_and(|label| label.ends_with("PRIVATE KEY"))
    {
        return Some("a private key");
    }
    PATTERNS.iter().find(|pattern| pattern.stands_in(line)).map(|pattern| pattern.what)
}

impl Pattern {
    fn stands_in(&self, line: &str) -> bool {
        line.match_indices(self.prefix).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let rest = &line[at + self.prefix.len()..];
            let len = rest.chars().take_while(|&c| self.fits(c)).count();
            let value = rest.get(..len).unwrap_or_default();
            !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
                && (self.least..=self.most).contains(&len)
                && self.is_random(value)
        })
    }

    fn fits(&self, c: char) -> bool {
        if self.capitals {
            c.is_ascii_uppercase() || c.is_ascii_digit()
        } else {
            c.is_ascii_alphanumeric() || self.dashes && "-_".contains(c)
        }
    }

    /// Not `xxxx…`, not words, not the example of a manual.
    fn is_random(&self, value: &str) -> bool {
        let mut different: Vec<char> = value.chars().collect();
        different.sort_unstable();
        different.dedup();
        let mixed = self.capitals
            || value.chars().any(|c| c.is_ascii_digit())
                && value.chars().any(|c| c.is_ascii_uppercase())
                && value.chars().any(|c| c.is_ascii_lowercase());
        different.len() >= LEAST_DIFFERENT && mixed && !value.ends_with("EXAMPLE")
    }
}

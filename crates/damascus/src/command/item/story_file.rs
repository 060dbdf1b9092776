//! Reading a story from a file or from standard input.
//!
//! Invariant: no more is read than a story may have, however large the file is or says it is; what is no text is refused with its place.

use std::io::Read;
use std::path::Path;

use anyhow::Result;
use damascus_bmad::{Limits, ParsedStory, parse_story_markdown};

use crate::failure::Problem;

/// The longest slug in a key, in characters.
const SLUG_MAX_CHARS: usize = 60;

/// Reads and parses a story; `-` is standard input.
pub(super) fn read(file: &str) -> Result<ParsedStory> {
    let limits = Limits::default();
    let place = if file == "-" { "standard input" } else { file };
    let wrong = |problem: String, next: &str| Problem::failed("bad_story", format!("{place}: {problem}"), next);
    let too_large = || {
        let problem = format!("has more than {} bytes, the most that a story may have", limits.max_story_bytes);
        wrong(problem, "split the story, or check that this is the right file")
    };
    let unreadable = |error: std::io::Error| {
        wrong(
            format!("can't be read: {error}"),
            "name a Markdown file that this user may read, or - for standard input",
        )
    };
    let source: Box<dyn Read> = if file == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(Path::new(file)).map_err(unreadable)?;
        let meta = opened.metadata().map_err(unreadable)?;
        if meta.is_dir() {
            return Err(wrong("is a folder".to_owned(), "name a Markdown file").into());
        }
        if meta.len() > limits.max_story_bytes {
            return Err(too_large().into());
        }
        Box::new(opened)
    };
    let mut bytes = Vec::new();
    source.take(limits.max_story_bytes + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limits.max_story_bytes {
        return Err(too_large().into());
    }
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(wrong(format!("is binary (a zero byte at {at})"), "name a Markdown file").into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        wrong(format!("is not valid UTF-8 (line {line}, byte {at})"), "save it as UTF-8")
    })?;
    let story = parse_story_markdown(&text, &limits);
    Ok(story
        .map_err(|error| wrong(error.to_string(), "see `damascus item create --help` for what a story looks like"))?)
}

/// The key of a story that was given none: its number, if it has one, and its title.
pub(super) fn key(story: &ParsedStory) -> Result<String> {
    let slug = slug(&story.title);
    if slug.is_empty() {
        let message = format!("no key can be made from the title \"{}\"", story.title);
        return Err(Problem::failed("no_key", message, "give one with --key").into());
    }
    Ok(match &story.number {
        Some(number) => {
            let suffix = number.suffix.map_or(String::new(), String::from);
            format!("{}-{}{suffix}-{slug}", number.epic, number.story)
        }
        None => slug,
    })
}

/// Lower case, everything but letters, digits and `_` one dash, no dash at the ends.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.to_lowercase().chars() {
        if c.is_alphanumeric() || c == '_' {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let cut: String = slug.trim_matches('-').chars().take(SLUG_MAX_CHARS).collect();
    cut.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn a_slug_keeps_letters_of_all_scripts_and_is_bounded() {
        assert_eq!(slug("Sign in — with a *passkey*!"), "sign-in-with-a-passkey");
        assert_eq!(slug("Größe über alles"), "größe-über-alles");
        assert_eq!(slug("…"), "");
        assert_eq!(slug(&"ab ".repeat(50)).chars().count(), 59);
    }
}

//! The layers of the configuration, and the place of each value, so that a wrong one can be found.
//!
//! Invariant: a key that nobody knows is an error with its file, line and the nearest known key, never silence.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use damascus_core::display;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::keys::{KEYS, Key, Kind};

/// The largest configuration file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// How much of a wrong value a message repeats, in characters.
const SHOWN_VALUE_MAX_CHARS: usize = 60;
/// How much of a parser's message is shown, in characters.
const PARSER_MESSAGE_MAX_CHARS: usize = 300;

/// One value as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: String,
    /// Such as `/etc/config.toml:3:1` or `DAMASCUS_LOG_LEVEL`.
    pub(super) place: String,
}

/// Values by the name of their key; a later layer does not replace what an earlier one said.
#[derive(Debug, Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, Found>,
}

impl Layers {
    /// Adds values from flags.
    pub(super) fn add_flags(&mut self, flags: &BTreeMap<&'static str, String>) {
        for key in KEYS {
            if let Some(text) = flags.get(key.name) {
                let place = key.flag.map_or_else(|| key.name.to_owned(), str::to_owned);
                self.values.entry(key.name).or_insert(Found { text: text.clone(), place });
            }
        }
    }

    /// Adds values from the environment; empty variables count as absent.
    pub(super) fn add_environment(
        &mut self,
        variable: impl Fn(&str) -> Option<std::ffi::OsString>,
    ) -> Result<(), ConfigError> {
        for key in KEYS {
            let Some(value) = variable(key.variable).filter(|value| !value.is_empty()) else { continue };
            let place = format!("the environment variable {}", key.variable);
            let text = value.into_string().map_err(|_| ConfigError {
                place: place.clone(),
                problem: "is not valid UTF-8".to_owned(),
                next: format!("set {} to a text in UTF-8, or unset it", key.variable),
            })?;
            self.values.entry(key.name).or_insert(Found { text, place });
        }
        Ok(())
    }

    /// Adds values from the file, if it is there. Gives whether it is.
    pub(super) fn add_file(&mut self, file: &Path) -> Result<bool, ConfigError> {
        let Some(text) = read_file(file)? else { return Ok(false) };
        let source = Source { file, text: &text };
        let table = DeTable::parse(&text).map_err(|error| source.broken(&error))?;
        source.walk(table.get_ref(), "", &mut self.values)?;
        Ok(true)
    }

    /// What was found for a key, if anything was.
    pub(super) fn get(&self, key: &Key) -> Option<&Found> {
        self.values.get(key.name)
    }

    /// The text for a key: what was found, else its default; nothing when that is empty.
    pub(super) fn text(&self, key: &Key) -> Result<Option<String>, ConfigError> {
        let Some(found) = self.get(key) else {
            return Ok(Some(key.default.to_owned()).filter(|text| !text.is_empty()));
        };
        let fits = match key.kind {
            Kind::Text => !found.text.trim().is_empty(),
            Kind::Integer { min, max } => found.text.parse::<u32>().is_ok_and(|n| (min..=max).contains(&n)),
            Kind::Choice(words) => words.contains(&found.text.as_str()),
        };
        if fits { Ok(Some(found.text.clone())) } else { Err(unfit(key, found)) }
    }

    /// The number for a key.
    pub(super) fn number(&self, key: &Key) -> Result<Option<u32>, ConfigError> {
        Ok(self.text(key)?.and_then(|text| text.parse().ok()))
    }

    /// The folder for a key.
    pub(super) fn path(&self, key: &Key) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key)?.map(PathBuf::from))
    }
}

fn unfit(key: &Key, found: &Found) -> ConfigError {
    // A connection string may hold a password, so no text value is repeated.
    let shown = match key.kind {
        Kind::Text => String::new(),
        Kind::Integer { .. } | Kind::Choice(_) => {
            format!(", found \"{}\"", display::one_line(&found.text, SHOWN_VALUE_MAX_CHARS))
        }
    };
    ConfigError {
        place: found.place.clone(),
        problem: format!("{} must be {}{shown}", key.name, key.kind.expected()),
        next: "correct it there, or remove it to use the default".to_owned(),
    }
}

fn read_file(file: &Path) -> Result<Option<String>, ConfigError> {
    let wrong =
        |problem: String, next: &str| ConfigError { place: file.display().to_string(), problem, next: next.to_owned() };
    let unreadable = |error: &std::io::Error| {
        wrong(format!("can't be read: {error}"), "make it readable for this user, or name another home with --home")
    };
    let size = match std::fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(wrong("is no file".to_owned(), "move it away; `damascus init` writes a new one"));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    if size > MAX_FILE_BYTES {
        let problem = format!("has {size} bytes; a configuration has at most {MAX_FILE_BYTES}");
        return Err(wrong(problem, "move it away; `damascus init` writes a new one"));
    }
    let bytes = std::fs::read(file).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("is not valid UTF-8 from byte {at} on"), "save it as UTF-8")
    })?;
    Ok(Some(text))
}

/// A file and its text, to say where things are.
struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn walk(
        &self,
        table: &DeTable<'_>,
        prefix: &str,
        values: &mut BTreeMap<&'static str, Found>,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let dotted = format!("{prefix}{}", name.get_ref());
            let place = self.place(name.span().start);
            if let Some(key) = KEYS.iter().find(|key| key.name == dotted) {
                let text = scalar(key, value, &place)?;
                values.entry(key.name).or_insert(Found { text, place });
            } else if let DeValue::Table(inner) = value.get_ref() {
                if !KEYS.iter().any(|key| key.name.starts_with(&format!("{dotted}."))) {
                    return Err(unknown(&dotted, "table", place));
                }
                self.walk(inner, &format!("{dotted}."), values)?;
            } else {
                return Err(unknown(&dotted, "key", place));
            }
        }
        Ok(())
    }

    fn broken(&self, error: &toml::de::Error) -> ConfigError {
        let place = self.place(error.span().map_or(0, |span| span.start));
        let message = display::one_line(error.message(), PARSER_MESSAGE_MAX_CHARS);
        ConfigError {
            place,
            problem: format!("is not valid TOML: {message}"),
            next: "correct that line, or move the file away; `damascus init` writes a new one".to_owned(),
        }
    }

    /// `file:line:column` of a byte, both counted from 1; the column counts characters.
    fn place(&self, byte: usize) -> String {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.file.display())
    }
}

/// The value of a key as text, if it is of the right type.
fn scalar(key: &Key, value: &Spanned<DeValue<'_>>, place: &str) -> Result<String, ConfigError> {
    match (key.kind, value.get_ref()) {
        (Kind::Text | Kind::Choice(_), DeValue::String(text)) => Ok(text.to_string()),
        (Kind::Integer { .. }, DeValue::Integer(number)) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        (_, other) => Err(ConfigError {
            place: place.to_owned(),
            problem: format!(
                "{} must be {}, found a value of type {}",
                key.name,
                key.kind.expected(),
                other.type_str()
            ),
            next: "correct it there, or remove it to use the default".to_owned(),
        }),
    }
}

fn unknown(dotted: &str, what: &str, place: String) -> ConfigError {
    let shown = display::one_line(dotted, SHOWN_VALUE_MAX_CHARS);
    let next = match nearest(dotted, what == "table") {
        Some(near) => format!("did you mean `{near}`? See docs/configuration.md for all keys"),
        None => {
            let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
            format!("remove it; the keys are {}", names.join(", "))
        }
    };
    ConfigError { place, problem: format!("there is no {what} `{shown}`"), next }
}

/// The known name that was most likely meant.
fn nearest(dotted: &str, table: bool) -> Option<&'static str> {
    /// Below this likeness (1 is equal), a suggestion would be a guess.
    const MIN_LIKENESS: f64 = 0.6;
    KEYS.iter()
        .map(|key| if table { key.name.split('.').next().unwrap_or(key.name) } else { key.name })
        .map(|name| (name, likeness(dotted, name)))
        .filter(|(_, likeness)| *likeness >= MIN_LIKENESS)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, _)| name)
}

/// How alike two names are, from 0 to 1; the leaf alone counts too, for a key that stands in the wrong table.
fn likeness(found: &str, known: &str) -> f64 {
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or("").to_owned();
    let whole = strsim::normalized_damerau_levenshtein(found, known);
    whole.max(0.9 * strsim::normalized_damerau_levenshtein(&leaf(found), &leaf(known)))
}

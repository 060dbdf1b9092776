//! Typed values out of a table of `.damascus.toml`.
//!
//! Invariant: a value of another type or out of its bounds is an error that says what is expected there.

use damascus_core::Named;
use damascus_core::display::one_line;
use globset::GlobBuilder;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ARG_MAX_BYTES, Bound, COMMAND_MAX_ARGS, GLOBS_MAX, NAME_MAX_BYTES, PATH_MAX_BYTES, RulesError};

/// How much of a wrong value a message repeats, in characters.
const SHOWN_VALUE_MAX_CHARS: usize = 60;
/// What to do where a value is wrong and a default would hold without it.
const MEND_OR_DROP: &str = "correct it, or remove it to use the default";

/// One value with its place.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    text: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

/// A table and its name.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    text: &'a str,
    name: &'a str,
    table: Option<&'a DeTable<'a>>,
    /// Where the table is, in bytes.
    byte: usize,
}

impl<'a> Section<'a> {
    /// The table `name`; all its values are absent where there is none.
    pub(super) fn of(text: &'a str, root: &'a DeTable<'a>, name: &'a str) -> Self {
        let found = root.get(name);
        let table =
            found.and_then(|value| if let DeValue::Table(table) = value.get_ref() { Some(table) } else { None });
        Self { text, name, table, byte: found.map_or(0, |value| value.span().start) }
    }

    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn get(&self, key: &str) -> Option<At<'a>> {
        self.table.and_then(|table| table.get(key)).map(|value| At { text: self.text, value })
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    /// A key that must be there and is not.
    pub(super) fn missing(&self, key: &str, next: &str) -> RulesError {
        let key = self.key(key);
        RulesError::at(self.text, self.byte, &key, &format!("`{key}` is missing"), next)
    }

    pub(super) fn command(&self) -> Result<Option<Vec<String>>, RulesError> {
        self.get("command").map(|at| at.command(&self.key("command"))).transpose()
    }

    pub(super) fn bool(&self, key: &str) -> Result<bool, RulesError> {
        let Some(at) = self.get(key) else { return Ok(false) };
        match at.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(at.unfit(&self.key(key), "true or false", MEND_OR_DROP)),
        }
    }

    pub(super) fn number(&self, key: &str, min: u64, max: u64) -> Result<Option<u64>, RulesError> {
        let Some(at) = self.get(key) else { return Ok(None) };
        let found = match at.value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse::<u64>().ok(),
            _ => None,
        };
        match found.filter(|number| (min..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(at.unfit(&self.key(key), &format!("a whole number from {min} to {max}"), MEND_OR_DROP)),
        }
    }

    pub(super) fn bounded(&self, key: &str, bound: Bound) -> Result<u64, RulesError> {
        Ok(self.number(key, bound.min, bound.max)?.unwrap_or(bound.default))
    }

    pub(super) fn small(&self, key: &str, bound: Bound) -> Result<u32, RulesError> {
        // Every such bound is below 2^32.
        self.bounded(key, bound).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    pub(super) fn small_option(&self, key: &str, max: u32) -> Result<Option<u32>, RulesError> {
        Ok(self.number(key, 1, u64::from(max))?.map(|number| u32::try_from(number).unwrap_or(max)))
    }

    pub(super) fn name(&self, key: &str) -> Result<Option<String>, RulesError> {
        let Some(at) = self.get(key) else { return Ok(None) };
        let expected = format!("a name of 1 to {NAME_MAX_BYTES} bytes without spaces around it or control characters");
        let fits = |name: &&str| {
            !name.is_empty()
                && name.len() <= NAME_MAX_BYTES
                && name.trim() == *name
                && !name.chars().any(damascus_core::display::is_unsafe)
        };
        let name = at.str().filter(fits).ok_or_else(|| at.unfit(&self.key(key), &expected, MEND_OR_DROP))?;
        Ok(Some(name.to_owned()))
    }

    pub(super) fn globs(&self, key: &str) -> Result<Vec<String>, RulesError> {
        let Some(at) = self.get(key) else { return Ok(Vec::new()) };
        at.strings(&self.key(key), GLOBS_MAX)?
            .into_iter()
            .map(|at| {
                let glob = at.str().unwrap_or_default();
                if is_inside(glob) && GlobBuilder::new(glob).literal_separator(true).build().is_ok() {
                    Ok(glob.to_owned())
                } else {
                    let expected = "a glob relative to the root, such as \"src/**\" or \"docs/*.md\"";
                    Err(at.unfit(&self.key(key), expected, "correct that entry"))
                }
            })
            .collect()
    }

    pub(super) fn named<T: Named>(&self, key: &str) -> Result<Vec<T>, RulesError> {
        let Some(at) = self.get(key) else { return Ok(Vec::new()) };
        at.strings(&self.key(key), T::ALL.len())?.into_iter().map(|at| at.named(&self.key(key))).collect()
    }
}

impl<'a> At<'a> {
    pub(super) fn str(&self) -> Option<&'a str> {
        if let DeValue::String(text) = self.value.get_ref() { Some(text) } else { None }
    }

    /// A table that stands for this value.
    pub(super) fn section(&self, name: &'a str) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value.get_ref() else { return None };
        Some(Section { text: self.text, name, table: Some(table), byte: self.value.span().start })
    }

    pub(super) fn named<T: Named>(&self, key: &str) -> Result<T, RulesError> {
        self.str().and_then(|text| T::parse(text).ok()).ok_or_else(|| {
            let names: Vec<_> = T::ALL.iter().map(|one| one.name()).collect();
            let near = self.str().and_then(|found| {
                let close = |name: &&&str| strsim::normalized_damerau_levenshtein(found, name) >= 0.6;
                names.iter().find(close).map(|name| format!("did you mean \"{name}\"?"))
            });
            let next = near.unwrap_or_else(|| "correct it".to_owned());
            self.unfit(key, &format!("one of {}", names.join(", ")), &next)
        })
    }

    pub(super) fn unfit(&self, key: &str, expected: &str, next: &str) -> RulesError {
        let found = match self.value.get_ref() {
            DeValue::String(text) => format!("\"{}\"", one_line(text, SHOWN_VALUE_MAX_CHARS)),
            DeValue::Integer(number) => one_line(number.as_str(), SHOWN_VALUE_MAX_CHARS),
            other => format!("a value of type {}", other.type_str()),
        };
        let problem = format!("`{key}` must be {expected}, found {found}");
        RulesError::at(self.text, self.value.span().start, key, &problem, next)
    }

    fn strings(&self, key: &str, max: usize) -> Result<Vec<At<'a>>, RulesError> {
        let expected = format!("a list of at most {max} texts");
        let unfit = |at: &Self| at.unfit(key, &expected, "correct it");
        let DeValue::Array(list) = self.value.get_ref() else { return Err(unfit(self)) };
        if list.len() > max {
            return Err(unfit(self));
        }
        let entries = list.iter().map(|value| At { text: self.text, value });
        entries.map(|at| if at.str().is_some() { Ok(at) } else { Err(unfit(&at)) }).collect()
    }

    /// A list of arguments, or a text for the shell.
    fn command(&self, key: &str) -> Result<Vec<String>, RulesError> {
        let expected = format!(
            "a program with its arguments, such as [\"make\", \"test\"], or a text for `sh -c`: 1 to {COMMAND_MAX_ARGS} \
             arguments of at most {ARG_MAX_BYTES} bytes, without NUL"
        );
        let unfit = || self.unfit(key, &expected, "correct it");
        let command: Vec<String> = match self.value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => {
                vec!["sh".to_owned(), "-c".to_owned(), text.to_string()]
            }
            DeValue::Array(_) => {
                let arguments = self.strings(key, COMMAND_MAX_ARGS).map_err(|_| unfit())?;
                arguments.iter().filter_map(At::str).map(str::to_owned).collect()
            }
            _ => return Err(unfit()),
        };
        let fits = |argument: &String| argument.len() <= ARG_MAX_BYTES && !argument.contains('\0');
        let program = command.first().is_some_and(|program| !program.trim().is_empty());
        if program && command.iter().all(fits) { Ok(command) } else { Err(unfit()) }
    }
}

/// Whether a path or glob is relative and stays inside the tree, in its shortest spelling, and is none of git's own.
pub(super) fn is_inside(path: &str) -> bool {
    let bad = path.trim() != path
        || path.len() > PATH_MAX_BYTES
        || path.starts_with('~')
        || path.contains('\\')
        || path.chars().any(damascus_core::display::is_unsafe)
        || path.split('/').any(|part| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"));
    !bad
}

//! The keys of `.damascus.toml`.
//!
//! Invariant: a key that is not listed here is an error, with the nearest that is.

use damascus_core::display::one_line;
use toml::de::{DeTable, DeValue};

use super::RulesError;

/// Every key, with its table.
const KEYS: &[&str] = &[
    "setup.command",
    "setup.timeout_s",
    "setup.network",
    "build.command",
    "build.timeout_s",
    "build.network",
    "lint.command",
    "lint.timeout_s",
    "lint.network",
    "test.command",
    "test.timeout_s",
    "test.network",
    "test.report",
    "test.report.format",
    "test.report.file",
    "protected.paths",
    "scope.allow",
    "policy.waive_fail_on_base",
    "agent.name",
    "agent.model",
    "agent.minutes",
    "agent.turns",
    "spec.model",
    "limits.diff_files",
    "limits.diff_bytes",
    "limits.memory_mib",
    "limits.processes",
    "limits.tree_mib",
];
/// Below this likeness (1 is equal), a suggestion would be a guess.
const MIN_LIKENESS: f64 = 0.6;
/// How much of a wrong key a message repeats, in characters.
const SHOWN_KEY_MAX_CHARS: usize = 60;

/// Refuses the first key that nobody knows.
pub(super) fn check(text: &str, table: &DeTable<'_>, prefix: &str) -> Result<(), RulesError> {
    for (name, value) in table {
        let dotted = format!("{prefix}{}", name.get_ref());
        let deeper = format!("{dotted}.");
        let known = KEYS.contains(&dotted.as_str());
        let is_table = KEYS.iter().any(|key| key.starts_with(&deeper));
        match value.get_ref() {
            DeValue::Table(inner) if is_table => check(text, inner, &deeper)?,
            _ if known => {}
            other if is_table => {
                let problem = format!("`{dotted}` must be a table, found a value of type {}", other.type_str());
                let next = format!("write its keys under [{dotted}]: {}", leaves(&deeper));
                return Err(RulesError::at(text, name.span().start, &dotted, &problem, &next));
            }
            _ => return Err(unknown(text, name.span().start, &dotted)),
        }
    }
    Ok(())
}

fn unknown(text: &str, byte: usize, dotted: &str) -> RulesError {
    let problem = format!("there is no key `{}`", one_line(dotted, SHOWN_KEY_MAX_CHARS));
    let next = match nearest(dotted) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match dotted.rsplit_once('.') {
            Some((table, _)) if !leaves(&format!("{table}.")).is_empty() => {
                format!("remove it; [{table}] has {}", leaves(&format!("{table}.")))
            }
            _ => format!("remove it; the tables are {}", tables().join(", ")),
        },
    };
    RulesError::at(text, byte, dotted, &problem, &next)
}

fn tables() -> Vec<&'static str> {
    let mut tables: Vec<_> = KEYS.iter().filter_map(|key| key.split('.').next()).collect();
    tables.dedup();
    tables
}

fn leaves(prefix: &str) -> String {
    let mut names: Vec<_> =
        KEYS.iter().filter_map(|key| key.strip_prefix(prefix)).filter_map(|rest| rest.split('.').next()).collect();
    names.dedup();
    names.join(", ")
}

/// The known key or table that was most likely meant.
fn nearest(dotted: &str) -> Option<&'static str> {
    let candidates: Vec<&'static str> = if dotted.contains('.') { KEYS.to_vec() } else { tables() };
    let whole = candidates.into_iter().map(|key| (key, likeness(dotted, key)));
    // A key that was written outside its table.
    let leaf = KEYS.iter().map(|key| (*key, 0.9 * likeness(last(dotted), last(key))));
    whole
        .chain(leaf)
        .filter(|(_, likeness)| *likeness >= MIN_LIKENESS)
        .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(a.0)))
        .map(|(key, _)| key)
}

fn last(dotted: &str) -> &str {
    dotted.rsplit('.').next().unwrap_or(dotted)
}

fn likeness(found: &str, known: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(found, known)
}

//! make, where a target tests.
//!
//! Invariant: make says nothing of how its tests report; it is only taken when the target is one line that runs a known runner.

use super::{Plan, Seen, Steps, Tree, Untestable, plan, shown};
use crate::report::{Format, format_of};

/// The names under which make looks for its file, in its own order.
const FILES: [&str; 3] = ["GNUmakefile", "makefile", "Makefile"];

/// A `test` target, else `check`.
pub(super) fn make(tree: &Tree<'_>) -> Option<Seen> {
    let (file, text) = FILES.iter().find_map(|file| tree.text(file).map(|text| (*file, text)))?;
    let name = format!("make ({file})");
    let Some((target, recipe)) = ["test", "check"].iter().find_map(|target| Some((*target, recipe(&text, target)?)))
    else {
        let reason = "it has no target named test or check".to_owned();
        return Some(Seen { name, found: Err(Untestable { reason, example: by_exit_code("test") }) });
    };
    let found = match format_by_recipe(&recipe) {
        Some(format) => Ok(plan(Steps::default(), &["make", target], format)),
        None => {
            let reason = format!("`make {target}` does not tell how its tests report ({})", shown(&recipe.join("; ")));
            Err(Untestable { reason, example: by_exit_code(target) })
        }
    };
    Some(Seen { name, found })
}

fn by_exit_code(target: &str) -> Plan {
    plan(Steps::default(), &["make", target], Format::ExitCode)
}

/// The lines that a target runs; nothing when there is no such target.
fn recipe(text: &str, target: &str) -> Option<Vec<String>> {
    let mut lines = text.lines();
    lines.find(|line| {
        let rule = line.split('#').next().unwrap_or("");
        !line.starts_with(char::is_whitespace)
            && rule.split_once(':').is_some_and(|(targets, rest)| {
                !rest.starts_with('=') && targets.split_whitespace().any(|one| one == target)
            })
    })?;
    let run = lines.take_while(|line| line.starts_with('\t') || line.trim().is_empty());
    Some(
        run.map(|line| line.trim().trim_start_matches(['@', '-', '+']).to_owned())
            .filter(|line| !line.is_empty())
            .collect(),
    )
}

/// The format, where one plain command does it all.
fn format_by_recipe(recipe: &[String]) -> Option<Format> {
    let [line] = recipe else { return None };
    if line.contains(['|', '&', ';', '<', '>', '`', '$', '"', '\'', '\\', '(']) {
        return None;
    }
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    format_of(&words).filter(|format| !matches!(format, Format::ExitCode | Format::Junit))
}

//! Writes rules as a `.damascus.toml`.
//!
//! Invariant: what is written reads back as the same rules.

use std::fmt::Display;
use std::fmt::Write as _;

use super::{ProjectRules, RuleLimits, Step, TestRule};

/// The rules as the text of a `.damascus.toml` that a person can keep: [`super::parse`] gives the same rules again, from a file.
#[must_use]
pub fn to_toml(rules: &ProjectRules) -> String {
    let mut out = String::new();
    let steps = [("setup", &rules.steps.setup), ("build", &rules.steps.build), ("lint", &rules.steps.lint)];
    for (name, step) in steps {
        if let Some(step) = step {
            section(&mut out, name, &step_lines(step));
        }
    }
    section(&mut out, "test", &test_lines(&rules.test));
    if !rules.protected.is_empty() {
        section(&mut out, "protected", &[line("paths", list(&rules.protected))]);
    }
    if !rules.scope.is_empty() {
        section(&mut out, "scope", &[line("allow", list(&rules.scope))]);
    }
    if !rules.waive_fail_on_base.is_empty() {
        section(&mut out, "policy", &[line("waive_fail_on_base", list(&rules.waive_fail_on_base))]);
    }
    let agent: Vec<String> = [
        rules.agent.as_ref().map(|name| line("name", quoted(name))),
        rules.agent_model.as_ref().map(|model| line("model", quoted(model))),
        rules.agent_minutes.map(|minutes| line("minutes", minutes)),
        rules.agent_turns.map(|turns| line("turns", turns)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !agent.is_empty() {
        section(&mut out, "agent", &agent);
    }
    if let Some(model) = &rules.spec_model {
        section(&mut out, "spec", &[line("model", quoted(model))]);
    }
    section(&mut out, "limits", &limit_lines(rules.limits));
    out
}

fn section(out: &mut String, name: &str, lines: &[String]) {
    let gap = if out.is_empty() { "" } else { "\n" };
    // Writing to a text can't fail.
    let _ = write!(out, "{gap}[{name}]\n{}", lines.concat());
}

fn line(key: &str, value: impl Display) -> String {
    format!("{key} = {value}\n")
}

fn step_lines(step: &Step) -> Vec<String> {
    let mut lines = vec![line("command", list(&step.command)), line("timeout_s", step.timeout.as_secs())];
    if step.network {
        lines.push(line("network", true));
    }
    lines
}

fn test_lines(test: &TestRule) -> Vec<String> {
    let mut lines = step_lines(&test.step);
    let format = quoted(test.format);
    lines.push(match &test.report_file {
        None => line("report", format),
        Some(file) => line("report", format!("{{ format = {format}, file = {} }}", quoted(file))),
    });
    lines
}

fn limit_lines(limits: RuleLimits) -> Vec<String> {
    vec![
        line("diff_files", limits.diff_files),
        line("diff_bytes", limits.diff_bytes),
        line("memory_mib", limits.memory_mib),
        line("processes", limits.processes),
        line("tree_mib", limits.tree_mib),
    ]
}

fn list<T: Display>(all: &[T]) -> String {
    let quoted: Vec<String> = all.iter().map(quoted).collect();
    format!("[{}]", quoted.join(", "))
}

/// A basic string on one line.
fn quoted(text: impl Display) -> String {
    let mut out = String::from("\"");
    for c in text.to_string().chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if damascus_core::display::is_unsafe(c) => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

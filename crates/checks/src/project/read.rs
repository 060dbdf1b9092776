//! Reads `.damascus.toml`.
//!
//! Invariant: what is silent takes a named default, except for what decides a pass: the test command, and how it reports, are never
//! guessed beyond what the command itself says.

use std::collections::BTreeSet;
use std::time::Duration;

use damascus_core::spec::ChangeKind;
use toml::de::DeTable;

use super::values::{At, Section, is_inside};
use super::{
    AGENT_MINUTES_MAX, AGENT_TURNS_MAX, DIFF_BYTES, DIFF_FILES, FILE_MAX_BYTES, MEMORY_MIB, PROCESSES, ProjectRules,
    RuleLimits, RuleSource, RulesError, Step, Steps, TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S, TIMEOUT_MIN_S, TREE_MIB,
    TestRule, keys,
};
use crate::report::{Format, format_of};

/// What to write where the test command is missing.
const TEST_NEEDED: &str =
    "a project needs a test: write it under [test], such as command = [\"make\", \"test\"] with report = \"tap\"";

/// Reads the text of a `.damascus.toml`.
///
/// # Errors
/// The first fault, with its line, column and key, and what is expected there.
pub fn parse(text: &str) -> Result<ProjectRules, RulesError> {
    if text.len() > FILE_MAX_BYTES {
        let problem = format!("the file has {} bytes; at most {FILE_MAX_BYTES}", text.len());
        return Err(RulesError::at(text, 0, "", &problem, "shorten it"));
    }
    let document = DeTable::parse(text).map_err(|error| {
        let byte = error.span().map_or(0, |span| span.start);
        RulesError::at(text, byte, "", &format!("is not valid TOML: {}", error.message()), "correct that line")
    })?;
    let root = document.get_ref();
    keys::check(text, root, "")?;
    let agent = Section::of(text, root, "agent");
    let waived: BTreeSet<ChangeKind> =
        Section::of(text, root, "policy").named("waive_fail_on_base")?.into_iter().collect();
    Ok(ProjectRules {
        steps: Steps {
            setup: optional_step(Section::of(text, root, "setup"))?,
            build: optional_step(Section::of(text, root, "build"))?,
            lint: optional_step(Section::of(text, root, "lint"))?,
        },
        test: test(Section::of(text, root, "test"))?,
        protected: Section::of(text, root, "protected").globs("paths")?,
        scope: Section::of(text, root, "scope").globs("allow")?,
        waive_fail_on_base: waived.into_iter().collect(),
        agent: agent.name("name")?,
        agent_model: agent.name("model")?,
        agent_minutes: agent.small_option("minutes", AGENT_MINUTES_MAX)?,
        agent_turns: agent.small_option("turns", AGENT_TURNS_MAX)?,
        spec_model: Section::of(text, root, "spec").name("model")?,
        limits: limits(Section::of(text, root, "limits"))?,
        source: RuleSource::File,
    })
}

fn limits(section: Section<'_>) -> Result<RuleLimits, RulesError> {
    Ok(RuleLimits {
        diff_files: section.small("diff_files", DIFF_FILES)?,
        diff_bytes: section.bounded("diff_bytes", DIFF_BYTES)?,
        memory_mib: section.small("memory_mib", MEMORY_MIB)?,
        processes: section.small("processes", PROCESSES)?,
        tree_mib: section.small("tree_mib", TREE_MIB)?,
    })
}

fn optional_step(section: Section<'_>) -> Result<Option<Step>, RulesError> {
    if !section.is_there() {
        return Ok(None);
    }
    match step(section)? {
        Some(step) => Ok(Some(step)),
        None => Err(section.missing("command", "write the command, or remove the table")),
    }
}

fn step(section: Section<'_>) -> Result<Option<Step>, RulesError> {
    let timeout = section.number("timeout_s", TIMEOUT_MIN_S, TIMEOUT_MAX_S)?.unwrap_or(TIMEOUT_DEFAULT_S);
    let network = section.bool("network")?;
    let command = section.command()?;
    Ok(command.map(|command| Step { command, timeout: Duration::from_secs(timeout), network }))
}

fn test(section: Section<'_>) -> Result<TestRule, RulesError> {
    let Some(step) = step(section)? else { return Err(section.missing("command", TEST_NEEDED)) };
    let Some(report) = section.get("report") else {
        let format = format_of(&step.command).filter(|format| !matches!(format, Format::ExitCode | Format::Junit));
        return match format {
            Some(format) => Ok(TestRule { step, format, report_file: None }),
            None => Err(section.missing("report", &report_needed())),
        };
    };
    if report.str().is_some() {
        let format = report.named("test.report")?;
        return test_rule(step, format, None, report);
    }
    let Some(table) = report.section("test.report") else {
        return Err(report.unfit("test.report", "a format, or { format = …, file = … }", "correct it"));
    };
    let Some(format) = table.get("format") else { return Err(table.missing("format", &report_needed())) };
    let format = format.named("test.report.format")?;
    match table.get("file") {
        None => test_rule(step, format, None, report),
        Some(file) => test_rule(step, format, Some(report_file(file)?), file),
    }
}

fn report_needed() -> String {
    let names: Vec<_> = <Format as damascus_core::Named>::ALL.iter().map(|one| format!("\"{one}\"")).collect();
    format!("the command does not tell how it reports; write report = one of {}", names.join(", "))
}

fn test_rule(step: Step, format: Format, report_file: Option<String>, at: At<'_>) -> Result<TestRule, RulesError> {
    let in_file = matches!(format, Format::Junit | Format::Vitest | Format::Jest);
    match &report_file {
        None if format == Format::Junit => {
            let next = "write report = { format = \"junit\", file = \"path/of/report.xml\" }";
            Err(at.unfit("test.report", "a format with its file, since junit is written to one", next))
        }
        Some(_) if !in_file => {
            let expected = format!("absent, since {format} is read from the output of the command");
            Err(at.unfit("test.report.file", &expected, "remove it"))
        }
        _ => Ok(TestRule { step, format, report_file }),
    }
}

/// A path inside the tree, with at most one `*`, in its last part.
fn report_file(at: At<'_>) -> Result<String, RulesError> {
    let fits = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = &path[..path.len() - name.len()];
        is_inside(path)
            && !folder.contains('*')
            && name.matches('*').count() <= 1
            && !path.contains(['?', '[', ']', '{', '}'])
            && name != "*"
            && !path.starts_with(".damascus")
    };
    let expected = "a path relative to the root of the tree; its last part may hold one `*`";
    let next = "write such as \"target/nextest/ci/junit.xml\" or \"target/surefire-reports/TEST-*.xml\"";
    at.str().filter(fits).map(str::to_owned).ok_or_else(|| at.unfit("test.report.file", expected, next))
}

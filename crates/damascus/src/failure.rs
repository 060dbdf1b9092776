//! From an error to what a person or a program reads on standard error: a message, its causes, the next step, an exit code.
//!
//! Invariant: every failure names a next step, and none repeats a secret or an unsafe character.

use damascus_core::{Refusal, display};
use damascus_store::StoreError;
use serde_json::json;

use crate::config::ConfigError;
use crate::exit::Exit;
use crate::output::OutputError;

/// How much of an error is shown, in characters.
const MESSAGE_MAX_CHARS: usize = 8_000;

/// A failure that a command found itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The way to end.
    pub exit: Exit,
    /// A stable word for programs, such as `not_initialised`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub next: String,
}

impl Problem {
    /// A failure: something that should have worked did not.
    pub fn failed(code: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, code, message: message.into(), next: next.into() }
    }

    /// Wrong usage that the parser of the command line can't see.
    pub fn usage(message: impl Into<String>, next: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code: "usage", message: message.into(), next: next.into() }
    }
}

/// A failure, ready to be shown.
#[derive(Debug)]
pub struct Report {
    /// The way to end.
    pub exit: Exit,
    /// A stable word for programs.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What caused it, the nearest first.
    pub causes: Vec<String>,
    /// What to do.
    pub next: String,
}

impl Report {
    /// Reads an error; nothing when the reader of our output left, which is no failure.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Option<Self> {
        if error.downcast_ref::<OutputError>().is_some_and(OutputError::reader_left) {
            return None;
        }
        let mut report = Self {
            exit: Exit::Failed,
            code: "failed",
            message: safe(&error.to_string()),
            causes: error.chain().skip(1).map(|cause| safe(&cause.to_string())).collect(),
            next: "`damascus doctor` checks everything that Damascus needs".to_owned(),
        };
        if let Some(problem) = error.downcast_ref::<Problem>() {
            report.judge(problem.exit, problem.code, &problem.next);
        } else if let Some(config) = error.downcast_ref::<ConfigError>() {
            report.judge(Exit::Usage, "configuration", &config.next);
        } else if let Some(store) = error.downcast_ref::<StoreError>() {
            report.judge_store(store);
        } else if error.downcast_ref::<damascus_postgres::Error>().is_some() {
            report.code = "postgres";
        }
        report.drop_repeated_causes();
        Some(report)
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        let mut message = self.message.clone();
        for cause in &self.causes {
            message.push_str(": ");
            message.push_str(cause);
        }
        json!({ "error": { "code": self.code, "message": message, "next": self.next } }).to_string()
    }

    /// The report for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        text.push_str(&format!("next: {}", self.next));
        text
    }

    fn judge(&mut self, exit: Exit, code: &'static str, next: &str) {
        self.exit = exit;
        self.code = code;
        self.next = safe(next);
    }

    /// The store's messages name the way out behind a semicolon; here it gets a line of its own.
    fn judge_store(&mut self, error: &StoreError) {
        match error {
            StoreError::BadAddress(_) => {
                self.judge(Exit::Usage, "bad_database_url", "correct DATABASE_URL, --database-url or database.url");
            }
            StoreError::Unreachable { place, .. } => self.judge_unreachable(place, error.sql_state().as_deref()),
            StoreError::SchemaNewer { found, known } => {
                self.message =
                    format!("the database has schema version {found}, this Damascus knows versions up to {known}");
                let next = "install a Damascus at least as new as the one that made the database";
                self.judge(Exit::Failed, "schema_newer", next);
            }
            StoreError::SchemaOlder { found, needed } => {
                self.message = format!("the database has schema version {found}, this Damascus needs {needed}");
                self.judge(Exit::Failed, "schema_older", "run `damascus init`, which brings it up to date");
            }
            StoreError::NotFound { what, name, hint } => {
                self.message = safe(&format!("there is no {what} {name}"));
                let hint = hint.trim_start_matches("; ");
                let space = if hint.is_empty() || hint.ends_with('?') { " " } else { "; " };
                let next = format!("{hint}{space}`damascus {what} list` shows what there is");
                self.judge(Exit::Failed, "not_found", next.trim_start());
            }
            StoreError::Refused(Refusal::Illegal { .. }) => {
                self.judge(Exit::NotAllowed, "not_allowed", "`damascus item show ITEM` says where it stands");
            }
            StoreError::Refused(Refusal::Stale) => {
                self.judge(Exit::Failed, "stale", "it changed in the meantime; look at it and try again");
            }
            StoreError::Conflict(message) => match message.split_once(" already; ") {
                Some((what, next)) => {
                    self.message = safe(&format!("{what} already"));
                    self.judge(Exit::NotAllowed, "conflict", next);
                }
                None => self.judge(Exit::NotAllowed, "conflict", "`damascus item show ITEM` says where an item stands"),
            },
            StoreError::Invalid(_) => self.judge(Exit::Failed, "invalid", "correct it and try again"),
            StoreError::Migration(_) => self.code = "migration",
            StoreError::Inconsistent { .. } => {
                let next = "please report this; no version of Damascus writes such a row";
                self.judge(Exit::Failed, "inconsistent", next);
            }
            StoreError::Database(_) => self.code = "database",
        }
    }

    fn judge_unreachable(&mut self, place: &str, sql_state: Option<&str>) {
        let (code, message, next) = match sql_state {
            Some("3D000") => {
                ("no_database", format!("there is no such database at {place}"), "run `damascus init`, which makes it")
            }
            Some(state) if state.starts_with("28") => (
                "database_refused",
                format!("the database at {place} refuses this user"),
                "check the user and the password in DATABASE_URL",
            ),
            _ => (
                "database_unreachable",
                format!("the database at {place} does not answer"),
                "check that it runs and that DATABASE_URL is right, or unset DATABASE_URL to let Damascus run its own; \
                 `damascus doctor` looks closer",
            ),
        };
        self.message = safe(&message);
        self.judge(Exit::Failed, code, next);
    }

    /// Some libraries print their cause in their own message as well.
    fn drop_repeated_causes(&mut self) {
        let mut said = self.message.clone();
        self.causes.retain(|cause| {
            let is_new = !said.contains(cause.as_str());
            said.push_str(cause);
            is_new
        });
    }
}

fn safe(text: &str) -> String {
    display::many_lines(text.trim_end(), MESSAGE_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_error_causes_and_next_step() {
        let error = anyhow::Error::from(Problem::usage("no such day", "write it as 2026-11-30")).context("--since");
        let report = Report::of(&error).unwrap();
        assert_eq!(report.exit, Exit::Usage);
        assert_eq!(report.text(), "error: --since\n  because: no such day\nnext: write it as 2026-11-30");
        assert_eq!(
            report.json(),
            r#"{"error":{"code":"usage","message":"--since: no such day","next":"write it as 2026-11-30"}}"#
        );
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let left = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(Report::of(&anyhow::Error::from(OutputError::from(left))).is_none());
    }
}

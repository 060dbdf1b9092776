//! `damascus doctor`: whether everything that Damascus needs is there.
//!
//! Invariant: every line that is not well says how to mend it; a check that can't be made fails, it is never left out silently.

mod database;
mod machine;
mod tools;

use anyhow::Result;
use clap::Args;
use damascus_core::named_enum;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;

/// Check everything that Damascus needs, each line with a fix.
#[derive(Debug, Args)]
#[command(long_about = "\
Check everything that Damascus needs: configuration, home folder, disk, git, the sandbox, agents, the gateway,
Postgres, schema, clocks, workers. The gateway is asked for its models, which costs nothing.

Each line is ok, warn or fail, and what is not ok comes with a fix. Ends with 1 when something fails.

With --history it also replays the past of every item: whether events are numbered without a gap, each transition is
legal and told once, each run ended once, and what is merged has its landing.")]
#[command(after_long_help = "\
Examples:
  damascus doctor
  damascus doctor --json | jq '.checks[] | select(.level != \"ok\")'")]
pub struct Doctor {
    /// Also replay the history of every item: reads everything, so it takes long on a large database
    #[arg(long)]
    history: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

named_enum!(Level, "level", { Ok => "ok", Warn => "warn", Fail => "fail" });

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    level: Level,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), fix: None }
    }

    pub(super) fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    pub(super) fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Findings {
    healthy: bool,
    checks: Vec<Check>,
}

impl Doctor {
    /// Makes all checks.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let mut checks = machine::checks(context).await;
        checks.push(tools::git().await);
        if let Ok(config) = context.config() {
            checks.extend(tools::checks(config).await);
        }
        match context.config() {
            Ok(config) => checks.extend(database::checks(config, self.history).await),
            Err(_) => checks.push(Check::fail(
                "database",
                "not looked at, since the configuration can't be read",
                "correct the configuration first",
            )),
        }
        let healthy = checks.iter().all(|check| check.level != Level::Fail);
        if context.out.is_json() {
            context.out.json(&Findings { healthy, checks })?;
        } else {
            checks.iter().try_for_each(|check| tell(context, check))?;
        }
        Ok(if healthy { Exit::Done } else { Exit::Failed })
    }
}

fn tell(context: &Context, check: &Check) -> Result<()> {
    let tone = match check.level {
        Level::Ok => Tone::Good,
        Level::Warn => Tone::Warn,
        Level::Fail => Tone::Bad,
    };
    let level = context.out.style().paint(tone, &format!("{:<4}", check.level));
    let safe = |text: &str| damascus_core::display::one_line(text, 2_000);
    context.out.line(format_args!("{level}  {:<13}  {}", check.name, safe(&check.found)))?;
    if let Some(fix) = &check.fix {
        context.out.line(format_args!("{:21}fix: {}", "", safe(fix)))?;
    }
    Ok(())
}

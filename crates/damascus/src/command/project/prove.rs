//! `damascus project prove`.
//!
//! Invariant: it spends nothing and leaves nothing: the rules are read, the base is tested in the sandbox, a branch is pushed and removed.

use anyhow::Result;
use clap::Args;
use damascus_checks::project::to_toml;
use damascus_engine::prove::{Line, Outcome, prove};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;
use crate::{service, workshop};

/// Try a project without spending anything: its rules, its tests in the sandbox, a push
#[derive(Debug, Args)]
#[command(long_about = "\
Try a project as a run would, without asking any model: reach the repository, read its rules from the base branch (or
detect them), run set-up, build, lint and tests in the sandbox, read the report, and push a scratch branch that is
removed again. Shows what Damascus would run; each line that is not well comes with a fix. Ends with 1 when a run
could not work.")]
#[command(after_long_help = "\
Examples:
  damascus project prove shop
  damascus project prove shop --rules > .damascus.toml")]
pub(super) struct Prove {
    /// Its name or number
    #[arg(value_name = "PROJECT")]
    name: String,
    /// Print the rules that hold, as a `.damascus.toml`, and nothing else
    #[arg(long)]
    rules: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    project: &'a str,
    proven: bool,
    lines: &'a [Line],
    rules: Option<String>,
}

impl Prove {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let project = store.project(&self.name).await?;
        let tools = workshop::open(context.config()?, store).await?;
        let stop = service::shutdown_on_signal();
        let quiet = self.rules || context.out.is_json();
        let proven = prove(&tools, &project, &stop, |line| {
            if !quiet {
                // A failure to write shows at the end as well.
                let _ = tell(context, line);
            }
        })
        .await;
        let rules = proven.rules.as_ref().map(to_toml);
        if context.out.is_json() {
            context.out.json(&Shown { project: &project.name, proven: proven.holds(), lines: &proven.lines, rules })?;
        } else if self.rules {
            match rules {
                Some(rules) => context.out.write(&rules)?,
                None => proven.lines.iter().try_for_each(|line| tell(context, line))?,
            }
        } else {
            let next = if proven.holds() {
                "a run can work here; next: `damascus up`"
            } else {
                "correct what is marked, then try again"
            };
            context.out.note(next);
        }
        Ok(if proven.holds() { Exit::Done } else { Exit::Failed })
    }
}

fn tell(context: &Context, line: &Line) -> Result<()> {
    let (tone, word) = match line.outcome {
        Outcome::Ok => (Tone::Good, "ok"),
        Outcome::Warn => (Tone::Warn, "warn"),
        Outcome::Fail => (Tone::Bad, "fail"),
    };
    let mark = context.out.style().paint(tone, &format!("{word:<4}"));
    let safe =
        |text: &str| damascus_core::display::many_lines(text, 8_000).trim_end().replace('\n', "\n                  ");
    context.out.line(format_args!("{mark}  {:<10}  {}", line.name, safe(&line.found)))?;
    if let Some(fix) = &line.fix {
        context.out.line(format_args!("{:18}fix: {}", "", safe(fix)))?;
    }
    Ok(())
}

//! `damascus item diff`: what a build changed.
//!
//! Invariant: what is shown is what the run stored, never made anew; it can't act on a terminal, and colours are our own.

use anyhow::Result;
use clap::Args;
use damascus_core::{ItemId, RunId, WorkPhase, display};
use damascus_store::Store;
use damascus_store::artifact::{ARTIFACT_MAX_BYTES, Artifact};

use super::log::one_of;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;
use crate::output::style::{Style, Tone};

/// What builds store their difference as.
const DIFF: &str = "diff";

/// Show what the latest build of an item changed
#[derive(Debug, Args)]
#[command(long_about = "\
Show the change that the latest build of an item made, as a unified diff against the base it was built on; with --run,
that of another run.

It is what that run stored, whether or not it passed, and is kept as long as events.")]
#[command(after_long_help = "\
Examples:
  damascus item diff 42
  damascus item diff shop/1-2-sign-in --run 1311 > change.diff
  damascus item diff 42 --json | jq -r .body")]
pub(super) struct Diff {
    /// The item: its number, project/key, or key
    #[arg(value_name = "ITEM")]
    item: String,
    /// This run instead of the latest build; `damascus item show` lists them
    #[arg(long, value_name = "N")]
    run: Option<i64>,
}

impl Diff {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let item = store.resolve_item(&self.item).await?;
        let mut diff = self.find(store, item).await?;
        diff.body = display::many_lines(&diff.body, ARTIFACT_MAX_BYTES);
        if context.out.is_json() {
            context.out.json(&diff)?;
            return Ok(Exit::Done);
        }
        context.out.note(format_args!("run {}: {}", diff.head.run, diff.head.phase));
        context.out.write(&painted(&diff.body, context.out.style()))?;
        if diff.head.cut {
            context.out.note("the change is larger; this is its beginning");
        }
        Ok(Exit::Done)
    }

    async fn find(&self, store: &Store, item: ItemId) -> Result<Artifact> {
        let run = match self.run {
            Some(run) => Some(one_of(store, item, run).await?.run),
            None => store.latest_with_artifact(item, &[WorkPhase::Build], DIFF).await?,
        };
        let found = match run {
            Some(run) => store.artifact(run, DIFF).await?,
            None => None,
        };
        Ok(found.ok_or_else(|| none(item, self.run.map(RunId)))?)
    }
}

fn none(item: ItemId, run: Option<RunId>) -> Problem {
    let message = match run {
        Some(run) => format!("there is no diff of run {run}: it changed nothing, or its diff was removed by age"),
        None => format!(
            "there is no diff of item #{item}: no build of it has changed anything yet, or that was removed by age"
        ),
    };
    Problem::failed("not_found", message, format!("`damascus item show {item}` says where it stands"))
}

/// The diff line by line in colours, if there are any.
fn painted(diff: &str, style: Style) -> String {
    let mut text = String::with_capacity(diff.len());
    for line in diff.lines() {
        text.push_str(&style.paint(tone(line), line));
        text.push('\n');
    }
    text
}

fn tone(line: &str) -> Tone {
    let heads = ["diff --git ", "index ", "+++ ", "--- ", "new file ", "deleted file "];
    if heads.iter().any(|head| line.starts_with(head)) {
        Tone::Strong
    } else if line.starts_with("@@") {
        Tone::Faint
    } else if line.starts_with('+') {
        Tone::Good
    } else if line.starts_with('-') {
        Tone::Bad
    } else {
        Tone::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same\n";

    #[test]
    fn without_colours_a_diff_comes_out_as_it_went_in() {
        assert_eq!(painted(DIFF, Style::new(false)), DIFF);
    }

    #[test]
    fn each_line_has_its_own_colour() {
        let text = painted(DIFF, Style::new(true));
        for line in ["\u{1b}[1m--- a/x\u{1b}[0m", "\u{1b}[31m-old\u{1b}[0m", "\u{1b}[32m+new\u{1b}[0m", " same"] {
            assert!(text.lines().any(|one| one == line), "{line:?} in {text:?}");
        }
        assert_eq!(painted("", Style::new(true)), "");
    }
}

//! `damascus item create`.

use anyhow::Result;
use clap::Args;
use damascus_core::{Digest, GateCondition, WorkPhase, display};
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::{NewItem, StorySource};
use serde_json::json;

use super::story_file;
use crate::command::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;

/// The most findings about a story's text that are told.
const MAX_FINDINGS: usize = 10;

/// Create an item from a Markdown file or standard input
#[derive(Debug, Args)]
#[command(long_about = "\
Create an item from a story in Markdown, read from FILE or standard input, at most 1 MiB.

The first heading is the title; a section `Acceptance Criteria` is read as such; everything is the story. The key
is made from the title (`Story 1.2: Sign in` becomes 1-2-sign-in) unless --key gives one; a project has a key
once. What the text says that the story depends on is reported, not followed: --after makes such gates.")]
#[command(after_long_help = "\
Examples:
  damascus item create --project shop story.md
  printf '# Sign in\\n\\nAs a shopper …' | damascus item create --project shop --key sign-in
  damascus item create --project shop --priority 10 --after shop/1-1-accounts story.md")]
pub(super) struct Create {
    /// A Markdown file; - or nothing reads standard input
    #[arg(value_name = "FILE", default_value = "-")]
    file: String,
    /// The project
    #[arg(long, short, value_name = "NAME")]
    project: String,
    /// Its name within the project [default: made from the title]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// 0 is the most urgent [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    priority: Option<u16>,
    /// Order within a priority; lower first
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    rank: i64,
    /// Attempts that it is granted [default: as many as its project says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_attempts: Option<u16>,
    /// Start only when this item has merged; may be given several times
    #[arg(long, value_name = "ITEM")]
    after: Vec<String>,
    #[command(flatten)]
    decider: Decider,
}

impl Create {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let story = story_file::read(&self.file)?;
        let store = context.store().await?;
        let project = store.resolve_project(&self.project).await?;
        let mut gates = Vec::with_capacity(self.after.len());
        for name in &self.after {
            let item = store.resolve_item(name).await?;
            gates.push(NewGate {
                phase: WorkPhase::Spec,
                waits_for: GateTarget::Condition(GateCondition::ItemMerged { item }),
                deadline: None,
                origin: format!("item create --after, by {}", self.decider.name()),
            });
        }
        let new = NewItem {
            key: match &self.key {
                Some(key) => key.clone(),
                None => story_file::key(&story)?,
            },
            content_sha256: Digest::try_from(story.content_sha256)?,
            title: story.title,
            body: story.body,
            acceptance: story.acceptance,
            source: StorySource::Manual,
            source_path: None,
            priority: self.priority,
            rank: self.rank,
            max_attempts: self.max_attempts,
            gates,
        };
        let created = store.create_item(project, &new).await?;
        let notes: Vec<String> = story
            .findings
            .iter()
            .map(|finding| format!("line {}: {}", finding.source.line.unwrap_or(1), finding.message))
            .chain(
                story
                    .dependencies
                    .iter()
                    .map(|one| format!("line {}: \"{}\" is not followed; --after makes a gate", one.line, one.text)),
            )
            .take(MAX_FINDINGS)
            .collect();
        if context.out.is_json() {
            context.out.json(&json!({
                "id": created.item, "project_id": project, "key": created.key, "title": new.title, "gates": created.gates, "notes": notes,
            }))?;
        } else {
            context.out.line(format_args!("created {} (#{})", created.key, created.item))?;
            notes.iter().for_each(|note| context.out.note(display::one_line(note, 500)));
        }
        Ok(Exit::Done)
    }
}

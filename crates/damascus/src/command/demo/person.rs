//! The person of the demo: answers the question of a story, once others went on meanwhile.
//!
//! Invariant: it does what anybody could do by `damascus issue answer`, and nothing else.

use std::time::Duration;

use anyhow::Result;
use damascus_core::{IssueKind, Phase, ProjectId, display};
use damascus_store::Store;
use damascus_store::decision::Answer;
use damascus_store::issue::IssueFilter;
use damascus_store::item::ItemFilter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock;
use crate::context::Context;

/// How often the inbox is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Answers questions with what they propose, after another story has merged.
pub(super) async fn answer_questions(
    context: &Context,
    store: &Store,
    project: ProjectId,
    stop: &CancellationToken,
    began: Instant,
) -> Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let filter = IssueFilter { project: Some(project), ..IssueFilter::default() };
        let open = store.open_issues(&filter).await?;
        let questions: Vec<_> = open.iter().filter(|issue| issue.kind == IssueKind::Question).collect();
        if questions.is_empty() || !another_merged(store, project).await? {
            continue;
        }
        for issue in questions {
            let Some(text) = issue.default_answer.clone().or_else(|| issue.options.first().cloned()) else { continue };
            let question = display::one_line(&issue.question, 120);
            context.out.tell(format_args!("{}  you are asked: {question}", clock(began)))?;
            context.out.tell(format_args!("{}  answering as a person would: {text}", clock(began)))?;
            store.answer(issue.id, &Answer::new(&text, "the demo")).await?;
        }
    }
}

async fn another_merged(store: &Store, project: ProjectId) -> Result<bool> {
    let filter = ItemFilter { project: Some(project), phases: vec![Phase::Merged], ..ItemFilter::default() };
    Ok(!store.items(&filter).await?.items.is_empty())
}

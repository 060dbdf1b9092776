//! `damascus issue`: what waits for a person, and the answers.
//!
//! Invariant: an answer is given for one issue by its number; nothing is answered by default.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use damascus_core::{IssueId, display};
use damascus_store::decision::Answer as GivenAnswer;
use damascus_store::issue::{Issue as IssueRow, IssueFilter};

use super::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::number::{cell, of};
use crate::output::table::{Cell, Column, Table};
use crate::output::{fields, time};

/// How much of a question is shown, in characters.
const QUESTION_MAX_CHARS: usize = 20_000;

/// List open issues, show one, answer it
#[derive(Debug, Args)]
#[command(long_about = "\
An issue is an open question, a blocked item, or a gate that can't open by itself. Only its own item and those that
depend on it wait; WAITING counts those.")]
#[command(after_long_help = "\
Examples:
  damascus issue list --project shop
  damascus issue show 12
  damascus issue answer 12 2                   # the second option
  damascus issue answer 12 \"EUR, always\"
  damascus issue answer 13 retry --by dana")]
pub struct Issue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the open issues, oldest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show an issue
    Show(Show),
    /// Answer an issue
    Answer(Answer),
}

#[derive(Debug, Args)]
struct List {
    /// Only those of this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

#[derive(Debug, Args)]
struct Show {
    /// Its number
    #[arg(value_name = "ISSUE")]
    id: i64,
}

#[derive(Debug, Args)]
struct Answer {
    /// Its number
    #[arg(value_name = "ISSUE")]
    id: i64,
    /// An option, by its text or its number; or words of your own where there are none
    #[arg(value_name = "ANSWER")]
    text: String,
    /// Words of your own although there are options to choose from
    #[arg(long)]
    free_text: bool,
    /// For `wait` on a gate: when to ask again, as 2026-11-30T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    deadline: Option<DateTime<Utc>>,
    #[command(flatten)]
    decider: Decider,
}

impl Issue {
    /// Does what is asked.
    ///
    /// # Errors
    /// Those of the store and of standard output.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match &self.action {
            Action::List(list) => list.run(context).await,
            Action::Show(show) => show.run(context).await,
            Action::Answer(answer) => answer.run(context).await,
        }
    }
}

impl List {
    async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let project = match &self.project {
            Some(name) => Some(store.resolve_project(name).await?),
            None => None,
        };
        let issues = store.open_issues(&IssueFilter { project, after: None, limit: self.limit.into() }).await?;
        if context.out.is_json() {
            context.out.json(&issues)?;
            return Ok(Exit::Done);
        }
        let mut table = Table::new(&[
            ("ISSUE", Column::Right),
            ("KIND", Column::Left),
            ("WAITING", Column::Right),
            ("ITEM", Column::Cut),
            ("QUESTION", Column::Cut),
        ]);
        for issue in &issues {
            table.row([
                issue.id.to_string().into(),
                issue.kind.to_string().into(),
                cell(i64::try_from(issue.waiting_items).unwrap_or(i64::MAX)).into(),
                Cell::from(&issue.item),
                Cell::from(&issue.question),
            ]);
        }
        context.out.table(&table, "nothing waits for a person")?;
        if issues.len() == usize::from(self.limit) {
            context.out.note("there may be more; --limit N shows up to 500");
        }
        Ok(Exit::Done)
    }
}

impl Show {
    async fn run(&self, context: &Context) -> Result<Exit> {
        let issue = context.store().await?.issue(IssueId(self.id)).await?;
        if context.out.is_json() {
            context.out.json(&issue)?;
        } else {
            context.out.write(&picture(&issue))?;
        }
        Ok(Exit::Done)
    }
}

/// An issue for people, with the command that answers it.
fn picture(issue: &IssueRow) -> String {
    let mut lines = vec![
        ("issue", format!("{} ({}, {})", issue.id, issue.kind, issue.state)),
        ("item", format!("{} (#{}): {}", issue.item, issue.item_id, issue.title)),
        ("opened", time::stamp(issue.created_at)),
    ];
    if let (Some(answer), Some(by)) = (&issue.answer, &issue.answered_by) {
        lines.push(("answer", format!("{answer} ({by})")));
    }
    if issue.waiting_items > 0 {
        let n = i64::try_from(issue.waiting_items).unwrap_or(i64::MAX);
        lines.push(("waiting", of(n, "more item", "more items")));
    }
    let mut text = fields::render(&lines);
    text.push('\n');
    text.push_str(display::many_lines(&issue.question, QUESTION_MAX_CHARS).trim_end());
    text.push('\n');
    if !issue.options.is_empty() {
        text.push('\n');
    }
    for (at, option) in issue.options.iter().enumerate() {
        let proposed = if issue.default_answer.as_ref() == Some(option) { "  (proposed)" } else { "" };
        text.push_str(&format!("  {}  {}{proposed}\n", at + 1, display::one_line(option, QUESTION_MAX_CHARS)));
    }
    if issue.settled_at.is_none() {
        text.push_str(&format!("\nnext: damascus issue answer {} ANSWER\n", issue.id));
    }
    text
}

impl Answer {
    async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let answer = GivenAnswer {
            free_text: self.free_text,
            deadline: self.deadline,
            ..GivenAnswer::new(&self.text, &self.decider.name())
        };
        let answered = store.answer(IssueId(self.id), &answer).await?;
        if context.out.is_json() {
            context.out.json(&answered)?;
            return Ok(Exit::Done);
        }
        let said = display::one_line(&answered.answer, 200);
        context.out.line(format_args!("issue {} is answered: {said}", self.id))?;
        let standing = display::one_line(&answered.standing.explain(), 500);
        context.out.line(format_args!("item #{} {standing}", answered.item))?;
        Ok(Exit::Done)
    }
}

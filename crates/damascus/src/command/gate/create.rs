//! `damascus gate create`.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Args;
use damascus_core::{CommitId, GateCondition, WorkPhase, display};
use damascus_store::Store;
use damascus_store::gate::{GateTarget, NewGate};

use crate::command::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;
use crate::output::time;

/// Make a gate
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus gate create 43 --phase build --item-merged 42
  damascus gate create 43 --phase build --contract orders-api@3
  damascus gate create 43 --phase spec --pr acme/site#17
  damascus gate create 43 --phase merge --ref acme/site:refs/heads/main:0123456789abcdef0123456789abcdef01234567
  damascus gate create 43 --phase spec --until 2026-12-24T08:00:00Z
  damascus gate create 43 --phase merge --human \"Is the copy approved?\" --deadline 2026-12-20")]
pub(super) struct Create {
    /// The item that waits
    #[arg(value_name = "ITEM")]
    item: String,
    /// The phase that it may not enter before: spec, build, review, merge
    #[arg(long, value_name = "PHASE")]
    phase: WorkPhase,
    /// When the gate expires, which asks a person [default: never]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    deadline: Option<DateTime<Utc>>,
    #[command(flatten)]
    condition: Condition,
    #[command(flatten)]
    decider: Decider,
}

/// What is waited for: exactly one.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Condition {
    /// Until this item has merged
    #[arg(long, value_name = "ITEM")]
    item_merged: Option<String>,
    /// Until this contract is published in at least this version
    #[arg(long, value_name = "NAME@VERSION")]
    contract: Option<String>,
    /// Until this pull request is merged
    #[arg(long, value_name = "OWNER/NAME#NUMBER")]
    pr: Option<String>,
    /// Until this ref contains this commit
    #[arg(long = "ref", value_name = "REPO:REF:COMMIT")]
    reference: Option<String>,
    /// Until this time
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<DateTime<Utc>>,
    /// Until a person approves
    #[arg(long, value_name = "QUESTION")]
    human: Option<String>,
}

impl Create {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let condition = self.condition.read(store).await?;
        let item = store.resolve_item(&self.item).await?;
        let gate = NewGate {
            phase: self.phase,
            waits_for: GateTarget::Condition(condition),
            deadline: self.deadline,
            origin: format!("gate create, by {}", self.decider.name()),
        };
        let made = store.create_gates(&[(item, gate)]).await?;
        if context.out.is_json() {
            context.out.json(&made)?;
            return Ok(Exit::Done);
        }
        for one in &made {
            let verb = if one.created { "made" } else { "was there already:" };
            context.out.line(format_args!(
                "{verb} gate {} before {} of item #{} ({})",
                one.gate, self.phase, one.item, one.state
            ))?;
            if let Some(warning) = &one.warning {
                context.out.note(display::one_line(warning, 500));
            }
        }
        Ok(Exit::Done)
    }
}

impl Condition {
    async fn read(&self, store: &Store) -> Result<GateCondition> {
        if let Some(name) = &self.item_merged {
            return Ok(GateCondition::ItemMerged { item: store.resolve_item(name).await? });
        }
        if let Some(until) = self.until {
            return Ok(GateCondition::Timer { until });
        }
        if let Some(text) = &self.contract {
            return contract(text).ok_or_else(|| wrong("--contract", "orders-api@3"));
        }
        if let Some(text) = &self.pr {
            return pull_request(text).ok_or_else(|| wrong("--pr", "acme/site#17"));
        }
        if let Some(text) = &self.reference {
            return reference(text)
                .ok_or_else(|| wrong("--ref", "acme/site:refs/heads/main:COMMIT, the commit in full"));
        }
        let question = self.human.clone().unwrap_or_default();
        if question.trim().is_empty() {
            return Err(wrong("--human", "\"Is the copy approved?\""));
        }
        Ok(GateCondition::Human { question })
    }
}

fn wrong(flag: &str, example: &str) -> anyhow::Error {
    Problem::usage(format!("{flag} can't be read"), format!("write it as {example}")).into()
}

fn contract(text: &str) -> Option<GateCondition> {
    let (name, version) = text.rsplit_once('@')?;
    Some(GateCondition::ContractPublished { name: name.to_owned(), version: version.parse().ok()? })
}

fn pull_request(text: &str) -> Option<GateCondition> {
    let (repo, number) = text.rsplit_once('#')?;
    Some(GateCondition::PrMerged { repo: repo.to_owned(), number: number.parse().ok()? })
}

/// From the right, since the path of a local repository may hold colons.
fn reference(text: &str) -> Option<GateCondition> {
    let (rest, commit) = text.rsplit_once(':')?;
    let (repo, reference) = rest.rsplit_once(':')?;
    let commit = CommitId::try_from(commit.to_owned()).ok()?;
    Some(GateCondition::RefContains { repo: repo.to_owned(), reference: reference.to_owned(), commit })
}

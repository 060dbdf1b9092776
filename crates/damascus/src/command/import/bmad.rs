//! `damascus import bmad`.
//!
//! Invariant: what is written follows from the plan alone, and the plan from the scan and from what the project has; two imports at once end
//! as one after the other would.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use damascus_bmad::{Code, Layout, Limits, Scan, ScanError, ScanOptions, Severity};
use damascus_core::{ItemId, ProjectId};
use damascus_store::item::{ExistingStory, NewItem, RevisedStory};
use damascus_store::{Store, StoreError};

use super::plan::{Outcome, Plan, plan};
use super::report::Report;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;

/// How often a plan is made anew because another import took keys of it meanwhile.
const MAX_REPLANS: usize = 5;

/// Take BMAD stories in, with their dependencies as gates
#[derive(Debug, Args)]
#[command(long_about = "\
Take the BMAD stories of a repository in: version 4, 6 and 6.11 layouts, whichever is there.

Each story that is not done becomes an item, in execution order. What a story depends on, and the order of the
stories in an epic or list, becomes gates: an item starts when what it waits for has merged. A checkpoint becomes
a gate that a person opens. The report says what was taken, left alone and left out, with file and line; what is
left out or odd comes with a hint. Begin with --dry-run: it writes nothing.")]
#[command(after_long_help = "\
Examples:
  damascus import bmad ~/src/shop --project shop --dry-run
  damascus import bmad ~/src/shop --project shop
  damascus import bmad . --project shop --no-order --json")]
pub(super) struct Bmad {
    /// The folder of the repository that holds the stories
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The project that gets the items
    #[arg(long, short, value_name = "NAME")]
    project: String,
    /// Report only; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Make gates of what stories depend on only, not of their order
    #[arg(long)]
    no_order: bool,
    /// Read this layout where there are several
    #[arg(long, value_name = "LAYOUT", value_parser = ["v6-specs", "v6-classic", "v6-alpha", "v4"])]
    layout: Option<String>,
    /// Import although it can't be told which stories are done: all count as not started
    #[arg(long)]
    assume_not_started: bool,
    /// End with 1 when a story is broken or refused
    #[arg(long)]
    strict: bool,
}

impl Bmad {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let project = store.resolve_project(&self.project).await?;
        let scan = self.scan().await?;
        self.refuse_unknown_statuses(&scan)?;
        let mut replans = 0;
        let (plan, written) = loop {
            let plan = plan(&scan, &existing(store, project, &scan).await?, !self.no_order);
            if self.dry_run {
                break (plan, Written::default());
            }
            match write(store, project, &plan).await {
                Ok(written) => break (plan, written),
                // Another import, or a person, took a key meanwhile: what is there now is seen by the next plan.
                Err(StoreError::Conflict(_)) if replans < MAX_REPLANS => replans += 1,
                Err(error) => return Err(error.into()),
            }
        };
        Report { project: &self.project, dry_run: self.dry_run, scan: &scan, plan: &plan, written: &written }
            .show(&context.out)?;
        let broken = scan.findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if self.strict && broken { Exit::Failed } else { Exit::Done })
    }

    /// Without its tracking file every story looks unstarted; building again what is done would cost money and trust.
    fn refuse_unknown_statuses(&self, scan: &Scan) -> Result<()> {
        let Some(finding) = scan.findings.iter().find(|finding| finding.code == Code::NoStatuses) else {
            return Ok(());
        };
        if self.dry_run || self.assume_not_started {
            return Ok(());
        }
        let message = format!("{}: {}", finding.source, finding.message);
        let next = format!("{} Or pass --assume-not-started; --dry-run shows what would come in", finding.hint);
        Err(Problem::failed("unknown_statuses", message, next).into())
    }

    /// Reads the folder on a thread of its own: it may be large, or on a slow disk.
    async fn scan(&self) -> Result<Scan> {
        let options = ScanOptions {
            limits: Limits::default(),
            layout: self
                .layout
                .as_deref()
                .and_then(|name| Layout::ALL.into_iter().find(|layout| layout.as_str() == name)),
        };
        let path = self.path.clone();
        let scanned = tokio::task::spawn_blocking(move || damascus_bmad::scan(&path, &options)).await;
        scanned.context("the scan broke off")?.map_err(|error: ScanError| {
            let (text, next) = split_hint(&error.to_string());
            Problem::failed("no_stories", text, next).into()
        })
    }
}

/// The scanner's errors end in what to do, after a semicolon.
fn split_hint(message: &str) -> (String, String) {
    match message.rsplit_once("; ") {
        Some((text, next)) => (text.to_owned(), next.to_owned()),
        None => (message.to_owned(), "give the folder of the repository that holds the stories".to_owned()),
    }
}

async fn existing(store: &Store, project: ProjectId, scan: &Scan) -> Result<Vec<ExistingStory>, StoreError> {
    let keys: Vec<String> = scan.stories.iter().map(|story| story.key.clone()).collect();
    store.existing_stories(project, &keys).await
}

/// What an import wrote.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The items made, by key.
    pub(super) created: Vec<(String, ItemId)>,
    /// Gates that were not there before.
    pub(super) gates: usize,
    /// Items whose story was brought up to date.
    pub(super) revised: usize,
}

async fn write(store: &Store, project: ProjectId, plan: &Plan<'_>) -> Result<Written, StoreError> {
    let mut written = Written::default();
    let new = plan.stories.iter().filter_map(|story| match &story.outcome {
        Outcome::Create(item) => Some(item.as_ref().clone()),
        Outcome::Revise(_) | Outcome::Unchanged(_) | Outcome::LeftAlone { .. } => None,
    });
    let new: Vec<NewItem> = new.collect();
    if !new.is_empty() {
        for made in store.create_items(project, &new).await? {
            written.gates += made.gates.iter().filter(|gate| gate.created).count();
            written.created.push((made.key, made.item));
        }
    }
    let revised = plan.stories.iter().filter_map(|story| match &story.outcome {
        Outcome::Revise(revised) => Some(revised.as_ref().clone()),
        Outcome::Create(_) | Outcome::Unchanged(_) | Outcome::LeftAlone { .. } => None,
    });
    let revised: Vec<RevisedStory> = revised.collect();
    if !revised.is_empty() {
        written.revised = store.revise_stories(&revised).await?.len();
    }
    if !plan.gates_of_existing.is_empty() {
        written.gates += store.create_gates(&plan.gates_of_existing).await?.iter().filter(|gate| gate.created).count();
    }
    Ok(written)
}

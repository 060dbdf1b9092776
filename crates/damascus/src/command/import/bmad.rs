//! `damascus import bmad`.
//!
//! Invariant: what is written follows from the plan alone, and the plan from the scan and from what the project has; two imports at once end
//! as one after the other would.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use damascus_bmad::{Code, Finding, Layout, Limits, Scan, ScanError, ScanOptions, Severity};
use damascus_core::{ItemId, ProjectId};
use damascus_store::gate::GateFilter;
use damascus_store::item::{NewItem, RevisedStory};
use damascus_store::{Store, StoreError};

use super::plan::{Existing, Outcome, Plan, plan};
use super::report::Report;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;

/// Where version 6 keeps the statuses.
const TRACKING_FILE: &str = "sprint-status.yaml";
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
        let (mut replans, mut written) = (0, Written::default());
        let plan = loop {
            let plan = plan(&scan, &existing(store, project, &scan).await?, !self.no_order);
            if self.dry_run {
                break plan;
            }
            match write(store, project, &plan, &mut written).await {
                Ok(()) => break plan,
                // Another import, or a person, took a key meanwhile: what is there now is seen by the next plan.
                Err(StoreError::Conflict(_)) if replans < MAX_REPLANS => replans += 1,
                Err(error) => return Err(error.into()),
            }
        };
        Report { project: &self.project, dry_run: self.dry_run, scan: &scan, plan: &plan, written: &written }
            .show(&context.out)?;
        let broken = scan.findings.iter().any(|finding| finding.severity == Severity::Error);
        Ok(if self.strict && (broken || plan.refuses()) { Exit::Failed } else { Exit::Done })
    }

    /// Without its tracking file every story looks unstarted; building again what is done would cost money and trust.
    fn refuse_unknown_statuses(&self, scan: &Scan) -> Result<()> {
        let Some(finding) = scan.findings.iter().find(|finding| hides_statuses(finding)) else { return Ok(()) };
        if self.dry_run || self.assume_not_started {
            return Ok(());
        }
        let message = format!(
            "{}: {}; so it can't be told which stories are done, and nothing was imported",
            finding.source, finding.message
        );
        let hint = finding.hint.split_once(';').map_or(finding.hint, |(hint, _)| hint).trim_end_matches('.');
        let next = format!(
            "{hint}. Or pass --assume-not-started to import all as not started; --dry-run shows what would come in"
        );
        Err(Problem::failed("unknown_statuses", message, next).into())
    }

    async fn scan(&self) -> Result<Scan> {
        let options = ScanOptions {
            limits: Limits::default(),
            layout: self
                .layout
                .as_deref()
                .and_then(|name| Layout::ALL.into_iter().find(|layout| layout.as_str() == name)),
        };
        scan(&self.path, options).await
    }
}

/// Reads the folder on a thread of its own: it may be large, or on a slow disk.
async fn scan(path: &Path, options: ScanOptions) -> Result<Scan> {
    let path = path.to_owned();
    let scanned = tokio::task::spawn_blocking(move || damascus_bmad::scan(&path, &options)).await;
    scanned.context("the scan broke off")?.map_err(|error: ScanError| {
        let (text, next) = split_hint(&error.to_string());
        Problem::failed("no_stories", text, next).into()
    })
}

/// Takes in what is new in a folder; gives how many items were made.
pub(super) async fn take_in(store: &Store, project: ProjectId, folder: &Path, order: bool) -> Result<usize> {
    let scan = scan(folder, ScanOptions { limits: Limits::default(), layout: None }).await?;
    let mut written = Written::default();
    let plan = plan(&scan, &existing(store, project, &scan).await?, order);
    write(store, project, &plan, &mut written).await?;
    Ok(written.created.len())
}

/// Whether it says that the tracking file is there and gave no status.
fn hides_statuses(finding: &Finding) -> bool {
    let unread = matches!(
        finding.code,
        Code::YamlUnparseable
            | Code::YamlTooComplex
            | Code::TooLarge
            | Code::TooMuchText
            | Code::NotUtf8
            | Code::NotRegular
            | Code::LeavesRepository
            | Code::SymlinkLoop
            | Code::Unreadable
    );
    finding.code == Code::NoStatuses || (unread && Path::new(&finding.source.path).ends_with(TRACKING_FILE))
}

/// The scanner's errors end in what to do, after a semicolon.
fn split_hint(message: &str) -> (String, String) {
    match message.rsplit_once("; ") {
        Some((text, next)) => (text.to_owned(), next.to_owned()),
        None => (message.to_owned(), "give the folder of the repository that holds the stories".to_owned()),
    }
}

async fn existing(store: &Store, project: ProjectId, scan: &Scan) -> Result<Existing, StoreError> {
    let keys: Vec<String> = scan.stories.iter().map(|story| story.key.clone()).collect();
    let mut existing = Existing { stories: store.existing_stories(project, &keys).await?, waits: Vec::new() };
    if existing.stories.is_empty() {
        return Ok(existing);
    }
    let mut filter = GateFilter { project: Some(project), ..GateFilter::default() };
    loop {
        let page = store.gates(&filter).await?;
        let Some(last) = page.last() else { return Ok(existing) };
        filter.after = Some(last.id);
        existing.waits.extend(page.iter().filter_map(|gate| Some((gate.item_id, gate.upstream.as_ref()?.id))));
    }
}

/// What an import wrote.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The items made, by key.
    pub(super) created: Vec<(String, ItemId)>,
    /// Gates that were not there before.
    pub(super) gates: usize,
    /// Items whose story was brought up to date.
    pub(super) revised: Vec<ItemId>,
}

/// Writes what is planned. What is written before an error stays, and is added up.
async fn write(store: &Store, project: ProjectId, plan: &Plan<'_>, written: &mut Written) -> Result<(), StoreError> {
    let new = plan.stories.iter().filter_map(|story| match &story.outcome {
        Outcome::Create(item) => Some(item.as_ref().clone()),
        _ => None,
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
        _ => None,
    });
    let revised: Vec<RevisedStory> = revised.collect();
    if !revised.is_empty() {
        written.revised.extend(store.revise_stories(&revised).await?);
    }
    if !plan.gates_of_existing.is_empty() {
        written.gates += store.create_gates(&plan.gates_of_existing).await?.iter().filter(|gate| gate.created).count();
    }
    Ok(())
}

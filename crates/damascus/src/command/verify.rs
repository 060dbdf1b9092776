//! `damascus verify`: the audit of what landed.
//!
//! Invariant: it ends with 0 only when every landing was looked at and is as it was proven.

use anyhow::{Result, anyhow};
use clap::Args;
use damascus_core::Named as _;
use damascus_engine::phases::Trouble;
use damascus_engine::verify::{Audit, audit};
use damascus_store::project::{ForgeKind, Project};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::number::of;
use crate::output::style::Tone;
use crate::{service, workshop};

/// Audit what landed against the repository: was exactly the tested commit landed, and is it still there?
#[derive(Debug, Args)]
#[command(long_about = "\
Audit every landing against the repository as it is now: the landed commit is on the base branch, its tree is the one
that was tested, it lies on the commit it was tested on, and its evidence shows tests that ran and passed. Commits that
others put on the branch are told, and are no fault.

With --retest each landed commit is checked out and its tests run again in the sandbox. Ends with 1 when anything is
not as it was proven.")]
#[command(after_long_help = "\
Examples:
  damascus verify
  damascus verify shop --retest
  damascus verify --json | jq '.[].faults'")]
pub struct Verify {
    /// Only this project: its name or number
    #[arg(value_name = "PROJECT")]
    project: Option<String>,
    /// Also check out each landed commit and run its tests again
    #[arg(long)]
    retest: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    holds: bool,
    #[serde(flatten)]
    audit: &'a Audit,
}

impl Verify {
    /// Audits.
    ///
    /// # Errors
    /// When the database, a repository or (with --retest) the sandbox can't be used.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let store = context.store().await?;
        let projects = match &self.project {
            Some(name) => vec![store.project(name).await?],
            None => store.projects(None).await?,
        };
        let tools = workshop::open(context.config()?, store).await?;
        let stop = service::shutdown_on_signal();
        let mut audits = Vec::new();
        for project in projects.iter().filter(|project| self.project.is_some() || project.forge == ForgeKind::Local) {
            let told = |progress: damascus_engine::verify::Progress| {
                if self.retest {
                    context.out.note(format_args!("{}: {} looked at, {}", project.name, progress.done, progress.key));
                }
            };
            // One that can't be reached must not hide the others.
            let looked = audit(&tools, project, self.retest, &stop, told).await;
            audits.push(looked.unwrap_or_else(|trouble| Audit::not_looked_at(project, &trouble.text())));
        }
        if context.out.is_json() {
            let shown: Vec<Shown<'_>> = audits.iter().map(|audit| Shown { holds: audit.holds(), audit }).collect();
            context.out.json(&shown)?;
        } else {
            if audits.is_empty() {
                context.out.line("there are no projects to look at")?;
            }
            audits.iter().try_for_each(|audit| tell(context, audit))?;
            for other in projects.iter().filter(|one| self.project.is_none() && one.forge != ForgeKind::Local) {
                context.out.note(format_args!(
                    "{}: not looked at, {} is not supported yet",
                    other.name,
                    other.forge.name()
                ));
            }
        }
        Ok(if audits.iter().all(Audit::holds) { Exit::Done } else { Exit::Failed })
    }
}

/// An audit that could not be made is no pass.
pub(super) fn failed(project: &Project, trouble: Trouble) -> anyhow::Error {
    anyhow!("{}: {}", project.name, trouble.text())
}

/// Shows an audit.
pub(super) fn tell(context: &Context, audit: &Audit) -> Result<()> {
    let style = context.out.style();
    let mark = if audit.holds() { style.paint(Tone::Good, "holds") } else { style.paint(Tone::Bad, "FAULTY") };
    let landings = of(i64::try_from(audit.landings).unwrap_or(i64::MAX), "landing", "landings");
    let tip = audit.tip.as_ref().map_or("gone", |tip| tip.as_str().get(..12).unwrap_or_default());
    let mut line =
        format!("{mark}  {}: {landings}, {} as proven, {} at {tip}", audit.project, audit.proven, audit.base_branch);
    if audit.retested > 0 {
        line.push_str(&format!(", {} tested again", audit.retested));
    }
    if audit.exit_code_only > 0 {
        line.push_str(&format!(", {} resting on an exit code alone", audit.exit_code_only));
    }
    context.out.line(line)?;
    for fault in &audit.faults {
        let item = fault.item.map(|item| format!("#{item} {}: ", fault.key)).unwrap_or_default();
        context.out.line(format_args!("        {item}{}", damascus_core::display::one_line(&fault.problem, 2_000)))?;
    }
    for foreign in &audit.foreign {
        let commit = foreign.commit.as_str().get(..12).unwrap_or_default();
        context.out.line(format_args!("        {commit} did not land through Damascus: {}", foreign.subject))?;
    }
    Ok(())
}

//! `damascus project`: the repositories that Damascus works on.
//!
//! Invariant: nothing here but `prove` touches a repository; a project is what the database knows of it.

mod add;
mod prove;

use anyhow::Result;
use clap::{Args, Subcommand};
use damascus_store::project::Project as ProjectRow;
use serde_json::json;

use super::decider::Decider;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::number::{cell, of};
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};
use crate::output::{fields, time};

/// Add, list, show, prove, pause and resume projects
#[derive(Debug, Args)]
#[command(long_about = "\
A project is a repository that Damascus works on. Adding one makes its lanes; it needs stories before anything
happens: `damascus import bmad` or `damascus item create`.")]
#[command(after_long_help = "\
Examples:
  damascus project add shop --repo /srv/git/shop.git
  damascus project add site --forge gitea --repo acme/site --base trunk --concurrency 2
  damascus project prove shop
  damascus project pause shop")]
pub struct Project {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Add(add::Add),
    /// List the projects
    #[command(visible_alias = "ls")]
    List,
    /// Show a project
    Show(Name),
    Prove(prove::Prove),
    /// Claim nothing more of a project; runs under way are finished
    Pause(Switch),
    /// Claim items of a project again
    Resume(Switch),
}

/// A project by name.
#[derive(Debug, Args)]
struct Name {
    /// Its name or number
    #[arg(value_name = "PROJECT")]
    name: String,
}

/// A decision about a project.
#[derive(Debug, Args)]
struct Switch {
    #[command(flatten)]
    project: Name,
    #[command(flatten)]
    decider: Decider,
}

impl Project {
    /// Does what is asked.
    ///
    /// # Errors
    /// Those of the store and of standard output.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match &self.action {
            Action::Add(add) => add.run(context).await,
            Action::List => list(context).await,
            Action::Show(Name { name }) => show(context, name).await,
            Action::Prove(prove) => prove.run(context).await,
            Action::Pause(switch) => switch.run(context, true).await,
            Action::Resume(switch) => switch.run(context, false).await,
        }
    }
}

impl Switch {
    async fn run(&self, context: &Context, pause: bool) -> Result<Exit> {
        let store = context.store().await?;
        let id = store.resolve_project(&self.project.name).await?;
        let by = self.decider.name();
        let changed = if pause { store.pause_project(id, &by).await? } else { store.resume_project(id, &by).await? };
        let project = store.project(&id.to_string()).await?;
        if context.out.is_json() {
            context.out.json(&json!({ "project": project, "changed": changed }))?;
        } else {
            let state = if pause { "paused" } else { "running" };
            let already = if changed { "" } else { " already" };
            context.out.line(format_args!("{} is {state}{already}", project.name))?;
        }
        Ok(Exit::Done)
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let projects = context.store().await?.projects(None).await?;
    if context.out.is_json() {
        context.out.json(&projects)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("PROJECT", Column::Cut),
        ("FORGE", Column::Left),
        ("REPOSITORY", Column::Cut),
        ("BASE", Column::Left),
        ("OPEN", Column::Right),
        ("READY", Column::Right),
        ("RUNS", Column::Right),
        ("STATE", Column::Left),
    ]);
    for project in &projects {
        let number = |n: u64| Cell::from(cell(i64::try_from(n).unwrap_or(i64::MAX)));
        table.row([
            Cell::from(&project.name),
            project.forge.to_string().into(),
            Cell::from(&project.repo),
            Cell::from(&project.base_branch),
            number(project.open.total),
            number(project.open.queued),
            number(project.open.running),
            state(project),
        ]);
    }
    context.out.table(&table, "there are no projects yet; `damascus project add NAME --repo PATH` adds one")?;
    Ok(Exit::Done)
}

fn state(project: &ProjectRow) -> Cell {
    match project.paused_at {
        Some(_) => Cell::toned(Tone::Warn, "paused"),
        None => Cell::from("running"),
    }
}

async fn show(context: &Context, name: &str) -> Result<Exit> {
    let project = context.store().await?.project(name).await?;
    if context.out.is_json() {
        context.out.json(&project)?;
        return Ok(Exit::Done);
    }
    let paused =
        project.paused_at.map_or_else(|| "running".to_owned(), |at| format!("paused since {}", time::stamp(at)));
    let concurrency =
        project.concurrency.map_or_else(|| "no limit of its own".to_owned(), |n| of(n.into(), "run", "runs"));
    let phases: Vec<String> = project.open.by_phase.iter().map(|(phase, n)| format!("{n} in {phase}")).collect();
    let open = if phases.is_empty() { "nothing".to_owned() } else { phases.join(", ") };
    let limits = format!(
        "{} attempts, {} failures of the surroundings, {} moves",
        project.max_attempts, project.max_infra_failures, project.max_moves
    );
    context.out.write(&fields::render(&[
        ("project", format!("{} (number {})", project.name, project.id)),
        ("repository", format!("{} ({})", project.repo, project.forge)),
        ("base branch", project.base_branch),
        ("state", paused),
        ("unfinished", open),
        ("at once", concurrency),
        ("an item has", limits),
        ("added", time::stamp(project.created_at)),
    ]))?;
    Ok(Exit::Done)
}

//! The commands, one file each.
//!
//! Invariant: a command returns how it ended; it never ends the process itself.

pub mod bench;
pub mod completions;
pub mod cost;
pub mod cycle;
mod decider;
pub mod demo;
pub mod doctor;
pub mod events;
pub mod gate;
pub mod import;
pub mod init;
pub mod issue;
pub mod item;
pub mod lane;
pub mod project;
pub mod scheduler;
pub mod status;
pub mod up;
pub mod verify;
pub mod worker;

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Init),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Project(project::Project),
    Import(import::Import),
    Item(item::Item),
    Up(up::Up),
    Worker(worker::Worker),
    Scheduler(scheduler::Scheduler),
    Cycle(cycle::Cycle),
    Status(status::Status),
    Events(events::Events),
    Cost(cost::Cost),
    Issue(issue::Issue),
    Gate(gate::Gate),
    Lane(lane::Lane),
    Verify(verify::Verify),
    Demo(demo::Demo),
    Bench(bench::Bench),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever kept it from its end.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        match self {
            Self::Init(init) => init.run(context).await,
            Self::Up(up) => up.run(context).await,
            Self::Worker(worker) => worker.run(context).await,
            Self::Scheduler(scheduler) => scheduler.run(context).await,
            Self::Cycle(cycle) => cycle.run(context).await,
            Self::Bench(bench) => bench.run(context).await,
            Self::Doctor(doctor) => doctor.run(context).await,
            Self::Status(status) => status.run(context).await,
            Self::Events(events) => events.run(context).await,
            Self::Cost(cost) => cost.run(context).await,
            Self::Completions(completions) => completions.run(context),
            Self::Project(project) => project.run(context).await,
            Self::Import(import) => import.run(context).await,
            Self::Item(item) => item.run(context).await,
            Self::Issue(issue) => issue.run(context).await,
            Self::Gate(gate) => gate.run(context).await,
            Self::Lane(lane) => lane.run(context).await,
            Self::Verify(verify) => verify.run(context).await,
            Self::Demo(demo) => demo.run(context).await,
        }
    }

    /// Whether it runs until it is stopped: it gets a runtime with threads, and handles signals itself.
    #[must_use]
    pub const fn is_service(&self) -> bool {
        matches!(
            self,
            Self::Up(_) | Self::Worker(_) | Self::Scheduler(_) | Self::Cycle(_) | Self::Demo(_) | Self::Bench(_)
        )
    }

    /// Whether it logs what it does; others show it themselves.
    #[must_use]
    pub const fn logs(&self) -> bool {
        self.is_service() && !matches!(self, Self::Demo(_))
    }

    /// The values that its flags give to keys of the configuration.
    #[must_use]
    pub fn flags(&self) -> BTreeMap<&'static str, String> {
        match self {
            Self::Up(up) => up.flags(),
            Self::Worker(worker) => worker.flags(),
            Self::Cycle(cycle) => cycle.flags(),
            _ => BTreeMap::new(),
        }
    }
}

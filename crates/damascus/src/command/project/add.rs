//! `damascus project add`.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use damascus_core::Named as _;
use damascus_store::project::{DEFAULT_AGENT_LANE, DEFAULT_PROVIDER_LANE, ForgeKind, NewProject};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Problem;

/// Add a project
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  damascus project add shop --repo /srv/git/shop.git
  damascus project add site --forge gitea --repo acme/site --base trunk --concurrency 2")]
pub(super) struct Add {
    /// What to call it: lower case, digits, dot, dash, underscore
    name: String,
    /// The folder of a local repository, or OWNER/NAME on a forge
    #[arg(long, value_name = "PATH|OWNER/NAME")]
    repo: String,
    /// What the repository lies on
    #[arg(long, value_name = "KIND", default_value = "local", value_parser = ["local", "gitea", "forgejo", "github"])]
    forge: String,
    /// The branch that changes land on
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    base: String,
    /// How many of its runs may go on at once [default: no limit of its own]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Attempts that a new item is granted
    #[arg(long, value_name = "N")]
    max_attempts: Option<u16>,
    /// Failures of the surroundings at which an item is parked
    #[arg(long, value_name = "N")]
    max_infra_failures: Option<u16>,
    /// Moves of the head or the base at which an item is parked
    #[arg(long, value_name = "N")]
    max_moves: Option<u16>,
    /// The lane of the agent that builds
    #[arg(long, value_name = "LANE", default_value = DEFAULT_AGENT_LANE)]
    agent_lane: String,
    /// The lane of the provider that writes specs
    #[arg(long, value_name = "LANE", default_value = DEFAULT_PROVIDER_LANE)]
    provider_lane: String,
}

impl Add {
    pub(super) async fn run(&self, context: &Context) -> Result<Exit> {
        let forge = ForgeKind::parse(&self.forge).map_err(|error| Problem::usage(error.to_string(), "see --help"))?;
        let repo = if forge == ForgeKind::Local { local(&self.repo)? } else { self.repo.clone() };
        let defaults = NewProject::new(&self.name, forge, &repo);
        let new = NewProject {
            base_branch: self.base.clone(),
            max_attempts: self.max_attempts.unwrap_or(defaults.max_attempts),
            max_infra_failures: self.max_infra_failures.unwrap_or(defaults.max_infra_failures),
            max_moves: self.max_moves.unwrap_or(defaults.max_moves),
            concurrency: self.concurrency,
            agent_lane: self.agent_lane.clone(),
            provider_lane: self.provider_lane.clone(),
            ..defaults
        };
        let store = context.store().await?;
        let id = store.add_project(&new).await?;
        if context.out.is_json() {
            context.out.json(&store.project(&id.to_string()).await?)?;
        } else {
            context.out.line(format_args!("added {} (number {id})", self.name))?;
            context.out.note(format_args!(
                "next: `damascus import bmad PATH --project {name}` or `damascus item create --project {name} STORY.md`",
                name = self.name
            ));
        }
        Ok(Exit::Done)
    }
}

/// The absolute path of a local repository that is there.
fn local(repo: &str) -> Result<String> {
    let wrong = |problem: String| {
        Problem::failed(
            "no_repository",
            format!("{repo}: {problem}"),
            "name the folder of a git repository, or say --forge gitea, forgejo or github with OWNER/NAME",
        )
    };
    let path = Path::new(repo).canonicalize().map_err(|error| wrong(error.to_string()))?;
    if !path.join("HEAD").exists() && !path.join(".git").exists() {
        return Err(wrong("is no git repository".to_owned()).into());
    }
    let text = path.to_str().ok_or_else(|| wrong("is not valid UTF-8".to_owned()))?;
    Ok(text.to_owned())
}

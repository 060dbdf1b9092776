//! The command line: global flags, the commands, and the overview that `damascus` alone prints.
//!
//! Invariant: the overview lists every command, since it is made from the commands themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser};

use crate::command::Command;

/// The commands by what they are for. One that is not named here appears under the last heading.
const GROUPS: &[(&str, &[&str])] = &[
    ("Set up", &["demo", "init", "doctor", "completions"]),
    ("Take stories in", &["project", "import", "item"]),
    ("Run", &["up", "worker", "scheduler", "cycle"]),
    ("Watch", &["status", "events", "cost", "verify"]),
    ("Decide", &["issue", "gate", "lane"]),
    ("More", &[]),
];

const AFTER: &str = "\
Everywhere: --json, --home DIR, --database-url URL. Exit codes: 0 done, 1 failed, 2 usage, 3 cancelled, 4 not allowed,
5 blocked or awaiting a person, 8 still running, 130 interrupted.
`damascus COMMAND --help` explains a command, with examples.";

/// Damascus advances the stories of a software project from spec to merge, without a person driving.
#[derive(Debug, Parser)]
#[command(name = "damascus", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; nothing prints the overview.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The home folder (default: $DAMASCUS_HOME, else /var/lib/damascus for root and ~/.local/share/damascus for others)
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true, help_heading = "Everywhere")]
    pub home: Option<PathBuf>,
    /// The database to use (default: $DATABASE_URL, else database.url, else a Postgres of its own)
    #[arg(long, global = true, value_name = "URL", hide_short_help = true, help_heading = "Everywhere")]
    pub database_url: Option<String>,
    /// Print JSON on standard output, and nothing else there
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
}

impl Cli {
    /// The values that flags give to keys of the configuration.
    #[must_use]
    pub fn flags(&self) -> BTreeMap<&'static str, String> {
        let mut flags = BTreeMap::new();
        if let Some(url) = &self.global.database_url {
            flags.insert("database.url", url.clone());
        }
        if let Some(command) = &self.command {
            flags.extend(command.flags());
        }
        flags
    }
}

/// The parser, with the overview as its help.
#[must_use]
pub fn parser() -> clap::Command {
    let parser = reflow(Cli::command());
    let template = format!("{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}{AFTER}\n", overview(&parser));
    parser.help_template(template)
}

/// Long texts are written in lines of the source; as paragraphs they are wrapped to the terminal instead.
fn reflow(command: clap::Command) -> clap::Command {
    let paragraphs = command.get_long_about().map(|text| {
        let text = text.to_string();
        let lines: Vec<String> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
        lines.join("\n\n")
    });
    match paragraphs {
        Some(text) => command.long_about(text),
        None => command,
    }
    .mut_subcommands(reflow)
}

/// The commands with one line each, by group.
fn overview(parser: &clap::Command) -> String {
    let commands: Vec<(&str, String)> = parser
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| (command.get_name(), command.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    let wide = commands.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, members)| members.contains(&name));
    let mut text = String::new();
    for (heading, members) in GROUPS {
        let mut lines: Vec<&(&str, String)> =
            members.iter().filter_map(|member| commands.iter().find(|(name, _)| name == member)).collect();
        if members.is_empty() {
            lines.extend(commands.iter().filter(|(name, _)| !is_grouped(name)));
        }
        if !lines.is_empty() {
            text.push_str(&format!("{heading}:\n"));
            lines.iter().for_each(|(name, about)| text.push_str(&format!("  {name:wide$}  {about}\n")));
            text.push('\n');
        }
    }
    text
}

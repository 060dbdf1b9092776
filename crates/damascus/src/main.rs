//! The `damascus` program: reads the command line and the configuration, runs one command, ends with its exit code.
//!
//! Invariant: this is the only place that decides how the process ends.
#![expect(unreachable_pub, reason = "a program has no outside; `pub` says what a module offers to the others")]

mod cli;
mod command;
mod config;
mod context;
mod database;
mod exit;
mod failure;
mod logging;
mod output;
mod service;
mod signals;
mod workshop;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::FromArgMatches as _;
use clap::error::ErrorKind;

use cli::Cli;
use command::Command;
use config::Config;
use context::Context;
use exit::Exit;
use failure::{Problem, Report};
use output::Output;

fn main() -> ExitCode {
    let cli = match cli::parser().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let json = cli.global.json;
    let exit = start(cli).unwrap_or_else(|error| match Report::of(&error) {
        Some(report) => {
            let text = if json { report.json() } else { report.text() };
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
            report.exit
        }
        None => Exit::Done,
    });
    exit.into()
}

/// Runs the command on a runtime of its size: one thread for a short command, several for a service.
fn start(cli: Cli) -> Result<Exit> {
    let flags = cli.flags();
    let home = cli.global.home.clone();
    let out = Output::new(cli.global.json);
    let Some(command) = cli.command else {
        out.write(&cli::parser().render_help().to_string())?;
        return Ok(Exit::Done);
    };
    let config = Config::load(home.as_deref(), &flags, |name| std::env::var_os(name));
    if let Ok(config) = &config {
        logging::start(&config.log, command.logs());
    }
    let mut builder = if command.is_service() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build().context("the runtime could not start")?;
    let context = Context::new(out, config, home);
    let context = if command.is_service() { context.with_max_connections(service::CONNECTIONS) } else { context };
    runtime.block_on(run(&command, context))
}

async fn run(command: &Command, context: Context) -> Result<Exit> {
    let ended = tokio::select! {
        ended = Box::pin(command.run(&context)) => ended,
        () = signals::asked_to_end(), if !command.is_service() => Ok(Exit::Interrupted),
    };
    context.close().await;
    ended
}

/// Answers a command line that did not parse, or that asked for help.
fn usage(error: &clap::Error) -> Exit {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked || !std::env::args_os().any(|argument| argument == "--json") {
        // Nobody is left to be told when the stream is closed.
        let _ = error.print();
    } else {
        let message = error.render().to_string();
        let message = message.lines().next().unwrap_or("").trim_start_matches("error: ");
        let problem =
            Problem::usage(message, "`damascus --help` lists the commands, `damascus COMMAND --help` their flags");
        if let Some(report) = Report::of(&problem.into()) {
            let _ = writeln!(std::io::stderr().lock(), "{}", report.json());
        }
    }
    if asked { Exit::Done } else { Exit::Usage }
}

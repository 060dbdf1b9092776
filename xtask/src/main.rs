//! `cargo xtask tidy` and `cargo xtask edges`: runs the checks and prints what they found.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use xtask::{edges, tidy, tree};

const HELP: &str = "\
Chores of this repository.

Usage: cargo xtask <COMMAND>

Commands:
  tidy   Check the tree against the house rules that the compiler does not know
  edges  Check which crate uses which against the edges that are allowed
  help   Print this
";

fn main() -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("tidy") => run_tidy(&mut out),
        Some("edges") => run_edges(&mut out),
        None | Some("help" | "-h" | "--help") => {
            write!(out, "{HELP}")?;
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("there is no command `{other}`; `cargo xtask help` lists them"),
    }
}

/// The repository's root: the folder above this crate's manifest.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask's manifest has no folder above it")
}

fn run_tidy(out: &mut impl Write) -> Result<ExitCode> {
    let files = tree::load(root()?)?;
    let findings = tidy::check(&files);
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let failures = findings.iter().filter(|f| f.is_failure()).count();
    let notes = findings.len() - failures;
    writeln!(out, "tidy: {} files read, {failures} to mend, {notes} notes", files.len())?;
    Ok(if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_edges(out: &mut impl Write) -> Result<ExitCode> {
    let crates = edges::load(root()?)?;
    let broken = edges::check(&crates);
    for message in &broken {
        writeln!(out, "{message}")?;
    }
    writeln!(out, "edges: {} crates read, {} to mend", crates.len(), broken.len())?;
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

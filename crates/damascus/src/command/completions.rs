//! `damascus completions SHELL`.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::context::Context;
use crate::exit::Exit;

/// Print a script that completes commands in a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  damascus completions bash > /etc/bash_completion.d/damascus
  damascus completions zsh > \"${fpath[1]}/_damascus\"
  damascus completions fish > ~/.config/fish/completions/damascus.fish")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn run(&self, context: &Context) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::parser(), "damascus", &mut script);
        context.out.write(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}

//! Who decides: a name that goes into the events and stays with the decision.

use clap::Args;

/// A flag for commands that decide something.
#[derive(Debug, Args)]
pub struct Decider {
    /// Who decides [default: the name of the user that runs this]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Decider {
    /// The name that was given, else that of the user.
    #[must_use]
    pub fn name(&self) -> String {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        self.by
            .clone()
            .or_else(|| variable("USER"))
            .or_else(|| variable("LOGNAME"))
            .unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
    }
}

//! The command line and the environment.
//!
//! Invariant: settings of the tree have no way in, and what is secret is in the environment, not in an argument.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use damascus_core::MicroUsd;
use damascus_engine::ports::agent::AgentTask;
use damascus_sandbox::{Access, HOME, Isolation, Mount, Network, Sandbox};
use secrecy::ExposeSecret as _;

use super::super::ground::Program;
use super::{ClaudeCodeSettings, Credential};

/// Where the program is inside the sandbox: in a folder that no system has, since those that it has can't get a mount point.
const INSIDE: &str = "/agent/claude";
/// Tools that reach the web.
const WEB_TOOLS: &str = "WebFetch,WebSearch";

/// How the program is called, and what makes it visible.
pub(super) fn program(sandbox: &Sandbox, program: &Path) -> (String, Mount) {
    let mount = Mount { host: program.to_owned(), inside: PathBuf::from(INSIDE), access: Access::ReadOnly };
    let argv0 = match sandbox.isolation() {
        Isolation::Bubblewrap { .. } => INSIDE.to_owned(),
        Isolation::None => program.to_string_lossy().into_owned(),
    };
    (argv0, mount)
}

/// Variables that keep it from contacting anything but the gateway, from replacing itself, and from trying for long.
pub(super) fn quiet(retries: u32) -> BTreeMap<String, String> {
    let retries = retries.to_string();
    [
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_MAX_RETRIES", &retries),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(super) fn invocation(
    sandbox: &Sandbox,
    settings: &ClaudeCodeSettings,
    host_program: &Path,
    task: &AgentTask,
) -> Program {
    let model = task.model.as_ref().or(settings.model.as_ref());
    let (argv0, mount) = program(sandbox, host_program);
    Program {
        argv: arguments(argv0, task, model),
        environment: environment(sandbox, settings, model),
        // The gateway is on the host's network; see the module.
        network: Network::Host,
        mounts: vec![mount],
    }
}

fn arguments(program: String, task: &AgentTask, model: Option<&String>) -> Vec<String> {
    let mut argv = vec![program];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    add(&["-p", "--output-format", "stream-json", "--verbose", "--no-session-persistence"]);
    add(&["--permission-mode", "bypassPermissions"]);
    add(&["--setting-sources", "", "--strict-mcp-config"]);
    add(&["--max-turns", &task.limits.turns.max(1).to_string()]);
    if let Some(money) = task.limits.money {
        add(&["--max-budget-usd", &dollars(money)]);
    }
    if !task.network {
        add(&["--disallowedTools", WEB_TOOLS]);
    }
    if let Some(model) = model {
        add(&["--model", model]);
    }
    argv
}

fn environment(sandbox: &Sandbox, settings: &ClaudeCodeSettings, model: Option<&String>) -> BTreeMap<String, String> {
    let mut environment = quiet(settings.retries);
    let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
    let url = settings.url.trim().trim_end_matches('/');
    set("ANTHROPIC_BASE_URL", url.strip_suffix("/v1").unwrap_or(url));
    match &settings.credential {
        Some(Credential::Bearer(key)) => set("ANTHROPIC_AUTH_TOKEN", key.expose_secret()),
        Some(Credential::ApiKey(key)) => set("ANTHROPIC_API_KEY", key.expose_secret()),
        None => None,
    };
    if let Some(model) = model {
        // A gateway need not have the models that the program would take for small tasks and for its helpers.
        for name in ["HAIKU", "SONNET", "OPUS"] {
            set(&format!("ANTHROPIC_DEFAULT_{name}_MODEL"), model);
        }
        set("CLAUDE_CODE_SUBAGENT_MODEL", model);
    }
    if let Isolation::Bubblewrap { .. } = sandbox.isolation() {
        // In the run's scratch space. Without isolation the home directory is the run's own too, at a place that only the sandbox knows.
        set("CLAUDE_CONFIG_DIR", &format!("{HOME}/.claude"));
    }
    environment
}

/// Whole dollars and six decimals.
fn dollars(amount: MicroUsd) -> String {
    let micros = amount.0.max(1);
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::dollars;
    use damascus_core::MicroUsd;

    #[test]
    fn money_is_written_exactly() {
        assert_eq!(dollars(MicroUsd(1_500_000)), "1.500000");
        assert_eq!(dollars(MicroUsd(42)), "0.000042");
        assert_eq!(dollars(MicroUsd(0)), "0.000001");
    }
}

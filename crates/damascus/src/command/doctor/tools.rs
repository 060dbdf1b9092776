//! What the phases work with: git, the sandbox, agents, the gateway.
//!
//! Invariant: each is tried as the work would use it, and nothing is spent.

use damascus_git::Git;
use damascus_sandbox::{Isolation, Sandbox};

use super::Check;
use crate::config::Config;
use crate::workshop;

pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let (check, sandbox) = sandbox(config).await;
    let mut checks = vec![check];
    match sandbox {
        Some(sandbox) => checks.extend(agents(config, &sandbox).await),
        None => checks.push(Check::fail(
            "agents",
            "not looked at, since nothing can be kept apart",
            "see to the sandbox first",
        )),
    }
    checks.push(gateway(config).await);
    checks
}

pub(super) async fn git() -> Check {
    match Git::find().await {
        Ok(git) => Check::ok("git", git.version()),
        Err(error) => {
            let fix = "install git 2.38 or newer (Debian, Ubuntu: `apt-get install git`)";
            Check::fail("git", error.to_string(), fix)
        }
    }
}

async fn sandbox(config: &Config) -> (Check, Option<Sandbox>) {
    const NAME: &str = "sandbox";
    let options = workshop::sandbox_options(config);
    if !config.sandbox.isolated {
        let found = "none: agents and tests run without protection of this machine, as DAMASCUS_SANDBOX says";
        let fix = "unset DAMASCUS_SANDBOX, unless this machine is made for nothing else";
        return (Check::warn(NAME, found, fix), Some(Sandbox::none(&options)));
    }
    match Sandbox::detect(&options).await {
        Ok(sandbox) => {
            let check = match sandbox.isolation() {
                Isolation::Bubblewrap { version, missing } if missing.is_empty() => {
                    Check::ok(NAME, format!("bubblewrap {version}, tried"))
                }
                Isolation::Bubblewrap { version, missing } => {
                    Check::ok(NAME, format!("bubblewrap {version}, tried; not to be had here: {}", missing.join("; ")))
                }
                Isolation::None => Check::warn(NAME, "none", "unset DAMASCUS_SANDBOX"),
            };
            (check, Some(sandbox))
        }
        Err(missing) => (Check::fail(NAME, missing.reason, missing.fix), None),
    }
}

/// The agent of projects that name none must be there; the others may be.
async fn agents(config: &Config, sandbox: &Sandbox) -> Vec<Check> {
    const NAME: &str = "agent";
    let recordings = match workshop::recordings(config) {
        Ok(recordings) => recordings,
        Err(error) => {
            return vec![Check::fail(NAME, error.to_string(), "correct DAMASCUS_AGENT_RECORDINGS, or unset it")];
        }
    };
    let agents = workshop::agents(config, sandbox, recordings.as_ref());
    let wanted = &config.agent.name;
    let mut checks = Vec::new();
    if !agents.contains_key(wanted) {
        let fix = match wanted.as_str() {
            "command" => "set DAMASCUS_AGENT_COMMAND to what it is to run",
            "replay" => "set DAMASCUS_AGENT_RECORDINGS to a folder of recordings",
            _ => "set DAMASCUS_AGENT to an agent that is there",
        };
        checks.push(Check::warn(NAME, format!("{wanted} is chosen, but not set up"), fix));
    }
    for (name, agent) in &agents {
        checks.push(match agent.probe().await {
            Ok(version) => Check::ok(NAME, format!("{name}: {version}")),
            Err(why) if name == wanted => {
                Check::warn(NAME, format!("{name}: {why}"), "set it up, or choose another with DAMASCUS_AGENT")
            }
            Err(_) => continue,
        });
    }
    checks
}

async fn gateway(config: &Config) -> Check {
    const NAME: &str = "gateway";
    match workshop::gateway(config) {
        Ok(None) if config.agent.recordings.is_some() => Check::ok(NAME, "none; specs are recorded ones"),
        Ok(None) => Check::warn(
            NAME,
            "none is configured, so no spec can be written",
            "set DAMASCUS_GATEWAY_URL and DAMASCUS_GATEWAY_MODEL (and DAMASCUS_GATEWAY_KEY, if it wants one)",
        ),
        Ok(Some(gateway)) => match gateway.probe().await {
            Ok(found) => Check::ok(NAME, found),
            Err(why) => {
                Check::fail(NAME, why, "see that the gateway runs, and that its address, key and model are right")
            }
        },
        Err(error) => Check::fail(NAME, error.to_string(), "docs/configuration.md lists the keys of the gateway"),
    }
}

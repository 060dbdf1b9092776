//! Finds out whether bubblewrap works here, by running it; where it doesn't, why, and what to do.
//!
//! Invariant: a sandbox counts as working only when a trial inside saw the walls stand; nothing is concluded from settings alone.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use damascus_core::display::one_line;
use tokio_util::sync::CancellationToken;

use crate::{Capture, Exit, Job, Limits, Missing, Sandbox, SandboxError, launch::Programs};

/// Where the launcher's programs may be: they must be visible inside at the same path, so only directories of the system count.
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];

/// `--disable-userns` came with this version.
const VERSION_MIN: (u32, u32) = (0, 8);

/// How long the trial and the question for the version may take.
const TRIAL_MAX: Duration = Duration::from_secs(20);

/// What a trial checks inside; each exit code is a wall that doesn't stand.
const TRIAL: &str = r#"
test ! -e /etc/shadow || exit 41
test ! -w /usr || exit 42
if unshare --user true 2>/dev/null; then exit 43; fi
test "$(grep -c : /proc/net/dev)" = 1 || exit 44
grep -Eq '^CapEff:[[:space:]]*0+$' /proc/self/status || exit 45
test "$(id -u)" = 1000 || exit 46
exit 0
"#;

fn wall(code: i32) -> Option<&'static str> {
    Some(match code {
        41 => "the host's /etc/shadow is visible inside",
        42 => "the system's directories can be written to inside",
        43 => "user namespaces can be made inside",
        44 => "the host's network is reachable inside",
        45 => "programs have capabilities inside",
        46 => "programs keep their user inside",
        _ => return None,
    })
}

fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The launcher's programs, or which one is not there.
pub(crate) fn programs() -> Result<Programs, Missing> {
    let need = |name: &str, package: &str| {
        find(name).ok_or_else(|| Missing {
            reason: format!("{name} is not installed"),
            fix: format!("install it: `apt install {package}` (or your distribution's package of that name)"),
        })
    };
    Ok(Programs {
        bwrap: need("bwrap", "bubblewrap")?,
        setpriv: need("setpriv", "util-linux")?,
        prlimit: need("prlimit", "util-linux")?,
        setsid: need("setsid", "util-linux")?,
        sh: need("sh", "dash")?,
    })
}

/// The launcher's programs where none of them is known to be there: a run then says which one is not.
pub(crate) fn programs_or_usual() -> Programs {
    let usual = |name: &str| find(name).unwrap_or_else(|| Path::new("/usr/bin").join(name));
    Programs {
        bwrap: usual("bwrap"),
        setpriv: usual("setpriv"),
        prlimit: usual("prlimit"),
        setsid: usual("setsid"),
        sh: usual("sh"),
    }
}

/// bwrap's version, where it is new enough.
pub(crate) async fn version(bwrap: &Path) -> Result<String, Missing> {
    let asked = tokio::process::Command::new(bwrap).arg("--version").env_clear().kill_on_drop(true).output();
    let broken = |why: String| Missing {
        reason: format!("{} does not say its version: {why}", bwrap.display()),
        fix: "install bubblewrap anew: `apt install --reinstall bubblewrap`".to_owned(),
    };
    let output = match tokio::time::timeout(TRIAL_MAX, asked).await {
        Err(_) => return Err(broken("it hangs".to_owned())),
        Ok(output) => output.map_err(|error| broken(error.to_string()))?,
    };
    let said = one_line(String::from_utf8_lossy(&output.stdout).trim(), 80);
    let version = said.strip_prefix("bubblewrap ").unwrap_or(&said).to_owned();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= VERSION_MIN => Ok(version),
        (Some(_), Some(_)) => Err(Missing {
            reason: format!("bubblewrap {version} is too old: it can't forbid further user namespaces inside"),
            fix: format!("install {}.{} or newer (Debian 12 has it)", VERSION_MIN.0, VERSION_MIN.1),
        }),
        _ => Err(broken(said)),
    }
}

/// What would be better with it, and is not used here.
pub(crate) fn missing_guards() -> Vec<String> {
    let mut missing =
        vec!["no cgroup: the sum of a run's memory is held by a watchdog that looks several times a second, not by the kernel".to_owned()];
    if !cfg!(target_os = "linux") || !Path::new("/proc/self/smaps_rollup").exists() {
        missing.push(
            "the kernel does not tell a process's share of memory: shared memory counts once for each process"
                .to_owned(),
        );
    }
    if !Path::new("/proc/thread-self/children").exists() {
        missing.push(
            "the kernel does not list a process's children: the watchdog of memory sees only the first process"
                .to_owned(),
        );
    }
    missing
}

/// Runs the trial inside.
pub(crate) async fn trial(sandbox: &Sandbox) -> Result<(), Missing> {
    let mut job = Job::new(["sh", "-c", TRIAL]);
    job.directory = PathBuf::from("/");
    job.limits = Limits { wall: TRIAL_MAX, silence: None, output_bytes: 64 * 1024, ..Limits::default() };
    let mut said = Capture::new(4096);
    match sandbox.run(&job, &mut said, &CancellationToken::new()).await {
        Ok(ended) if ended.exit == Exit::Code(0) && ended.stopped.is_none() => Ok(()),
        Ok(ended) => {
            let why = wall(ended.exit.code()).map(str::to_owned);
            let why = why.unwrap_or_else(|| {
                format!("a trial ended with {}: {}", ended.exit.code(), one_line(&said.text(), 300))
            });
            Err(Missing {
                reason: format!("bubblewrap does not isolate here: {why}"),
                fix: "report this with the output of `damascus doctor`".to_owned(),
            })
        }
        Err(SandboxError::Start { message }) => Err(explain(&message, &Host::look())),
        Err(error) => Err(explain(&error.to_string(), &Host::look())),
    }
}

/// What the host says about namespaces.
#[derive(Debug, Default)]
struct Host {
    root: bool,
    container: bool,
    clone_off: bool,
    apparmor: bool,
    none_allowed: bool,
}

impl Host {
    fn look() -> Host {
        let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        Host {
            root: rustix::process::geteuid().is_root(),
            container: Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists(),
            clone_off: setting("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0"),
            apparmor: setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1"),
            none_allowed: setting("/proc/sys/user/max_user_namespaces").as_deref() == Some("0"),
        }
    }
}

fn explain(message: &str, host: &Host) -> Missing {
    let fix = if host.none_allowed {
        "allow user namespaces: `sysctl -w user.max_user_namespaces=10000`, and keep it in /etc/sysctl.d"
    } else if host.clone_off && !host.root {
        "allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1`, and keep it in /etc/sysctl.d"
    } else if host.apparmor && !host.root {
        "let bubblewrap make user namespaces: an AppArmor profile for /usr/bin/bwrap with `userns,`, or \
         `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
    } else if host.container {
        "the container forbids namespaces: start it with `--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt \
         apparmor=unconfined --security-opt systempaths=unconfined` (Docker, Podman), or run Damascus on the host"
    } else {
        "check that this kernel and its security modules allow namespaces: `bwrap --ro-bind / / --unshare-user true` must work"
    };
    Missing { reason: format!("bubblewrap does not work here: {}", one_line(message, 400)), fix: fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_fix() {
        let fix = |host: Host| explain("bwrap: No permissions to create new namespace", &host).fix;

        assert!(fix(Host { none_allowed: true, ..Host::default() }).contains("user.max_user_namespaces"));
        assert!(fix(Host { clone_off: true, ..Host::default() }).contains("kernel.unprivileged_userns_clone=1"));
        assert!(fix(Host { apparmor: true, ..Host::default() }).contains("apparmor_restrict_unprivileged_userns"));
        assert!(
            fix(Host { container: true, root: true, clone_off: true, ..Host::default() })
                .contains("--cap-add SYS_ADMIN")
        );
        assert!(fix(Host::default()).contains("must work"));
    }
}

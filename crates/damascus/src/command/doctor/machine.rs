//! What this machine must have: a configuration, a home folder, space.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::keys::{HOME_VARIABLE, KEYS};
use crate::config::{self, Config};
use crate::context::Context;

use super::Check;

/// Below this, a cluster may run full within a day.
const LOW_DISK_BYTES: u64 = 5 << 30;
/// Below this, Postgres may stop at any moment.
const NO_DISK_BYTES: u64 = 512 << 20;
/// Variables beginning like this are ours.
const OUR_PREFIX: &str = "DAMASCUS_";
/// Ours, but read by tests only.
const TEST_PREFIX: &str = "DAMASCUS_TEST_";

pub(super) async fn checks(context: &Context) -> Vec<Check> {
    let mut checks = vec![configuration(context)];
    checks.extend(unknown_variables());
    let home = match context.config() {
        Ok(config) => Ok(config.home.clone()),
        Err(_) => config::home_folder(context.home_flag.as_deref(), |name| std::env::var_os(name)),
    };
    match home {
        Ok(home) => {
            checks.push(home_folder(&home));
            checks.push(disk(&home));
        }
        Err(error) => checks.push(Check::fail("home", error.to_string(), error.next)),
    }
    checks
}

fn configuration(context: &Context) -> Check {
    const NAME: &str = "configuration";
    match context.config() {
        Ok(config) if config.has_file => check_mode(config),
        Ok(config) => Check::ok(NAME, format!("no {}; defaults and environment hold", config.file().display())),
        Err(error) => Check::fail(NAME, error.to_string(), error.next),
    }
}

/// A configuration with a password in it must not be open to others.
fn check_mode(config: &Config) -> Check {
    const NAME: &str = "configuration";
    let file = config.file();
    let mode = std::fs::metadata(&file).map_or(0, |meta| meta.mode() & 0o777);
    if mode & 0o077 != 0 {
        let found = format!("{} is open to others (mode {mode:03o}), and may hold a password", file.display());
        return Check::warn(NAME, found, format!("chmod 600 {}", file.display()));
    }
    Check::ok(NAME, file.display().to_string())
}

/// Variables that look like ours and that nothing reads: a slip of the pen.
fn unknown_variables() -> Option<Check> {
    let known = |name: &str| name == HOME_VARIABLE || KEYS.iter().any(|key| key.variable == name);
    let unknown: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with(OUR_PREFIX) && !name.starts_with(TEST_PREFIX) && !known(name))
        .collect();
    (!unknown.is_empty()).then(|| {
        let found = format!("nothing reads {}", unknown.join(", "));
        Check::warn("environment", found, "unset it, or correct its name: docs/configuration.md lists the variables")
    })
}

fn home_folder(home: &Path) -> Check {
    const NAME: &str = "home";
    let shown = home.display();
    match std::fs::metadata(home) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Check::warn(NAME, format!("{shown} is not there"), "`damascus init` makes it")
        }
        Err(error) => Check::fail(
            NAME,
            format!("{shown}: {error}"),
            "make it readable for this user, or name another with --home",
        ),
        Ok(meta) if !meta.is_dir() => {
            Check::fail(NAME, format!("{shown} is no folder"), "move it away, or name another with --home")
        }
        Ok(meta) if meta.mode() & 0o007 != 0 || meta.mode() & 0o020 != 0 => {
            let found = format!("{shown} is open to others (mode {:03o})", meta.mode() & 0o777);
            Check::warn(NAME, found, format!("chmod o-rwx,g-w {shown}"))
        }
        Ok(meta) => {
            let me = rustix::process::geteuid().as_raw();
            if me != 0 && meta.uid() != me {
                let found = format!("{shown} belongs to another user (id {})", meta.uid());
                return Check::fail(NAME, found, "run damascus as that user, or name another home with --home");
            }
            Check::ok(NAME, shown.to_string())
        }
    }
}

fn disk(home: &Path) -> Check {
    const NAME: &str = "disk";
    let Some(there) = home.ancestors().find(|path| path.exists()) else {
        return Check::fail(NAME, "there is no folder to look at", "name a home with --home");
    };
    let free = match rustix::fs::statvfs(there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => return Check::fail(NAME, format!("{}: {error}", there.display()), "check the file system"),
    };
    // One decimal place.
    let tenths = free / ((1 << 30) / 10);
    let found = format!("{}.{} GiB free at {}", tenths / 10, tenths % 10, there.display());
    let fix = "free some space, or move the home folder to a larger disk";
    match free {
        free if free < NO_DISK_BYTES => Check::fail(NAME, found, fix),
        free if free < LOW_DISK_BYTES => Check::warn(NAME, found, fix),
        _ => Check::ok(NAME, found),
    }
}

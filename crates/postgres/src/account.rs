//! Who runs the server. Postgres refuses root, so a caller that is root steps down to another user for its children.
//!
//! Invariant: a child that steps down keeps no group and no privilege of root's: `Command::uid` and `Command::gid` make the
//! child call `setgroups` with an empty list, then `setgid`, then `setuid`, before anything of Postgres runs.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::error::Error;
use crate::options::Options;

/// Who runs the server when the caller is root, nothing is configured and no cluster exists yet.
const FALLBACK_USERS: [&str; 2] = ["postgres", "nobody"];

/// The system user that runs the server and owns its data.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) name: String,
    /// The caller is root and has to step down.
    pub(crate) step_down: bool,
}

impl Account {
    /// Decides from the caller's own identity, the options, and who owns the cluster if there is one.
    pub(crate) fn resolve(options: &Options, cluster_owner: Option<u32>) -> Result<Self, Error> {
        let caller = nix::unistd::geteuid();
        if !caller.is_root() {
            return Self::ordinary(options, caller);
        }
        if let Some(name) = &options.user {
            return match by_name(name)? {
                Some(user) if user.uid.is_root() => Err(Error::NoUser {
                    why: format!("DAMASCUS_PG_USER names {name:?}, which is root, and Postgres refuses to run as root"),
                    fix: "Name another user, such as postgres",
                }),
                Some(user) => Ok(Self::stepping_down(user)),
                None => Err(Error::NoUser {
                    why: format!("DAMASCUS_PG_USER names {name:?}, but this system has no such user"),
                    fix: "Name a user that exists, or leave it unset",
                }),
            };
        }
        if let Some(uid) = cluster_owner.filter(|uid| *uid != 0) {
            return by_uid(Uid::from_raw(uid))?.map(Self::stepping_down).ok_or_else(|| no_entry(uid));
        }
        for name in FALLBACK_USERS {
            if let Some(user) = by_name(name)? {
                return Ok(Self::stepping_down(user));
            }
        }
        Err(Error::NoUser {
            why: "Postgres refuses to run as root, and this system has neither a user `postgres` nor `nobody`"
                .to_owned(),
            fix: "Add one (`useradd --system postgres`) or name one in DAMASCUS_PG_USER",
        })
    }

    fn ordinary(options: &Options, caller: Uid) -> Result<Self, Error> {
        let user = by_uid(caller)?.ok_or_else(|| no_entry(caller.as_raw()))?;
        match &options.user {
            Some(name) if *name != user.name => Err(Error::NoUser {
                why: format!(
                    "DAMASCUS_PG_USER names {name:?}, but only root can run Postgres as another user (this is {:?})",
                    user.name
                ),
                fix: "Leave it unset, or start Damascus as root or as that user",
            }),
            _ => Ok(Self { step_down: false, ..Self::stepping_down(user) }),
        }
    }

    fn stepping_down(user: User) -> Self {
        Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, step_down: true }
    }

    /// A command that runs as this user, in a folder that it may enter, with an environment made from nothing (so that no
    /// `PG*` variable and no secret of the caller's reaches Postgres), and messages in English, since they are read.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().env("LC_ALL", "C").env("PATH", "/usr/local/bin:/usr/bin:/bin");
        if self.step_down {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// The first folder on the way to `path`, itself included, that this user may not enter by its mode bits.
    pub(crate) fn first_closed(&self, path: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        ancestors.into_iter().find(|folder| !self.may_enter(folder)).map(Path::to_owned)
    }

    fn may_enter(&self, folder: &Path) -> bool {
        let Ok(meta) = folder.metadata() else { return false };
        // The kernel looks at one class only: an owner without the bit is refused even if others have it.
        let bit = if meta.uid() == self.uid {
            0o100
        } else if meta.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        meta.mode() & bit != 0
    }
}

fn by_name(name: &str) -> Result<Option<User>, Error> {
    User::from_name(name).map_err(|errno| Error::io("look up users in", "/etc/passwd")(errno.into()))
}

fn by_uid(uid: Uid) -> Result<Option<User>, Error> {
    User::from_uid(uid).map_err(|errno| Error::io("look up users in", "/etc/passwd")(errno.into()))
}

fn no_entry(uid: u32) -> Error {
    Error::NoUser {
        why: format!("user {uid} has no entry in /etc/passwd, which initdb and Postgres ask for"),
        fix: "Add an entry for it, run as another user, or set DATABASE_URL to use another server",
    }
}

/// The name to show for a user id.
pub(crate) fn name_of(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("user {:?}", user.name),
        Ok(None) | Err(_) => format!("user {uid}"),
    }
}

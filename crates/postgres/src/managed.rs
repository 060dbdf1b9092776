//! A process's share in the managed server: taken by [`ManagedPostgres::acquire`], given back by [`ManagedPostgres::release`].

use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::binaries::{self, Binaries};
use crate::cluster;
use crate::error::Error;
use crate::layout::{Layout, absolute_home, cluster_owner};
use crate::lock::{SupervisorLock, UsersLock};
use crate::options::{Durability, Options};
use crate::server::{Server, Up};
use crate::server_log::ServerLog;
use crate::{PORT, SUPERUSER};

/// How a process came to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It ran already, started by another process or left running by one that was killed.
    Adopted,
    /// This call started it.
    Started,
}

/// What [`ManagedPostgres::ensure_running`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revival {
    /// The server answers, and did all along.
    NotNeeded,
    /// The server had died and was started again.
    Restarted,
}

/// What became of the server when its user left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Nobody else used it, so it was stopped.
    Stopped,
    /// Other processes use it, so it runs on.
    StillInUse,
}

/// A share in the running server. Keep it for as long as the database is used; the last one to be given back stops the server.
///
/// Dropping it does the same as [`release`](Self::release), blocks for as long, and logs what goes wrong. All methods block.
#[derive(Debug)]
pub struct ManagedPostgres {
    layout: Layout,
    account: Account,
    binaries: Binaries,
    durability: Durability,
    origin: Origin,
    /// Empty once given back.
    users: Option<UsersLock>,
}

impl ManagedPostgres {
    /// Takes a share in the server of the cluster under `options.home`: makes the cluster if there is none, starts the server if
    /// it does not run, and waits until it answers.
    ///
    /// Blocks: for a few tens of milliseconds when the server runs, for some seconds when the cluster has to be made, and up to
    /// two minutes while the server recovers from a crash.
    ///
    /// # Errors
    /// Any [`Error`]; each says what to do next. Nothing half-made is left behind.
    pub fn acquire(options: &Options) -> Result<Self, Error> {
        let home = absolute_home(&options.home)?;
        let account = Account::resolve(options, cluster_owner(&home))?;
        let layout = Layout::prepare(&home, &account)?;
        let held = SupervisorLock::take(&layout)?;
        // From here on no other process can stop the server.
        let users = UsersLock::join(&layout, &held)?;
        cluster::remove_leftovers(&layout, &held)?;
        let existing = cluster::major_of(&layout)?;
        let binaries = binaries::find(options, &account, layout.root(), existing)?;
        match existing {
            Some(major) => cluster::check(&layout, &binaries, major, options.durability)?,
            None => cluster::make(&layout, &account, &binaries, options.durability, &held)?,
        }
        let durability = options.durability;
        let server = Server { layout: &layout, account: &account, binaries: &binaries, durability };
        let origin = match server.bring_up(&held)? {
            Up::AlreadyRunning => Origin::Adopted,
            Up::Started => Origin::Started,
        };
        drop(held);
        Ok(Self { layout, account, binaries, durability, origin, users: Some(users) })
    }

    /// Makes sure that the server answers, and starts it again if it died. For a process that lost its connections; calling it
    /// now and then also keeps the server's log within its bound.
    ///
    /// # Errors
    /// Any [`Error`] of starting the server. The share is kept, so it can be tried again.
    pub fn ensure_running(&self) -> Result<Revival, Error> {
        let held = SupervisorLock::take(&self.layout)?;
        match self.server().bring_up(&held)? {
            Up::AlreadyRunning => Ok(Revival::NotNeeded),
            Up::Started => Ok(Revival::Restarted),
        }
    }

    /// Gives the share back, and stops the server if nobody else has one. Close every connection first: a stop ends them.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::NotStopping`]; the share is given back all the same.
    pub fn release(mut self) -> Result<Release, Error> {
        self.give_back()
    }

    /// The URL of a database on this server, with the socket's folder as its host, in the form that sqlx, libpq and
    /// tokio-postgres all read. It holds no secret: who may reach the socket may connect.
    pub fn url(&self, database: &str) -> String {
        let folder = percent_encode(&self.layout.socket_dir().to_string_lossy());
        format!("postgres://{SUPERUSER}@{folder}:{PORT}/{}", percent_encode(database))
    }

    /// The folder of the server's socket.
    pub fn socket_dir(&self) -> &Path {
        self.layout.socket_dir()
    }

    /// The port in the socket's name.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The role to connect as.
    pub fn user(&self) -> &str {
        SUPERUSER
    }

    /// The cluster's data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.layout.data()
    }

    /// The file that the server logs to.
    pub fn log_file(&self) -> PathBuf {
        ServerLog::new(&self.layout).path()
    }

    /// The programs that run it.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Whether this process started the server or found it running.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The process id of the server, if it runs at this moment.
    ///
    /// # Errors
    /// [`Error::Io`] if its lock file can't be read, [`Error::Busy`] if another process decides about it for too long.
    pub fn server_pid(&self) -> Result<Option<u32>, Error> {
        let _held = SupervisorLock::take(&self.layout)?;
        Ok(self.server().find()?.map(|process| process.pid()))
    }

    fn server(&self) -> Server<'_> {
        Server { layout: &self.layout, account: &self.account, binaries: &self.binaries, durability: self.durability }
    }

    fn give_back(&mut self) -> Result<Release, Error> {
        // Taken out first: whatever fails below, dropping it frees the share.
        let Some(users) = self.users.take() else { return Ok(Release::StillInUse) };
        let held = SupervisorLock::take(&self.layout)?;
        if !users.leave(&held)? {
            return Ok(Release::StillInUse);
        }
        let server = self.server();
        if let Some(process) = server.find()? {
            server.stop(&process, &held)?;
        }
        ServerLog::new(&self.layout).trim();
        self.layout.forget_short_socket_dir();
        Ok(Release::Stopped)
    }
}

impl Drop for ManagedPostgres {
    fn drop(&mut self) {
        if let Err(error) = self.give_back() {
            tracing::warn!(%error, "the managed Postgres server was not left tidily; the next process takes over");
        }
    }
}

/// Encodes everything but letters, digits and `-._~`.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 0xf] {
                encoded.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_host() {
        assert_eq!(percent_encode("/srv/ü b/run"), "%2Fsrv%2F%C3%BC%20b%2Frun");
    }
}

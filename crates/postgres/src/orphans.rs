//! What a killed postmaster leaves behind: its other processes end by themselves, but one in the middle of a long query only
//! when that is done, and until then no new server may start on the folder.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Process;
use crate::wait::Patience;

/// How long to wait for the leftovers of a killed postmaster to end.
pub(crate) const ORPHAN_WAIT: Duration = Duration::from_secs(10);

/// Asks every `postgres` process that works in `data` to quit at once, and waits for them. Only called when no postmaster runs
/// there. Processes that can't be looked at are left to themselves.
pub(crate) fn end(data: &Path) -> io::Result<()> {
    let patience = Patience::new(ORPHAN_WAIT);
    for orphan in find(data)? {
        tracing::warn!(postgres.pid = orphan.pid(), "ending a process that a killed Postgres server left behind");
        orphan.signal(Signal::QUIT)?;
        if !orphan.wait_exit(patience.left())? {
            tracing::warn!(postgres.pid = orphan.pid(), "it did not end in time");
        }
    }
    Ok(())
}

fn find(data: &Path) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(process) = Process::open(pid)?
            && process.serves(data)
        {
            found.push(process);
        }
    }
    Ok(found)
}

//! Ends the processes of a run that no namespace holds together, where they have a user id of their own.
//!
//! Invariant: only processes of a user of the runs' range are ever signalled.

use std::{fs, io, os::unix::fs::MetadataExt, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::user;

/// Rounds of killing: a process can make another one while it is looked for, but not for ever against its limit of processes.
const ROUNDS_MAX: u32 = 500;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(10);

/// Kills the user's processes until none is left.
pub(crate) async fn end_all_of(uid: u32) -> io::Result<()> {
    for _ in 0..ROUNDS_MAX {
        if kill_all_of(uid) == 0 {
            return Ok(());
        }
        tokio::time::sleep(ROUND).await;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "they are made faster than they can be killed"))
}

/// Kills the user's processes once; how many there were.
pub(crate) fn kill_all_of(uid: u32) -> usize {
    if !user::is_of_a_run(uid) {
        return 0;
    }
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let mut killed = 0;
    for process in processes.flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        // Held now, so what is read next is about the same process.
        let is_users = process.metadata().is_ok_and(|metadata| metadata.uid() == uid);
        if is_users && !is_dead(pid) && pidfd_send_signal(&handle, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    killed
}

fn is_dead(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

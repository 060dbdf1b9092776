//! Looks from outside at what a run takes of disk and memory, where the kernel has no limit for the sum.
//!
//! Invariants: it reads only what the kernel says (`/proc`) and what a walk sees that follows no link; each look is bounded; it never
//! writes. A program can be faster than the watchdog by what it writes between two looks; single files are bounded by the kernel.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt, path::PathBuf};

use rustix::{fs::statvfs, process::Pid};

use crate::{handover::measure, job::Limits, run::Stopped, walk::WalkError};

/// Processes of one run that are looked at.
const PROCESSES_MAX: usize = 8192;

/// Open files of one process that are looked at.
const OPEN_FILES_MAX: usize = 4096;

/// Bytes that stay free on the disk of each directory: a run that takes the last of them is stopped.
const FREE_BYTES_MIN: u64 = 128 * 1024 * 1024;

/// Files and directories in the scratch space; each takes memory of the kernel's that no size counts.
const SCRATCH_FILES_MAX: u64 = 1_000_000;

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) root: Pid,
    pub(crate) trees: Vec<PathBuf>,
    pub(crate) limits: Limits,
    /// Bytes that were free on the fullest disk when the run began.
    pub(crate) free_at_start: u64,
    /// Whether the scratch space is a file system of the run's own.
    pub(crate) own_scratch: bool,
}

/// What one look saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) beyond: Option<Stopped>,
    pub(crate) unreadable: bool,
}

/// Bytes that are free to an ordinary user on the fullest of the disks.
pub(crate) fn free_bytes(trees: &[PathBuf]) -> u64 {
    let free =
        trees.iter().filter_map(|tree| statvfs(tree).ok()).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    free.min().unwrap_or(u64::MAX)
}

/// Whether a disk that had room at the start has none left.
pub(crate) fn is_filled(trees: &[PathBuf], free_at_start: u64) -> bool {
    free_at_start > FREE_BYTES_MIN && free_bytes(trees) < FREE_BYTES_MIN
}

impl Watched {
    /// Looks once. Blocks.
    pub(crate) fn look(&self) -> Seen {
        let processes = descendants(self.root);
        if self.memory(&processes) > self.limits.memory_bytes {
            return Seen { beyond: Some(Stopped::Memory), unreadable: false };
        }
        if is_filled(&self.trees, self.free_at_start) {
            return Seen { beyond: Some(Stopped::DiskFull), unreadable: false };
        }
        let mut seen = Seen::default();
        // Files without a name are in no tree; whichever it was made in, they count.
        let devices: HashSet<u64> = self.trees.iter().filter_map(|tree| Some(fs::metadata(tree).ok()?.dev())).collect();
        let nameless = nameless_bytes(&processes, &|device| devices.contains(&device));
        for tree in &self.trees {
            match measure(tree) {
                Ok(measured) if measured.bytes.saturating_add(nameless) > self.limits.tree_bytes => {
                    seen.beyond = Some(Stopped::Disk)
                }
                Ok(measured) => seen.unreadable |= measured.unreadable > 0,
                Err(WalkError::Entries | WalkError::Depth) => seen.beyond = Some(Stopped::Disk),
                Err(WalkError::System(_)) => seen.unreadable = true,
            }
        }
        seen
    }

    fn memory(&self, processes: &[u32]) -> u64 {
        let (scratch, device) = if self.own_scratch { scratch_of(processes) } else { (0, None) };
        let own: u64 = processes.iter().filter_map(|pid| resident(*pid, "status", ["RssAnon:", "RssShmem:"])).sum();
        let rough = own.saturating_add(scratch);
        if rough <= self.limits.memory_bytes && processes.len() < PROCESSES_MAX {
            return rough;
        }
        // Shared pages were counted once for each process: look again with each page counted once (dearer).
        let mut exact = scratch;
        for pid in processes {
            let share = resident(*pid, "smaps_rollup", ["Pss_Anon:", "Pss_Shmem:"]);
            exact = exact
                .saturating_add(share.or_else(|| resident(*pid, "status", ["RssAnon:", "RssShmem:"])).unwrap_or(0));
        }
        // Files in memory without a mapping: the kernel counts them to nobody's resident pages.
        let nameless =
            nameless_bytes(processes, &|found| self.own_scratch && Some(found) != device && is_in_memory(found));
        exact.saturating_add(nameless)
    }
}

/// Devices without a disk have the major number zero.
fn is_in_memory(device: u64) -> bool {
    rustix::fs::major(device) == 0
}

/// All processes below `root`, itself included: orphans hang on the namespace's first process, so none is missed.
fn descendants(root: Pid) -> Vec<u32> {
    let mut all = vec![root.as_raw_nonzero().get().cast_unsigned()];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten().take(PROCESSES_MAX) {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        if all.len() >= PROCESSES_MAX {
            break;
        }
    }
    all
}

/// The sum of two fields (in KiB there) of a process's file, in bytes.
fn resident(pid: u32, file: &str, fields: [&str; 2]) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let kibibytes = |field: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let sum: u64 = fields.iter().filter_map(|field| kibibytes(field)).sum();
    Some(sum.saturating_mul(1024))
}

/// Bytes that the file systems in memory hold, seen through the first process that lets itself be looked at, and the device of `/tmp`.
fn scratch_of(processes: &[u32]) -> (u64, Option<u64>) {
    let seen = processes.iter().find_map(|pid| {
        let tmp = statvfs(format!("/proc/{pid}/root/tmp")).ok()?;
        let shared = statvfs(format!("/proc/{pid}/root/dev/shm")).ok()?;
        Some((tmp, shared, fs::metadata(format!("/proc/{pid}/root/tmp")).ok()?.dev()))
    });
    let Some((tmp, shared, device)) = seen else { return (0, None) };
    if tmp.f_files.saturating_sub(tmp.f_ffree) > SCRATCH_FILES_MAX {
        return (u64::MAX, Some(device));
    }
    let used = |disk: &rustix::fs::StatVfs| disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize);
    (used(&tmp).saturating_add(used(&shared)), Some(device))
}

/// Bytes of files on some devices that are open and have no name any more: no walk sees them.
fn nameless_bytes(processes: &[u32], on: &dyn Fn(u64) -> bool) -> u64 {
    let mut counted = HashSet::new();
    let mut bytes: u64 = 0;
    for pid in processes {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for file in open.flatten().take(OPEN_FILES_MAX) {
            // Follows the kernel's own link to the open file, whatever its name was.
            let Ok(metadata) = fs::metadata(file.path()) else { continue };
            if metadata.is_file()
                && metadata.nlink() == 0
                && on(metadata.dev())
                && counted.insert((metadata.dev(), metadata.ino()))
            {
                bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            }
        }
    }
    bytes
}

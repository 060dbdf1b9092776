//! How the server is set up, and why.
//!
//! Two kinds. What Damascus relies on goes on the server's command line, which nothing in `postgresql.conf` or `ALTER SYSTEM` can
//! undo. What only suits it goes into `postgresql.conf` when the cluster is made, where an operator may change it.

use std::path::Path;

use crate::PORT;
use crate::options::Durability;

/// What Damascus relies on, as `name=value` for `postgres -c`.
pub(crate) fn relied_on(durability: Durability, socket_dir: &Path) -> Vec<String> {
    // A list of folders: quoted, or a comma in the path would end it. A quote is doubled.
    let folder = socket_dir.to_string_lossy().replace('"', "\"\"");
    let mut settings = vec![
        // Reached through the socket's 0700 folder only.
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories=\"{folder}\""),
        "unix_socket_permissions=0700".to_owned(),
        format!("port={PORT}"),
        // The log goes to the file that the supervisor hands over and bounds; a collector would be one more process.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        // Row contents stay out of the log: a violated constraint's DETAIL quotes the row, and rows hold agents' output.
        "log_error_verbosity=terse".to_owned(),
        "log_min_error_statement=panic".to_owned(),
    ];
    let synced = match durability {
        Durability::Durable => "on",
        Durability::Throwaway => "off",
    };
    settings.push(format!("fsync={synced}"));
    settings.push(format!("full_page_writes={synced}"));
    // For both: even a throwaway server may be killed by a test, and must not lose what it acknowledged (only a crash of the
    // whole machine may do that). It is the default of a session; one that can afford to lose its own last commits (a claim,
    // never a result) may lower it.
    settings.push("synchronous_commit=on".to_owned());
    settings
}

/// What suits Damascus, for the end of a new cluster's `postgresql.conf`.
pub(crate) fn suited(durability: Durability) -> String {
    let own = match durability {
        Durability::Durable => DURABLE,
        Durability::Throwaway => THROWAWAY,
    };
    format!("{SHARED}{own}")
}

const SHARED: &str = "
# --- Written by Damascus when it made this cluster. Change what you like here; sockets, fsync, synchronous_commit, full_page_writes
# --- and where the log goes are set on the command line and can't be changed.
timezone = 'UTC'
log_timezone = 'UTC'

# Memory is taken when it is touched, so that an idle server stays small.
shared_buffers = 128MB
huge_pages = off
work_mem = 4MB
maintenance_work_mem = 64MB
# No logical replication here: its launcher would be one more process.
max_logical_replication_workers = 0
# Short statements on few rows: compiling a plan costs more than it gives. Disks are taken to be SSDs.
jit = off
random_page_cost = 1.1

# A forgotten transaction keeps VACUUM from clearing dead entries, and claims slow down fortyfold.
idle_in_transaction_session_timeout = 60s
# Notice within seconds that the client of a running statement was killed, so that its locks are given back.
client_connection_check_interval = 5s

# Queue tables turn over all the time: look more often, start earlier, and get it done.
autovacuum_naptime = 15s
autovacuum_vacuum_scale_factor = 0.05
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_limit = 1000

# The server's own doings and fatal errors. Errors of statements go to the client, which logs them with what it was doing.
log_min_messages = log
log_checkpoints = off
log_line_prefix = '%m [%p] '
";

// wal_level=replica, not minimal: it costs next to nothing for small transactions, and lets pg_basebackup take a backup of the
// running server without the long snapshot of pg_dump, under which a busy queue crawls.
const DURABLE: &str = "
max_connections = 100
wal_level = replica
max_wal_senders = 2
";

// Nobody backs up a test. Test processes run side by side, each with a pool of its own.
const THROWAWAY: &str = "
max_connections = 300
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
checkpoint_timeout = 1h
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_cluster_syncs_and_a_throwaway_one_does_not() {
        let folder = Path::new("/srv/run");
        let (durable, throwaway) = (relied_on(Durability::Durable, folder), relied_on(Durability::Throwaway, folder));
        for name in ["fsync", "full_page_writes"] {
            assert!(durable.contains(&format!("{name}=on")), "{name}");
            assert!(throwaway.contains(&format!("{name}=off")), "{name}");
        }
        for settings in [durable, throwaway] {
            assert!(settings.contains(&"synchronous_commit=on".to_owned()));
        }
    }

    #[test]
    fn an_odd_folder_stays_one_folder() {
        let settings = relied_on(Durability::Durable, Path::new("/srv/a, \"b\"/run"));
        assert!(settings.contains(&"unix_socket_directories=\"/srv/a, \"\"b\"\"/run\"".to_owned()), "{settings:?}");
    }
}

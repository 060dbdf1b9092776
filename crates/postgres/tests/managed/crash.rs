//! What is left after SIGKILL, of any process at any moment, and after a power cut.

use std::fs;

use damascus_postgres::{ManagedPostgres, Origin, Revival};

use crate::home::{Home, connect, kill, until};
use crate::user::User;

#[test]
fn a_killed_server_is_revived_with_its_rows_even_while_its_leftovers_work_on() {
    let home = Home::new();
    let server = home.acquire();
    let mut client = connect(&server);
    client.batch_execute("CREATE TABLE kept AS SELECT 42 AS answer").unwrap();
    let before = server.server_pid().unwrap().unwrap();
    // A statement that never looks up: its process outlives the server, and blocks the next one until it is ended. Root in a
    // container without CAP_SYS_PTRACE can't find such a process.
    let may_look = fs::metadata(format!("/proc/{before}/cwd")).is_ok();
    let worker = may_look.then(|| {
        let mut busy = connect(&server);
        std::thread::spawn(move || busy.batch_execute("SELECT count(*) FROM generate_series(1, 1000000000000)"))
    });
    until("the statement runs", || {
        let active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%' AND pid <> pg_backend_pid() AND state = 'active'";
        client.query_one(active, &[]).unwrap().get::<_, i64>(0) == i64::from(may_look)
    });
    kill(before);

    assert_eq!(server.ensure_running().unwrap(), Revival::Restarted);
    assert!(worker.is_none_or(|worker| worker.join().unwrap().is_err()));
    assert_ne!(server.server_pid().unwrap(), Some(before));
    assert_eq!(connect(&server).query_one("SELECT answer FROM kept", &[]).unwrap().get::<_, i32>(0), 42);
    server.release().unwrap();
    assert!(home.is_quiet());
}

#[test]
fn a_server_killed_with_its_user_is_started_again_by_the_next() {
    let home = Home::new();
    let mut first = User::spawn(&home);
    let (_, pid) = first.joined();
    first.kill();
    kill(pid);
    let second = home.acquire();
    assert_eq!(second.origin(), Origin::Started);
    connect(&second);
    second.release().unwrap();
}

#[test]
fn lock_files_that_mean_nothing_any_more_are_no_obstacle() {
    let home = Home::new();
    let server = home.acquire();
    let socket_lock = server.socket_dir().join(".s.PGSQL.5432.lock");
    server.release().unwrap();
    let data = home.data();
    // After a reboot the id may belong to anybody: here to a process of the server's own user or, for root, of root.
    let foreign = format!("{}\n{}\n1700000000\n5432\n\n\n", std::process::id(), data.display());
    for text in ["", "\0\0\0\0", "4711", foreign.as_str()] {
        fs::write(data.join("postmaster.pid"), text).unwrap();
        fs::write(&socket_lock, text).unwrap();
        let server = home.acquire();
        assert_eq!(server.origin(), Origin::Started, "{text:?}");
        server.release().unwrap();
    }
}

#[test]
fn a_crash_in_the_middle_of_initdb_leaves_nothing_that_matters() {
    let home = Home::new();
    // Writes half a cluster, says so, and hangs until that is cleared away.
    let bin = home.programs_with_initdb(
        "while [ $# -gt 0 ]; do [ \"$1\" = --pgdata ] && dir=$2; shift; done
        echo 15 > \"$dir/PG_VERSION\"
        while [ -e \"$dir/PG_VERSION\" ]; do sleep 0.02; done",
    );
    let first = User::spawn_with(&home, |command| {
        command.env("DAMASCUS_PG_BIN", &bin);
    });
    let partials = || -> Vec<_> {
        let entries = fs::read_dir(home.path.join("postgres")).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("data.partial-"))
            .collect()
    };
    until("initdb is half done", || partials().iter().any(|path| path.join("PG_VERSION").exists()));
    first.kill();
    assert!(!home.data().exists());

    let second = ManagedPostgres::acquire(&home.options()).unwrap();
    assert_eq!(second.origin(), Origin::Started);
    assert!(partials().is_empty());
    connect(&second);
    second.release().unwrap();
}

//! One process: start, look around, stop, start again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use damascus_postgres::{Binaries, Durability, ManagedPostgres, Origin, Release, Revival};

use crate::home::{Home, connect, processes, show, stat_field, until};

#[test]
fn a_durable_cluster_is_made_started_stopped_and_keeps_its_rows() {
    let home = Home::named("a höme, with \"everything\" % in it");
    let options = home.options().with_durability(Durability::Durable);
    let server = ManagedPostgres::acquire(&options).unwrap();
    assert_eq!(server.origin(), Origin::Started);
    let mut client = connect(&server);
    for setting in ["fsync", "synchronous_commit", "full_page_writes", "data_checksums"] {
        assert_eq!(show(&mut client, setting), "on", "{setting}");
    }
    assert_eq!(show(&mut client, "listen_addresses"), "");
    assert_eq!(show(&mut client, "max_connections"), "100");
    assert_eq!(show(&mut client, "server_encoding"), "UTF8");
    assert_eq!(show(&mut client, "TimeZone"), "UTC");
    client.batch_execute("CREATE TABLE kept AS SELECT 42 AS answer").unwrap();
    assert_eq!(client.query_one("SELECT lower('ÄÖ')", &[]).unwrap().get::<_, String>(0), "äö");
    drop(client);
    assert_eq!(server.ensure_running().unwrap(), Revival::NotNeeded);
    assert_eq!(server.release().unwrap(), Release::Stopped);
    assert!(home.is_quiet());
    assert_eq!(home.recorded_pid(), None);

    let server = ManagedPostgres::acquire(&options).unwrap();
    assert_eq!(server.origin(), Origin::Started);
    assert_eq!(connect(&server).query_one("SELECT answer FROM kept", &[]).unwrap().get::<_, i32>(0), 42);
    drop(server);
    assert!(home.is_quiet(), "dropping stops the server too");
}

#[test]
fn the_server_is_detached_unprivileged_and_out_of_reach() {
    let home = Home::new();
    let server = home.acquire();
    let pid = server.server_pid().unwrap().unwrap();
    assert_eq!(stat_field(pid, 3), Some(pid.to_string()), "it leads a session of its own");

    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(line("Uid:").split_whitespace().all(|uid| uid != "0"), "{}", line("Uid:"));
    if nix::unistd::geteuid().is_root() {
        assert!(line("Gid:").split_whitespace().all(|gid| gid != "0"), "{}", line("Gid:"));
        assert_eq!(line("Groups:"), "", "no group of root's is left");
    }

    let open: Vec<_> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .collect();
    assert!(!open.iter().any(|path| path.extension().is_some_and(|kind| kind == "lock")), "{open:?}");

    for (name, group) in [("run", 0o000), ("data", 0o000), ("log", 0o000), (".", 0o010)] {
        let meta = home.path.join("postgres").join(name).metadata().unwrap();
        let expected = if nix::unistd::geteuid().is_root() { 0o700 | group } else { 0o700 };
        assert_eq!(meta.permissions().mode() & 0o777, expected, "{name}");
    }
    assert_eq!(home.path.join("postgres").metadata().unwrap().uid(), nix::unistd::geteuid().as_raw());
    server.release().unwrap();

    let me = std::process::id().to_string();
    until("no zombie is left", || {
        !processes()
            .any(|(pid, _)| stat_field(pid, 1).as_ref() == Some(&me) && stat_field(pid, 0).as_deref() == Some("Z"))
    });
}

#[test]
fn a_path_too_long_for_a_socket_gets_a_short_folder_which_nobody_may_prepare() {
    let home = Home::named(&"x".repeat(120));
    let server = home.acquire();
    let short = server.socket_dir().to_owned();
    assert!(!short.starts_with(&home.path), "{}", short.display());
    assert_eq!(short.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(show(&mut connect(&server), "fsync"), "off");
    server.release().unwrap();
    assert!(!short.exists(), "the last to leave removes it");

    std::os::unix::fs::symlink(home.parent(), &short).unwrap();
    let refusal = ManagedPostgres::acquire(&home.options()).unwrap_err().to_string();
    fs::remove_file(&short).unwrap();
    assert!(refusal.contains("is not a folder"), "{refusal}");

    fs::create_dir(&short).unwrap();
    fs::set_permissions(&short, fs::Permissions::from_mode(0o755)).unwrap();
    let refusal = ManagedPostgres::acquire(&home.options()).unwrap_err().to_string();
    fs::remove_dir(&short).unwrap();
    assert!(refusal.contains("is open to others"), "{refusal}");
}

#[test]
fn a_long_log_is_cut_while_the_server_runs() {
    let home = Home::new();
    let server = home.acquire();
    let log = server.log_file();
    let mut text = fs::read(&log).unwrap();
    text.resize(9 * 1024 * 1024, b'x');
    fs::write(&log, text).unwrap();
    server.ensure_running().unwrap();
    assert!(log.metadata().unwrap().len() < 1024 * 1024);
    assert_eq!(log.with_extension("log.old").metadata().unwrap().len(), 1024 * 1024);
    server.release().unwrap();
    let end = fs::read_to_string(log).unwrap();
    assert!(end.contains("shut down") && !end.contains('\0'), "the server goes on at the new end: {end:?}");
}

#[test]
fn the_programs_are_found() {
    let found = Binaries::find(&Home::new().options()).unwrap();
    assert!(found.major >= 15);
    assert!(found.dir.join("initdb").is_file());
}

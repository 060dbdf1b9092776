//! What is refused, and whether the message says what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use damascus_postgres::{Binaries, Durability, Error, ManagedPostgres, Options};

use crate::home::{Home, connect};

fn refusal(options: &Options) -> Error {
    ManagedPostgres::acquire(options).unwrap_err()
}

/// The message names everything a person needs.
fn assert_names(error: &Error, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

#[test]
fn missing_programs() {
    let home = Home::new();
    let bin_dir = Some(home.parent().to_owned());
    let error = refusal(&Options { bin_dir, ..home.options() });
    assert!(matches!(error, Error::NoBinaries { .. }), "{error:?}");
    let parent = home.parent().to_string_lossy();
    assert_names(&error, &[&parent, "no `postgres` there", "apt-get install postgresql", "DATABASE_URL"]);
    assert!(!home.data().exists());
}

#[test]
fn a_cluster_of_another_version() {
    let home = Home::new();
    home.pretend_cluster("9\n", None);
    let error = refusal(&home.options());
    assert!(matches!(error, Error::WrongVersion { cluster: 9, .. }), "{error:?}");
    let major = Binaries::find(&home.options()).unwrap().major.to_string();
    assert_names(&error, &["Postgres 9", &format!("Postgres {major}"), "DAMASCUS_PG_BIN"]);
}

#[test]
fn a_folder_that_is_no_cluster() {
    let home = Home::new();
    home.pretend_cluster("soon\n", None);
    let error = refusal(&home.options());
    assert!(matches!(error, Error::NotACluster { .. }), "{error:?}");
    assert_names(&error, &["PG_VERSION", "mv "]);
}

#[test]
fn a_cluster_made_for_the_other_durability() {
    let major = Binaries::find(&Home::new().options()).unwrap().major;
    for (marker, made, asked) in [
        (Some("durable\n"), Durability::Durable, Durability::Throwaway),
        (None, Durability::Durable, Durability::Throwaway),
        (Some("throwaway\n"), Durability::Throwaway, Durability::Durable),
    ] {
        let home = Home::new();
        home.pretend_cluster(&format!("{major}\n"), marker);
        let error = refusal(&home.options().with_durability(asked));
        let Error::DurabilityMismatch { made: told, asked: wanted, .. } = error else { panic!("{error:?}") };
        assert_eq!((told, wanted), (made, asked));
    }
}

#[test]
fn a_home_that_can_not_be_one() {
    let home = Home::new();
    let file = home.parent().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refusal(&Options::from_env(&path));
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert_names(&error, &["file", "DAMASCUS_HOME"]);
    }
    for path in ["", "/tmp/a\nb", &format!("/tmp/{}", "x/".repeat(500))] {
        let error = refusal(&Options::from_env(path));
        assert!(matches!(error, Error::BadHome { .. }), "{error:?}");
    }
}

#[test]
fn a_folder_on_the_way_that_is_closed() {
    let home = Home::new();
    let mode = if nix::unistd::geteuid().is_root() { 0o700 } else { 0o500 };
    fs::set_permissions(home.parent(), Permissions::from_mode(mode)).unwrap();
    let error = refusal(&home.options());
    let parent = home.parent().to_string_lossy();
    if nix::unistd::geteuid().is_root() {
        assert!(matches!(&error, Error::Untraversable { dir, .. } if dir == home.parent()), "{error:?}");
        assert_names(&error, &[&parent, "/var/lib/damascus", "chmod o+x"]);
    } else {
        assert_names(&error, &[&parent, "writable", "DAMASCUS_HOME"]);
    }
    assert_eq!(home.parent().metadata().unwrap().permissions().mode() & 0o777, mode, "not ours to change");
    fs::set_permissions(home.parent(), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_user_that_does_not_exist_or_is_root() {
    let home = Home::new();
    for name in ["no-such-user", "root"] {
        let error = refusal(&Options { user: Some(name.to_owned()), ..home.options() });
        assert!(matches!(error, Error::NoUser { .. }), "{error:?}");
        assert_names(&error, &[name, "DAMASCUS_PG_USER"]);
    }
    assert!(!home.path.exists());
}

#[test]
fn a_failing_initdb_is_quoted_without_its_escapes_and_leaves_nothing() {
    let home = Home::new();
    let bin = home.programs_with_initdb("printf 'boom \\033[31m: No space left on device\\n' >&2; exit 1");
    let error = refusal(&Options { bin_dir: Some(bin), ..home.options() });
    assert!(matches!(error, Error::InitFailed { .. }), "{error:?}");
    assert_names(&error, &["boom [31m", "The disk is full"]);
    let left: Vec<_> =
        fs::read_dir(home.path.join("postgres")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("data")), "{left:?}");
}

#[test]
fn a_server_that_does_not_start_shows_the_end_of_its_log() {
    let home = Home::new();
    home.acquire().release().unwrap();
    let conf = home.data().join("postgresql.conf");
    let good = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, format!("{good}\nno_such_setting = 1\n")).unwrap();
    let error = refusal(&home.options());
    assert!(matches!(error, Error::StartFailed { .. }), "{error:?}");
    assert_names(&error, &["no_such_setting", "server.log"]);
    fs::write(&conf, good).unwrap();
    let server = home.acquire();
    connect(&server);
    server.release().unwrap();
    assert!(Path::new(&home.path).exists());
}

#[test]
fn a_server_that_answers_but_can_not_be_seen_is_left_alone() {
    let home = Home::new();
    let server = home.acquire();
    let pid_file = home.data().join("postmaster.pid");
    let good = fs::read_to_string(&pid_file).unwrap();
    // As if its id were one of another container's.
    let other = good.replacen(&home.recorded_pid().unwrap().to_string(), &std::process::id().to_string(), 1);
    fs::write(&pid_file, other).unwrap();
    let error = refusal(&home.options());
    fs::write(&pid_file, good).unwrap();
    assert!(matches!(error, Error::OutOfSight { .. }), "{error:?}");
    assert_names(&error, &["another container", "DAMASCUS_HOME"]);
    connect(&server);
    server.release().unwrap();
}

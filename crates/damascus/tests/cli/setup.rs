//! `init` and `doctor`, on a given database and on a managed one.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use damascus_testkit::TestDb;
use serde_json::{Value, json};

use crate::program::Program;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

fn check<'a>(found: &'a Value, name: &str) -> &'a Value {
    let checks = found["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {found}"))
}

#[tokio::test]
async fn init_on_a_given_database_makes_what_is_missing_and_then_nothing() {
    let db = TestDb::empty().await;
    let mut program = Program::on(&db);
    let home = program.home.path().join("inner");
    let home = home.to_str().unwrap();

    let told = program.run(&["init", "--home", home]).ok();
    assert!(told.contains("schema         made, version "), "{told}");
    assert!(told.contains("next: `damascus project add NAME --repo PATH`"), "{told}");
    assert_eq!((mode(Path::new(home)), mode(&Path::new(home).join("config.toml"))), (0o700, 0o600));

    let again = program.run(&["init", "--home", home, "--json"]).json();
    assert_eq!(
        [&again["home_created"], &again["config_created"], &again["database_created"], &again["managed"]],
        [&json!(false); 4]
    );
    assert_eq!(again["schema_from"], again["schema_to"]);

    program.database = Some(format!("{}_more", db.url()));
    let missing = program.run(&["status", "--home", home]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("there is no such database"), "{}", missing.stderr);
    assert!(missing.stderr.contains("next: run `damascus init`"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_database_without_a_schema_is_told_with_both_versions() {
    let db = TestDb::empty().await;
    let program = Program::on(&db);
    let older = program.run(&["status"]);
    assert_eq!(older.code, 1);
    assert!(older.stderr.contains("schema version 0, this Damascus needs "), "{}", older.stderr);
    assert!(older.stderr.ends_with("next: run `damascus init`, which brings it up to date\n"), "{}", older.stderr);
    let found = program.run(&["doctor", "--json"]);
    assert_eq!((found.code, &check(&found.json(), "schema")["level"]), (1, &json!("fail")));
}

#[tokio::test]
async fn doctor_finds_a_healthy_database_healthy() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    let found = program.run(&["doctor", "--json"]).json();
    for name in ["home", "disk", "git", "database", "schema", "clock", "transactions", "outbox", "workers"] {
        let level = &check(&found, name)["level"];
        assert!(level == "ok" || (name == "disk" && level == "warn"), "{name}: {found}");
    }
    // Test servers may run without fsync, and doctor has to say so.
    let text = program.run(&["doctor"]).stdout;
    assert!(text.contains("ok    schema         version "), "{text}");
}

#[test]
fn doctor_looks_at_everything_even_when_the_configuration_is_broken() {
    let program = Program::alone();
    program.config("[log]\nlevel = 3\n");
    let found = program.run(&["doctor", "--json"]);
    assert_eq!(found.code, 1);
    let found = found.json();
    assert_eq!(found["healthy"], json!(false));
    assert_eq!(check(&found, "configuration")["level"], "fail");
    assert_eq!(check(&found, "git")["level"], "ok");
    assert!(check(&found, "database")["found"].as_str().unwrap().contains("not looked at"));
}

#[test]
fn a_home_of_its_own_runs_from_nothing_to_a_project() {
    // The server's own user must be able to get there, so not below a private temporary folder.
    let home = std::env::temp_dir().join(format!("damascus-cli-test-{}", std::process::id()));
    let _removed = Removed(home.clone());
    let program = Program::alone();
    let home = home.to_str().unwrap();

    let before = program.run(&["status", "--home", home]);
    assert_eq!(before.code, 1);
    assert!(before.stderr.contains("there is no Damascus in "), "{}", before.stderr);
    assert!(!Path::new(home).exists(), "looking makes nothing");

    let made = program.run(&["init", "--home", home, "--json"]).json();
    assert_eq!((&made["managed"], &made["database_created"]), (&json!(true), &json!(true)));
    assert_eq!(program.run(&["init", "--home", home, "--json"]).json()["database_created"], json!(false));
    let repository = crate::program::repository();
    program.run(&["project", "add", "shop", "--repo", repository.path().to_str().unwrap(), "--home", home]).ok();
    assert!(program.run(&["status", "--home", home]).ok().contains("\nshop "));
    let found = program.run(&["doctor", "--home", home, "--json"]).json();
    assert_eq!(
        (&check(&found, "postgres")["level"], &check(&found, "durability")["level"]),
        (&json!("ok"), &json!("ok"))
    );
    // The last to leave stops the server.
    assert!(!Path::new(home).join("postgres/data/postmaster.pid").exists());
}

/// Removes a folder at the end of a test, however that ends.
struct Removed(std::path::PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

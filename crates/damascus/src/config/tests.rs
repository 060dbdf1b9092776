//! Precedence, places of errors, and the documentation against the keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::keys::{HOME_VARIABLE, KEYS, commented_defaults};
use super::{Config, ConfigError, file_in};

type Flags = BTreeMap<&'static str, String>;

/// Loads with a file of this text, these flags and these variables.
fn load(file: &str, flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(file_in(home.path()), file).unwrap();
    let flags: Flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    Config::load(Some(home.path()), &flags, variable)
}

/// The error without its folder, with its next step.
fn error(file: &str) -> String {
    let error = load(file, &[], &[]).unwrap_err();
    let place = error.place.rsplit('/').next().unwrap().to_owned();
    format!("{place}: {}\n{}", error.problem, error.next)
}

#[test]
fn a_flag_beats_a_variable_which_beats_the_file_which_beats_the_default() {
    let concurrency = |file, flags: &[_], variables: &[_]| load(file, flags, variables).unwrap().worker.concurrency;
    let (file, flag, variable) =
        ("[worker]\nconcurrency = 3", [("worker.concurrency", "5")], [("DAMASCUS_WORKER_CONCURRENCY", "4")]);
    assert_eq!(concurrency("", &[], &[]), 2);
    assert_eq!(concurrency(file, &[], &[]), 3);
    assert_eq!(concurrency("worker.concurrency = 3", &[], &[]), 3);
    assert_eq!(concurrency(file, &[], &variable), 4);
    assert_eq!(concurrency(file, &flag, &variable), 5);
    assert_eq!(concurrency(file, &[], &[("DAMASCUS_WORKER_CONCURRENCY", "")]), 3, "an empty variable is none");
}

#[test]
fn unknown_keys_are_told_with_their_place_and_the_nearest_known_one() {
    assert_eq!(
        error("[worker]\n\n  concurency = 3"),
        "config.toml:3:3: there is no key `worker.concurency`\n\
         did you mean `worker.concurrency`? See docs/configuration.md for all keys"
    );
    assert_eq!(
        error("concurrency = 3"),
        "config.toml:1:1: there is no key `concurrency`\n\
         did you mean `worker.concurrency`? See docs/configuration.md for all keys"
    );
    assert_eq!(
        error("[wroker]\nconcurrency = 3"),
        "config.toml:1:2: there is no table `wroker`\ndid you mean `worker`? See docs/configuration.md for all keys"
    );
    assert!(error("[totally.unrelated]\nx = 1").contains("remove it; the keys are database.url, "));
}

#[test]
fn what_is_no_toml_is_told_with_line_and_column() {
    assert_eq!(
        error("[log]\nlevel = \"info"),
        "config.toml:2:14: is not valid TOML: invalid basic string, expected `\"`\n\
         correct that line, or move the file away; `damascus init` writes a new one"
    );
    assert!(error("ü = [").starts_with("config.toml:1:"));
    assert!(error(&"#".repeat(300_000)).contains("has 300000 bytes; a configuration has at most 262144"));
}

#[test]
fn values_of_a_wrong_kind_are_told_where_they_stand() {
    assert!(error("[worker]\nconcurrency = \"3\"").starts_with(
        "config.toml:2:1: worker.concurrency must be a whole number from 1 to 512, found a value of type string"
    ));
    assert!(error("[worker]\nconcurrency = 0").contains("from 1 to 512, found \"0\""));
    assert!(error("[log]\nformat = \"xml\"").contains("log.format must be one of text, json, found \"xml\""));
    let error = load("", &[], &[("DAMASCUS_LOG_LEVEL", "loud\u{1b}[31m")]).unwrap_err();
    assert_eq!(error.place, "the environment variable DAMASCUS_LOG_LEVEL");
    assert!(error.problem.ends_with("found \"loud[31m\""), "{}", error.problem);
}

#[test]
fn the_address_of_the_database_is_not_printed() {
    let config = load("", &[], &[("DATABASE_URL", "postgres://u:hunter2@db/x")]).unwrap();
    assert_eq!(config.database_url.as_ref().unwrap().expose(), "postgres://u:hunter2@db/x");
    assert!(!format!("{config:?}").contains("hunter2"));
    let error = load("database.url = [\"postgres://u:hunter2@db/x\"]", &[], &[]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn the_home_folder_comes_from_the_flag_then_the_variable_then_the_user() {
    let home = |flag: Option<&str>, variables: &'static [(&str, &str)]| {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        super::home_folder(flag.map(Path::new), variable)
    };
    assert_eq!(home(Some("/a"), &[(HOME_VARIABLE, "/b")]).unwrap(), Path::new("/a"));
    assert_eq!(home(None, &[(HOME_VARIABLE, "/b")]).unwrap(), Path::new("/b"));
    assert!(home(Some("relative"), &[]).unwrap().is_absolute());
    if !rustix::process::geteuid().is_root() {
        assert_eq!(home(None, &[("HOME", "/u")]).unwrap(), Path::new("/u/.local/share/damascus"));
        assert_eq!(home(None, &[("HOME", "/u"), ("XDG_DATA_HOME", "/d")]).unwrap(), Path::new("/d/damascus"));
        assert!(home(None, &[]).is_err());
    }
}

#[test]
fn the_first_file_holds_every_key_and_changes_nothing() {
    let text = commented_defaults();
    assert!(load(&text, &[], &[]).is_ok());
    // A comment that is a setting has an equals sign after one word.
    let is_setting = |line: &str| {
        line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")).is_some_and(|(key, _)| !key.contains(' '))
    };
    assert_eq!(text.lines().filter(|line| is_setting(line)).count(), KEYS.len());
    let active: String = text
        .lines()
        .map(|line| if is_setting(line) && !line.ends_with("\"\"") { line.trim_start_matches("# ") } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    let config = load(&active, &[], &[]).unwrap();
    assert_eq!((config.worker.concurrency, config.events_retention_days), (2, 30));
}

#[test]
fn the_documentation_lists_exactly_the_keys() {
    const BEGIN: &str = "<!-- keys: begin -->\n";
    const END: &str = "<!-- keys: end -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (kept, after) = rest.split_once(END).unwrap();
    let mut rendered = String::from("| key | variable | flag | default | what |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let flag = key.flag.map_or(String::new(), |flag| format!("`{flag}`"));
        let default = if key.default.is_empty() { "not set".to_owned() } else { format!("`{}`", key.default) };
        let row = format!(
            "`{}` | `{}` | {flag} | {default} | {} ({})",
            key.name,
            key.variable,
            key.meaning,
            key.kind.expected()
        );
        rendered.push_str(&format!("| {row} |\n"));
    }
    if std::env::var_os("DAMASCUS_REGENERATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{rendered}{END}{after}")).unwrap();
    } else {
        assert!(
            kept == rendered,
            "docs/configuration.md differs from the keys; write it again with \
             `DAMASCUS_REGENERATE=1 cargo nextest run -p damascus documentation`"
        );
    }
}

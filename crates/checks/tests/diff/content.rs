//! What a change brings in: sizes, modes, links, bytes, credentials.

use damascus_checks::diff::{Kind, Rule};

use crate::story::{FILE, Story};

const LIMITED: &str = "[test]\ncommand = [\"make\"]\nreport = \"tap\"\n[limits]\ndiff_files = 2\ndiff_bytes = 1024\n";

#[test]
fn the_size_of_a_change_is_bounded() {
    let two = || Story::on(LIMITED).add("src/a", "a\n").add("src/b", "b\n");
    assert_eq!(two().rules(), []);
    assert_eq!(two().add("src/c", "c\n").rules(), [Rule::TooManyFiles]);
    assert_eq!(Story::on(LIMITED).add("src/a", &"a".repeat(1_023)).rules(), []);
    assert_eq!(Story::on(LIMITED).add("src/a", &"a".repeat(2_000)).rules(), [Rule::TooLarge]);
    assert_eq!(Story::new().too_large("src/a", 5_000_000).rules(), [Rule::TooLarge]);
}

#[test]
fn only_what_is_added_counts() {
    let old = "line\n".repeat(1_000);
    assert_eq!(Story::on(LIMITED).edit("src/a", &old, &format!("{old}more\n")).rules(), []);
    assert_eq!(Story::on(LIMITED).delete("src/a", &old).rules(), []);
    assert_eq!(Story::on(LIMITED).edit("src/a", &old, &old.repeat(2)).rules(), [Rule::TooLarge]);
}

#[test]
fn binary_files_are_refused_unless_named() {
    let story = || Story::new().change("src/a.bin", Kind::Added, (0, FILE), None, Some(b"a\0b"));
    assert_eq!(story().rules(), [Rule::Binary]);
    assert_eq!(story().allow(&["src/a.bin"]).rules(), []);
    // Where nothing but the mode changed, nothing binary came in.
    let mode = Story::new().change("src/a.py", Kind::Modified, (FILE, 0o100_755), Some(b"a\0"), Some(b"a\0"));
    assert_eq!(mode.rules(), []);
}

#[test]
fn execute_bits_are_for_scripts() {
    let story = |path, bytes: &'static [u8]| Story::new().change(path, Kind::Added, (0, 0o100_755), None, Some(bytes));
    assert_eq!(story("src/a.txt", b"a").rules(), [Rule::FileMode]);
    assert_eq!(story("src/a.txt", b"a").allow(&["src/a.txt"]).rules(), []);
    assert_eq!(story("src/a", b"#!/usr/bin/env python3\n").rules(), []);
    assert_eq!(story("src/a.sh", b"echo\n").rules(), []);
}

#[test]
fn links_stay_inside_and_are_named() {
    let story = |target: &'static str| {
        Story::new().allow(&["src/a"]).change("src/a", Kind::Added, (0, 0o120_000), None, Some(target.as_bytes()))
    };
    for inside in ["b", "../docs", "./b/../c"] {
        assert_eq!(story(inside).rules(), [], "{inside}");
    }
    for outside in ["/etc", "../..", "../../a", "b/../../../c", "../.git/hooks", "..\\a", ""] {
        assert_eq!(story(outside).rules(), [Rule::Symlink], "{outside}");
    }
    let replaced = Story::new().change("src/b", Kind::TypeChanged, (0o120_000, FILE), Some(b"c"), Some(b"text"));
    assert_eq!(replaced.rules(), [Rule::Symlink]);
    let gone = Story::new().change("src/b", Kind::Deleted, (0o120_000, 0), Some(b"c"), None);
    assert_eq!(gone.rules(), []);
}

/// Put together here, so that this file holds no text that looks like a credential.
fn secrets() -> Vec<String> {
    let random = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6kL9nPq2";
    vec![
        format!("-----BEGIN RSA {} KEY-----", "PRIVATE"),
        format!("-----BEGIN {} KEY-----", "PRIVATE"),
        format!("key = \"{}{}\"", "AKIA", "QX7M2NPL4ZRTW9KD"),
        format!("token: {}{}", "ghp_", &random[..36]),
        format!("{}{}{}", "github_pat_", random, &random[..20]),
        format!("{}{}", "glpat-", &random[..20]),
        format!("{}{}", "xoxb-", &random[..30]),
        format!("{}{}", "sk-ant-", random),
        format!("{}{}", "sk-", random),
        format!("{}{}", "AIza", &random[..35]),
        format!("{}{}", "npm_", &random[..36]),
    ]
}

#[test]
fn credentials_are_refused_and_never_repeated() {
    for secret in secrets() {
        let found = Story::new().edit("src/a.py", "a = 1\n", &format!("a = 1\n{secret}\n")).judge();
        assert!(found.iter().any(|one| one.rule == Rule::Secret), "{secret}");
        let value = secret.rsplit([' ', '"']).find(|part| part.len() > 12).unwrap_or(&secret);
        assert!(found.iter().all(|one| !one.to_string().contains(value)), "{found:?}");
        // Moved, or there before: nothing was added.
        let old = format!("{secret}\na = 1\n");
        assert_eq!(Story::new().edit("src/a.py", &old, &format!("a = 1\n{secret}\n")).rules(), []);
    }
}

#[test]
fn what_only_begins_like_a_credential_is_none() {
    let plain = [
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "class=\"sk-fading-circle-with-a-very-long-name-and-yet-longer\"",
        "disk-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hJ6kL9nPq2",
        "npm_config_registry",
        "xoxb-your-token-here-please",
        "sk-ant-...",
    ];
    for text in plain {
        assert_eq!(Story::new().add("src/a.txt", text).rules(), [], "{text}");
    }
}

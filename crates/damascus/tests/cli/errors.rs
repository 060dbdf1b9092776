//! Bad input: a clear error with its place and the way out, the right exit code, nothing changed.

use damascus_testkit::TestDb;
use serde_json::Value;

use crate::program::{Program, shop};

#[test]
fn a_broken_configuration_is_told_with_its_place() {
    let program = Program::alone();
    for (text, says, next) in [
        ("[worker\n", "config.toml:1:8: is not valid TOML: ", "next: correct that line, or move the file away"),
        (
            "\n[worker]\nconcurency = 2\n",
            "config.toml:3:1: there is no key `worker.concurency`",
            "next: did you mean `worker.concurrency`?",
        ),
        ("log.level = 7\n", "config.toml:1:5: log.level must be one of error, ", "next: correct it there"),
    ] {
        program.config(text);
        let failed = program.run(&["status"]);
        assert_eq!((failed.code, failed.stdout.as_str()), (2, ""));
        assert!(failed.stderr.starts_with("error: ") && failed.stderr.contains(says), "{}", failed.stderr);
        assert!(failed.stderr.contains(next), "{}", failed.stderr);

        let failed = program.run(&["status", "--json"]);
        let error: Value = serde_json::from_str(&failed.stderr).unwrap();
        assert_eq!((failed.code, failed.stdout.as_str(), &error["error"]["code"]), (2, "", &"configuration".into()));
        assert!(error["error"]["message"].as_str().unwrap().contains(says) && error["error"]["next"].is_string());
    }
}

#[test]
fn an_unreachable_database_is_told_at_once_and_without_its_password() {
    let program = Program::alone();
    for url in ["postgres://dana:hunter2@127.0.0.1:1/shop", "postgres://dana:hunter2@localhost/shop?host=/nonexistent"]
    {
        let failed = program.run(&["status", "--database-url", url]);
        assert_eq!(failed.code, 1);
        assert!(failed.stderr.contains("does not answer\n  because: "), "{}", failed.stderr);
        assert!(failed.stderr.contains("next: check that it runs"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
    }
    let failed = program.run(&["status", "--database-url", "hunter2 is no address"]);
    assert_eq!(failed.code, 2);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
}

#[tokio::test]
async fn unknown_names_come_with_near_ones() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["sign-in"]);
    for (arguments, message, next) in [
        (
            &["status", "--project", "shpo"][..],
            "error: there is no project shpo\n",
            "next: did you mean shop? `damascus project list`",
        ),
        (
            &["item", "show", "sign-im"],
            "error: there is no item sign-im\n",
            "next: did you mean sign-in? `damascus item list`",
        ),
        (&["item", "wait", "999"], "error: there is no item ", "`damascus item list` shows what there is"),
        (&["issue", "show", "7"], "error: there is no issue 7\n", "next: `damascus issue list` shows what there is"),
        (&["gate", "waive", "7"], "error: there is no gate 7\n", "next: `damascus gate list` shows what there is"),
        (&["lane", "open", "globl"], "error: there is no lane globl\n", "next: did you mean global?"),
    ] {
        let failed = program.run(arguments);
        assert_eq!((failed.code, failed.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(failed.stderr.starts_with(message) && failed.stderr.contains(next), "{arguments:?}: {}", failed.stderr);
    }
}

#[tokio::test]
async fn what_is_not_allowed_ends_with_4() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &["sign-in"]);
    let repository = crate::program::repository();
    let again = program.run(&["project", "add", "shop", "--repo", repository.path().to_str().unwrap()]);
    assert_eq!(again.code, 4);
    assert_eq!(again.stderr, "error: there is a project shop already\nnext: take another name\n");
    let again = program.run_with(&["item", "create", "-p", "shop", "--key", "sign-in"], "# Sign in");
    assert_eq!((again.code, again.stderr.contains("next: take another key")), (4, true), "{}", again.stderr);
    let early = program.run(&["item", "retry", "sign-in"]);
    assert_eq!(
        (early.code, early.stderr.contains("can't be retried: it is ready for spec")),
        (4, true),
        "{}",
        early.stderr
    );
    program.run(&["item", "cancel", "sign-in"]).ok();
    assert_eq!(program.run(&["item", "hold", "sign-in"]).code, 4);
}

#[tokio::test]
async fn a_story_that_is_no_text_or_too_large_is_refused_before_it_is_read() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &[]);
    let folder = program.home.path();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let huge = file("huge.md", b"");
    // A gigabyte that takes no space.
    std::fs::File::options().write(true).open(&huge).unwrap().set_len(1 << 30).unwrap();
    for (story, says) in [
        (huge.as_str(), "huge.md: has more than 1048576 bytes"),
        ("/dev/zero", "/dev/zero: has more than 1048576 bytes"),
        (&file("binary.md", b"# A\n\0\x01"), "binary.md: is binary (a zero byte at 4)"),
        (&file("latin.md", b"# A\nM\xfcnchen"), "latin.md: is not valid UTF-8 (line 2, byte 5)"),
        (&file("empty.md", b" \n"), "empty.md: the text is empty"),
        ("/nonexistent.md", "/nonexistent.md: can't be read: "),
        ("/", "/: is a folder"),
    ] {
        let refused = program.run(&["item", "create", "--project", "shop", story]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{story}");
        assert!(refused.stderr.contains(says) && refused.stderr.contains("\nnext: "), "{story}: {}", refused.stderr);
    }
    let long = format!("# A\n{}", "x".repeat(1 << 20));
    let refused = program.run_with(&["item", "create", "--project", "shop"], long);
    assert!(refused.stderr.starts_with("error: standard input: has more than 1048576 bytes"), "{}", refused.stderr);
    assert_eq!(program.run(&["item", "list", "--json"]).json()["items"], serde_json::json!([]));
}

#[tokio::test]
async fn escapes_from_a_story_never_reach_the_terminal() {
    let db = TestDb::new().await;
    let program = Program::on(&db);
    shop(&program, &[]);
    let story = "# \u{1b}[31mRed\u{7} \u{202e}alert\n\nText \u{1b}]0;owned\u{7}\u{9b}2J";
    let created = program.run_with(&["item", "create", "--project", "shop", "--key", "red"], story);
    assert!(created.stderr.contains("control characters or escapes were removed"), "{}", created.stderr);
    program.events(2);
    for arguments in [&["item", "list"][..], &["item", "show", "red", "--story"], &["events"], &["status"]] {
        let shown = program.run(arguments).ok();
        assert!(!shown.chars().any(|c| c != '\n' && damascus_core::display::is_unsafe(c)), "{arguments:?}: {shown:?}");
    }
}

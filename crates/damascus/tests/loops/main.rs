//! The whole loop by the program itself: the demo as a new user runs it, and a project of one's own as it is configured.
#![expect(clippy::expect_used, reason = "a test's set-up fails by panicking")]

mod wired;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The longest that a demo may take here; it ends by itself before.
const TIMEOUT: Duration = Duration::from_secs(320);

/// A call of the program in a world of its own: nothing of the user's Damascus is reachable.
fn damascus(temporary: &Path, arguments: &[&str]) -> assert_cmd::Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_damascus"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("TMPDIR", temporary).env("DAMASCUS_HOME", temporary.join("never"));
    if let Some(folder) = std::env::var_os("DAMASCUS_PG_BIN") {
        command.env("DAMASCUS_PG_BIN", folder);
    }
    command.args(arguments);
    let mut command = assert_cmd::Command::from_std(command);
    command.timeout(TIMEOUT);
    command
}

/// A temporary folder that the users to whom root steps down can get through.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("damascus-demo-test-").tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).expect("our own folder");
    folder
}

fn output(command: &mut assert_cmd::Command) -> (i32, String, String) {
    let done = command.output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    (done.status.code().unwrap_or(-1), text(done.stdout), text(done.stderr))
}

#[test]
fn the_demo_comes_to_its_end_and_what_landed_can_be_looked_at() {
    let temporary = open_folder();
    let kept = temporary.path().join("kept");
    let kept = kept.to_str().expect("a path in text");
    let (code, told, errors) = output(&mut damascus(temporary.path(), &["demo", "--keep", kept]));
    assert_eq!(code, 0, "{told}\n{errors}");
    for wanted in [
        "the answers of the model and of the coding agent are recorded",
        "2-1-due-date-of-a-loan             asks a question and waits; the others go on",
        "answering as a person would: 21 days",
        "1-2-find-books-by-author           review: tests_failed, back to build (attempt 1 of 3 used)",
        "3-1-accept-books-without-a-title   blocked after policy_violation in build; a person is asked",
        "2-2-list-overdue-loans             what it waited for has merged",
        "holds  bookshelf: 4 landings, 4 as proven",
        "4 tested again",
    ] {
        assert!(told.contains(wanted), "no \"{wanted}\" in:\n{told}");
    }
    assert!(!temporary.path().join("never").exists(), "the user's own home was touched");

    let home = format!("{kept}/home");
    let (code, issues, _) = output(&mut damascus(temporary.path(), &["--home", &home, "issue", "list", "--json"]));
    let issues: serde_json::Value = serde_json::from_str(&issues).expect("JSON");
    assert_eq!((code, issues.as_array().map(Vec::len)), (0, Some(1)), "one person is asked: {issues}");
    assert_eq!(issues[0]["kind"], "blocked");
    assert!(issues[0]["question"].as_str().is_some_and(|text| text.contains("test/shelf.test.js")), "{issues}");

    let (code, diff, _) =
        output(&mut damascus(temporary.path(), &["--home", &home, "item", "diff", "1-2-find-books-by-author"]));
    assert!(code == 0 && diff.contains("+++ b/src/search.js") && diff.contains("toLowerCase"), "{diff}");

    // Somebody moves the branch back: what landed is not there any more, and the audit says so.
    let repository = format!("{kept}/bookshelf.git");
    let moved =
        Command::new("git").args(["--git-dir", &repository, "update-ref", "refs/heads/main", "main~1"]).status();
    assert!(moved.expect("git runs").success());
    let (code, audit, _) = output(&mut damascus(temporary.path(), &["--home", &home, "verify", "--json"]));
    let audit: serde_json::Value = serde_json::from_str(&audit).expect("JSON");
    assert_eq!((code, &audit[0]["holds"], &audit[0]["proven"]), (1, &false.into(), &3.into()), "{audit}");
    assert!(audit[0]["faults"][0]["problem"].as_str().is_some_and(|text| text.contains("is not on main any more")));
}

#[test]
fn a_folder_that_is_there_is_refused_and_left_alone() {
    let temporary = open_folder();
    let kept = temporary.path().join("kept");
    std::fs::create_dir(&kept).expect("a folder");
    std::fs::write(kept.join("mine"), "mine").expect("a file");
    let kept = kept.to_str().expect("a path in text");
    let (code, _, errors) = output(&mut damascus(temporary.path(), &["demo", "--keep", kept]));
    assert_eq!(code, 1);
    assert!(errors.contains("name a folder with --keep that is not there yet"), "{errors}");
    assert_eq!(std::fs::read_to_string(format!("{kept}/mine")).expect("the file"), "mine");
}

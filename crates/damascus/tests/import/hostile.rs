//! Bad input: a clear error with its place and the way out, nothing lost, nothing unsafe shown.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use damascus_core::display::is_unsafe;

use crate::layouts::bomb;
use crate::world::{EPICS, STORIES, TRACKING, World};

/// Far above what refusing takes, far below what reading a gigabyte or opening a bomb would take on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(60);

const TWO: &str = "  1-1-a: ready-for-dev\n  1-2-b: backlog\n";

#[tokio::test]
async fn an_unknown_project_or_folder_is_told_with_the_way_out() {
    let world = World::with_stories(&["A"], "  1-1-a: backlog\n").await;
    let empty = tempfile::tempdir().unwrap();
    let path = world.path().to_str().unwrap();
    let file = world.path().join(EPICS);
    let before = world.tables().await;
    for (arguments, says, next) in [
        (["import", "bmad", path, "--project", "shpo"], "there is no project shpo", "did you mean shop?"),
        (["import", "bmad", "/nonexistent", "--project", "shop"], "/nonexistent does not exist", "give the folder"),
        (
            ["import", "bmad", file.to_str().unwrap(), "--project", "shop"],
            "epics.md is not a folder",
            "give the folder",
        ),
        (
            ["import", "bmad", empty.path().to_str().unwrap(), "--project", "shop"],
            "no BMAD stories found in ",
            "run BMAD's sprint planning first",
        ),
    ] {
        let failed = world.run(&arguments);
        assert_eq!((failed.code, failed.stdout.as_str()), (1, ""), "{failed:?}");
        assert!(failed.stderr.starts_with("error: ") && failed.stderr.contains(says), "{}", failed.stderr);
        assert!(failed.stderr.contains(&format!("\nnext: {next}")), "{}", failed.stderr);
        let failed = world.run(&[&arguments[..], &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
        assert!(error["error"]["next"].as_str().unwrap().starts_with(next), "{error}");
    }
    let wrong = world.import(&["--layout", "v5"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""), "{wrong:?}");
    let missing = world.import(&["--layout", "v4"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.stderr.contains("there: v6-classic"), "{}", missing.stderr);
    assert_eq!(world.tables().await, before);
}

#[tokio::test]
async fn a_story_of_a_gigabyte_is_refused_at_once_and_the_rest_comes_in() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    let path = world.write(&format!("{STORIES}/1-1-a.md"), "");
    // It takes no space.
    std::fs::File::options().write(true).open(path).unwrap().set_len(1 << 30).unwrap();
    let begin = Instant::now();
    let report = world.report(&[]);
    assert!(begin.elapsed() < AT_ONCE);
    assert_eq!(report.findings(), [format!("{STORIES}/1-1-a.md: too-large")]);
    assert_eq!(world.items().await, ["1-1-a 1", "1-2-b 2"]);
    let told = world.import(&["--strict"]);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stdout.contains(&format!("error: {STORIES}/1-1-a.md: ")), "{}", told.stdout);
}

#[tokio::test]
async fn a_link_out_of_the_repository_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "# Story 1.1: Secret\n\nStatus: done\n\nhunter2\n").unwrap();
    let world = World::with_stories(&["A", "B"], TWO).await;
    symlink(outside.path().join("secret.md"), world.path().join(format!("{STORIES}/1-1-a.md"))).unwrap();
    let report = world.report(&[]);
    assert_eq!(report.findings(), [format!("{STORIES}/1-1-a.md: leaves-repository")]);
    assert_eq!(report.count("created"), 2);
    assert!(!world.tables().await.concat().contains("hunter2"));
    // The statuses themselves.
    let world = World::with_stories(&["A"], "").await;
    std::fs::remove_file(world.path().join(TRACKING)).unwrap();
    symlink("/etc/passwd", world.path().join(TRACKING)).unwrap();
    let refused = world.import(&[]);
    assert_eq!((refused.code, world.items().await.len()), (1, 0), "{refused:?}");
    assert!(refused.stderr.starts_with(&format!("error: {TRACKING}: ")), "{}", refused.stderr);
}

#[tokio::test]
async fn escapes_never_reach_the_terminal_or_the_database() {
    let evil = "\u{1b}[31mRed\u{7} \u{202e}alert\u{1b}]0;owned\u{7}\u{9b}2J";
    let world = World::with_stories(&[evil, "B"], &format!("  1-2-b: {evil}\n  \"{evil}\": done\n")).await;
    world.write(&format!("{STORIES}/1-3-\u{1b}[2Jevil.md"), "# Story 1.3: x\n");
    world.write(&format!("{STORIES}/1-4-x.md"), format!("# Story 1.4: {evil}\n\nStatus: {evil}\n\n{evil}\n"));
    for more in [&["--dry-run"][..], &["--assume-not-started"], &["--json"], &["--no-order"]] {
        let done = world.import(more);
        assert_eq!(done.code, 0, "{done:?}");
        let shown = format!("{}{}", done.stdout, done.stderr);
        assert!(!shown.chars().any(|c| c != '\n' && is_unsafe(c)), "{more:?}: {shown:?}");
        assert!(!shown.contains("\\u001b") && !shown.contains("\\u009b"), "{more:?}: {shown}");
    }
    let stored = world.tables().await.concat();
    assert!(!stored.chars().any(is_unsafe) && !stored.contains("\\u001b"), "{stored:?}");
    assert!(stored.contains("Red alert"), "{stored}");
    // The path that was given is shown in an error.
    let failed = world.run(&["import", "bmad", "/nonexistent/\u{1b}[31m", "--project", "shop"]);
    assert!(failed.code == 1 && !failed.stderr.contains('\u{1b}'), "{failed:?}");
}

#[tokio::test]
async fn a_bomb_among_the_stories_is_refused_at_once() {
    let world = World::new().await;
    for (spec, text) in [
        ("spec-bad", format!("{}- *a9\n", bomb())),
        ("spec-good", "- id: \"1\"\n  title: One\n  description: D\n".to_owned()),
    ] {
        world.write(&format!("_bmad-output/specs/{spec}/SPEC.md"), "# X\n");
        world.write(&format!("_bmad-output/specs/{spec}/stories.yaml"), text);
    }
    let begin = Instant::now();
    let report = world.report(&[]);
    assert!(begin.elapsed() < AT_ONCE);
    assert_eq!(report.outcomes(), ["spec-good_1 created"]);
    assert!(
        report.findings()[0].starts_with("_bmad-output/specs/spec-bad/stories.yaml: yaml-"),
        "{:?}",
        report.findings()
    );
    assert_eq!(world.import(&["--strict"]).code, 1);
    assert_eq!(world.import(&[]).code, 0);
}

#[tokio::test]
async fn a_story_too_large_to_store_is_refused_and_the_rest_comes_in() {
    let world = World::with_stories(&["A", "B", "C"], "  1-1-a: backlog\n  1-2-b: backlog\n  1-3-c: backlog\n").await;
    let criteria = |count: usize| "1. It works\n".repeat(count);
    let story = |title: &str, count| {
        format!("# Story 1.1: {title}\n\nStatus: ready-for-dev\n\n## Acceptance Criteria\n\n{}", criteria(count))
    };
    world.write(&format!("{STORIES}/1-1-a.md"), story("A", 700));
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a refused", "1-2-b created", "1-3-c created"]);
    assert_eq!(report.why("1-1-a"), "1-1-a: acceptance: has 700 criteria; at most 500");
    assert_eq!(world.gates().await, ["1-3-c spec <- 1-2-b"]);
    assert_eq!(report.0["dependencies_left_out"][0]["key"], "1-2-b");
    assert_eq!(world.import(&["--strict"]).code, 1);
    // Mended, it comes in, and what should have waited for it does.
    world.write(&format!("{STORIES}/1-1-a.md"), story("A", 2));
    assert_eq!(world.report(&["--strict"]).outcomes(), ["1-1-a created", "1-2-b unchanged", "1-3-c unchanged"]);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a", "1-3-c spec <- 1-2-b"]);
    // Broken again: its item stays as it was.
    let before = world.tables().await;
    world.write(&format!("{STORIES}/1-1-a.md"), story("A", 700));
    assert_eq!(world.report(&[]).outcomes(), ["1-1-a refused", "1-2-b unchanged", "1-3-c unchanged"]);
    assert_eq!(world.tables().await, before);
}

//! Each layout: items in execution order, with the gates that follow from dependencies, order, checkpoints and statuses.

use crate::world::{TRACKING, World};

#[tokio::test]
async fn specs() {
    let world = World::with_fixture("specs").await;
    let report = world.report(&[]);
    insta::assert_debug_snapshot!((report.outcomes(), world.items().await, world.gates().await));
}

#[tokio::test]
async fn classic() {
    let world = World::with_fixture("classic").await;
    let report = world.report(&[]);
    insta::assert_debug_snapshot!((report.outcomes(), world.items().await, world.gates().await));
}

#[tokio::test]
async fn alpha() {
    let world = World::with_fixture("alpha").await;
    let report = world.report(&[]);
    insta::assert_debug_snapshot!((report.outcomes(), world.items().await, world.gates().await));
}

#[tokio::test]
async fn v4() {
    let world = World::with_fixture("v4").await;
    let report = world.report(&[]);
    insta::assert_debug_snapshot!((report.outcomes(), world.items().await, world.gates().await));
}

#[tokio::test]
async fn odd() {
    let world = World::with_fixture("odd").await;
    let report = world.report(&[]);
    insta::assert_debug_snapshot!((report.outcomes(), world.items().await, world.gates().await));
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_says_what_the_real_one_then_does() {
    for fixture in ["specs", "classic", "alpha", "v4", "odd"] {
        let world = World::with_fixture(fixture).await;
        let before = world.tables().await;
        let planned = world.report(&["--dry-run"]);
        assert_eq!(world.tables().await, before, "{fixture}");
        assert_eq!((planned.gates_created(), &planned.0["dry_run"]), (0, &true.into()), "{fixture}");
        let real = world.report(&[]);
        assert_eq!(real.outcomes(), planned.outcomes(), "{fixture}");
        assert!(real.count("created") > 0 && world.items().await.len() == real.count("created"), "{fixture}");
        // Again, it only says that all is there.
        let before = world.tables().await;
        let again = world.report(&["--dry-run"]);
        assert_eq!((again.count("unchanged"), again.count("created")), (real.count("created"), 0), "{fixture}");
        assert_eq!(world.tables().await, before, "{fixture}");
    }
}

#[tokio::test]
async fn the_second_import_changes_nothing() {
    for fixture in ["specs", "classic", "alpha", "v4", "odd"] {
        let world = World::with_fixture(fixture).await;
        let first = world.report(&[]);
        let before = world.tables().await;
        let again = world.report(&[]);
        assert_eq!(world.tables().await, before, "{fixture}");
        assert_eq!((again.count("unchanged"), again.gates_created()), (first.count("created"), 0), "{fixture}");
        assert_eq!(again.count("created") + again.count("revised"), 0, "{fixture}");
    }
}

#[tokio::test]
async fn without_order_only_what_is_declared_makes_gates() {
    let statuses = "  1-1-a: backlog\n  1-2-b: backlog\n  1-3-c: backlog\n";
    let cross = "cross_dependencies:\n  - blocker: 1-1-a\n    blocked: 1-3-c\n";
    let world = World::with_stories(&["A", "B", "C"], &format!("{statuses}{cross}")).await;
    world.report(&["--no-order"]);
    assert_eq!(world.gates().await, ["1-3-c spec <- 1-1-a"]);
    // With order it is added to.
    assert_eq!(world.report(&[]).gates_created(), 2);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a", "1-3-c spec <- 1-1-a", "1-3-c spec <- 1-2-b"]);
}

#[tokio::test]
async fn what_is_done_upstream_makes_no_item_and_no_gate() {
    let world = World::with_stories(&["A", "B"], "  1-1-a: done\n  1-2-b: backlog\n").await;
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a done_upstream", "1-2-b created"]);
    assert_eq!((report.0["dependencies_met"].as_u64(), world.gates().await.len()), (Some(1), 0));
    assert_eq!(world.items().await, ["1-2-b 2"]);
    assert_eq!(world.claim().await.len(), 1, "it can start");
}

#[tokio::test]
async fn checkpoints_and_blocked_stories_wait_for_a_person() {
    let world = World::new().await;
    let folder = "_bmad-output/specs/spec-x";
    world.write(&format!("{folder}/SPEC.md"), "# X\n");
    world.write(
        &format!("{folder}/stories.yaml"),
        "- id: \"1\"\n  title: One\n  description: D\n  spec_checkpoint: true\n  done_checkpoint: true\n\
         - id: \"2\"\n  title: Two\n  description: D\n",
    );
    world.write(&format!("{folder}/stories/2-two.md"), "---\ntitle: Two\nstatus: blocked\n---\n\nText\n");
    world.report(&[]);
    assert_eq!(
        world.gates().await,
        [
            "spec-x_1 build ? spec_checkpoint: is the spec what you want?",
            "spec-x_1 merge ? done_checkpoint: may it land?",
            "spec-x_2 spec <- spec-x_1",
            "spec-x_2 spec ? upstream says that it is blocked: may it start?",
        ]
    );
}

#[tokio::test]
async fn statuses_that_cannot_be_read_stop_the_import_unless_it_is_told_what_to_assume() {
    let broken = [
        "stories:\n  1-1-a: done\n".to_owned(),
        format!("{}development_status: *a9\n", bomb()),
        "a: [\n".to_owned(),
        format!("# {}\n", "x".repeat(1 << 20)),
    ];
    for tracking in broken {
        let world = World::with_stories(&["A"], "").await;
        world.write(TRACKING, &tracking);
        let before = world.tables().await;
        let refused = world.import(&[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
        assert!(refused.stderr.starts_with(&format!("error: {TRACKING}")), "{}", refused.stderr);
        assert!(refused.stderr.contains("\nnext: ") && refused.stderr.contains("--assume-not-started"), "{refused:?}");
        assert_eq!(world.tables().await, before);
        assert_eq!(world.report(&["--dry-run"]).outcomes(), ["1-1-a created"]);
        assert_eq!(world.report(&["--assume-not-started"]).outcomes(), ["1-1-a created"]);
    }
}

/// YAML that stands for ten thousand million nodes.
pub(crate) fn bomb() -> String {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")));
    }
    bomb
}

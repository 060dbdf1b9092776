//! What an import prints: pinned, for programs and for people.

use crate::world::World;

fn pin(name: &str, text: &str) {
    // Columns are as wide as what stands in them.
    insta::with_settings!({ filters => vec![(r"(\S) {2,}", "$1  ")] }, { insta::assert_snapshot!(name, text); });
}

#[tokio::test]
async fn the_report_in_both_forms() {
    let world = World::with_fixture("specs").await;
    pin("dry_run_text", &world.import(&["--dry-run"]).stdout);
    let report = world.import(&["--json"]);
    assert_eq!((report.code, report.stderr.as_str()), (0, ""));
    pin("json", &report.stdout);
    let item = world.item("spec-limiter_2").await;
    world.store().cancel(item, "dana", "").await.unwrap();
    let told = world.import(&[]);
    pin("again_text", &told.stdout);
    assert_eq!(told.stderr, "");
}

#[tokio::test]
async fn the_next_step_stands_beside_the_report() {
    let world = World::with_stories(&["A", "B"], "  1-1-a: backlog\n  1-2-b: backlog\n").await;
    assert_eq!(world.import(&["--dry-run"]).stderr, "next: the same without --dry-run writes it\n");
    assert_eq!(world.import(&[]).stderr, "1 gate made; `damascus gate list` shows what waits for what\n");
    assert_eq!(world.import(&[]).stderr, "");
}

//! Importing again: what changed upstream is brought in while nothing has happened here; what is here is never put back.

use damascus_core::{Digest, Phase};
use damascus_store::item::{NewItem, StorySource};
use damascus_testkit::scene;

use crate::world::{TRACKING, World};

const TWO: &str = "  1-1-a: backlog\n  1-2-b: backlog\n";

#[tokio::test]
async fn a_story_that_changed_before_its_start_is_revised() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    let before = (world.items().await, world.gates().await);
    world.epic(&["A", "B"], "It has to work at night.");
    assert_eq!(world.report(&["--dry-run"]).count("revised"), 2);
    assert!(world.text("1-1-a").await.1.contains("It has to work."), "a dry run writes nothing");
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a revised", "1-2-b revised"]);
    assert!(world.text("1-1-a").await.1.contains("at night"));
    assert_eq!((world.items().await, world.gates().await), before);
    assert_eq!(world.report(&[]).count("unchanged"), 2);
}

#[tokio::test]
async fn a_story_that_changed_while_its_item_is_under_way_is_left_alone() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    let item = world.item("1-1-a").await;
    assert_eq!(world.claim().await, [item]);
    let (text, before) = (world.text("1-1-a").await, world.store().standing(item).await.unwrap());
    world.epic(&["A", "B"], "It has to work at night.");
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a left_alone", "1-2-b revised"]);
    assert_eq!(
        report.why("1-1-a"),
        format!(
            "changed upstream, but item #{item} is under way (spec); cancel it and give the story a new key to begin again"
        )
    );
    assert_eq!(world.text("1-1-a").await, text);
    assert_eq!(format!("{:?}", world.store().standing(item).await.unwrap()), format!("{before:?}"));
}

#[tokio::test]
async fn a_story_done_upstream_later_leaves_its_item_as_it_is() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    let before = world.tables().await;
    world.epic(&["A", "B"], "Done and written up.");
    world.write(TRACKING, "development_status:\n  1-1-a: done\n  1-2-b: done\n");
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a left_alone", "1-2-b left_alone"]);
    let item = world.item("1-1-a").await;
    assert_eq!(
        report.why("1-1-a"),
        format!("done upstream, but item #{item} is in spec here; cancel it if nothing is left to do")
    );
    assert_eq!(world.tables().await, before);
}

#[tokio::test]
async fn what_was_cancelled_here_stays_so() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    let item = world.item("1-1-a").await;
    world.store().cancel(item, "dana", "").await.unwrap();
    let text = world.text("1-1-a").await;
    world.epic(&["A", "B"], "It has to work at night.");
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a left_alone", "1-2-b revised"]);
    assert_eq!(report.why("1-1-a"), format!("item #{item} was cancelled here"));
    assert_eq!(world.text("1-1-a").await, text);
    assert_eq!(world.store().item(item).await.unwrap().item.phase, Phase::Cancelled);
}

#[tokio::test]
async fn a_key_that_a_written_item_has_is_left_to_it() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    let project = world.store().resolve_project("shop").await.unwrap();
    let made = world.store().create_item(project, &scene::story("1-1-a")).await.unwrap();
    let text = world.text("1-1-a").await;
    for outcome in ["created", "unchanged"] {
        let report = world.report(&[]);
        assert_eq!(report.outcomes(), ["1-1-a left_alone".to_owned(), format!("1-2-b {outcome}")]);
        let item = made.item;
        assert_eq!(
            report.why("1-1-a"),
            format!("the key belongs to item #{item}, which was not imported; rename one of them")
        );
    }
    assert_eq!(world.text("1-1-a").await, text);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a"], "what waits for the key waits for that item");
}

#[tokio::test]
async fn an_item_that_merged_is_not_made_again() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    crate::world::merge(&world, "1-1-a").await;
    world.write(TRACKING, "development_status:\n  1-1-a: done\n  1-2-b: backlog\n");
    assert_eq!(world.report(&[]).outcomes(), ["1-1-a unchanged", "1-2-b unchanged"]);
    world.epic(&["A", "B"], "It has to work at night.");
    assert_eq!(world.report(&[]).outcomes(), ["1-1-a unchanged", "1-2-b revised"], "done here and there");
    world.write(TRACKING, format!("development_status:\n{TWO}"));
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a left_alone", "1-2-b unchanged"]);
    assert!(report.why("1-1-a").contains("has merged; write a new story"));
}

#[tokio::test]
async fn stories_that_are_new_upstream_wait_for_those_that_are_there() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    world.epic(&["A", "B", "C"], "It has to work.");
    world.write(TRACKING, format!("development_status:\n{TWO}  1-3-c: backlog\n"));
    let report = world.report(&[]);
    assert_eq!(report.outcomes(), ["1-1-a unchanged", "1-2-b unchanged", "1-3-c created"]);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a", "1-3-c spec <- 1-2-b"]);
}

#[tokio::test]
async fn an_order_that_was_turned_round_closes_no_circle() {
    let world = World::new().await;
    let folder = "_bmad-output/specs/spec-x";
    world.write(&format!("{folder}/SPEC.md"), "# X\n");
    let story = |id: &str| format!("- id: \"{id}\"\n  title: Story {id}\n  description: D\n");
    let list = |ids: &[&str]| ids.iter().map(|id| story(id)).collect::<String>();
    world.write(&format!("{folder}/stories.yaml"), list(&["a", "b", "c"]));
    world.report(&[]);
    let before = world.gates().await;
    assert_eq!(before, ["spec-x_b spec <- spec-x_a", "spec-x_c spec <- spec-x_b"]);
    world.write(&format!("{folder}/stories.yaml"), list(&["c", "b", "a", "d"]));
    let report = world.report(&[]);
    assert_eq!(report.count("created"), 1, "what is new comes in all the same");
    let left_out = report.0["dependencies_left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!((&left_out[0]["key"], &left_out[0]["waits_for"]), (&"spec-x_a".into(), &"spec-x_b".into()));
    assert!(world.import(&[]).stdout.contains("no gate: spec-x_a for spec-x_b: "));
    let gates = world.gates().await;
    assert!(before.iter().all(|gate| gates.contains(gate)), "{gates:?}");
    assert!(gates.contains(&"spec-x_d spec <- spec-x_a".to_owned()), "{gates:?}");
}

#[tokio::test]
async fn a_gate_that_a_person_decided_stays_decided() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    world.report(&[]);
    // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
    let gate = world.db.texts("SELECT id::text FROM coordination_gates").await.remove(0);
    assert_eq!(world.run(&["gate", "waive", &gate]).code, 0);
    assert_eq!(world.report(&[]).gates_created(), 0);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a waived"]);
}

#[tokio::test]
async fn an_imported_item_is_known_by_its_key_whoever_imported_it() {
    let world = World::with_stories(&["A", "B"], TWO).await;
    let project = world.store().resolve_project("shop").await.unwrap();
    let imported = NewItem { source: StorySource::Bmad, content_sha256: Digest::filled(b'f'), ..scene::story("1-2-b") };
    world.store().create_item(project, &imported).await.unwrap();
    assert_eq!(world.report(&[]).outcomes(), ["1-1-a created", "1-2-b revised"]);
    assert_eq!(world.gates().await, ["1-2-b spec <- 1-1-a"], "an item that was there gets its gates as well");
}

//! Imports that meet: two at once, and one that was killed.

use std::time::Duration;

use crate::world::{TRACKING, World};

const STORIES: usize = 200;

/// How long an import is left alone before it is killed: before, while and after it writes.
const KILLED_AFTER: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(45),
    Duration::from_millis(80),
    Duration::from_millis(140),
];

async fn large() -> World {
    let titles: Vec<String> = (1..=STORIES).map(|number| format!("Part {number}")).collect();
    let statuses: String = (1..=STORIES).map(|number| format!("  1-{number}-part-{number}: backlog\n")).collect();
    World::with_stories(&titles.iter().map(String::as_str).collect::<Vec<_>>(), &statuses).await
}

/// Every story once, each with the gate on the one before, and one event for each.
async fn assert_whole(world: &World) {
    let expected: Vec<String> = (1..=STORIES).map(|number| format!("1-{number}-part-{number} {number}")).collect();
    assert_eq!(world.items().await, expected);
    let gates: Vec<String> = (2..=STORIES).map(|n| format!("1-{n}-part-{n} spec <- 1-{0}-part-{0}", n - 1)).collect();
    assert_eq!(world.gates().await, gates);
    let events = world
        .db
        .texts(
            // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
            "SELECT type || ' ' || count(*) FROM events_outbox WHERE item_id IS NOT NULL GROUP BY type ORDER BY type",
        )
        .await;
    assert_eq!(events, [format!("gate.opened {}", STORIES - 1), format!("work.created {STORIES}")]);
}

#[tokio::test]
async fn two_at_once_end_as_one() {
    let world = large().await;
    let start = || world.program(&world.arguments(&["--json"])).spawn().unwrap();
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let mut created = 0;
    for output in both {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let stories = report["stories"].as_array().unwrap();
        assert!(stories.iter().all(|one| one["item"].is_u64()), "each says which item it is");
        created += stories.iter().filter(|one| one["outcome"] == "created").count();
    }
    assert_eq!(created, STORIES, "each story was made by one of them");
    assert_whole(&world).await;
}

#[tokio::test]
async fn two_revisions_at_once_end_as_one() {
    let world = World::with_stories(&["A", "B"], "  1-1-a: backlog\n  1-2-b: backlog\n").await;
    world.report(&[]);
    world.epic(&["A", "B"], "It has to work at night.");
    let start = || world.program(&world.arguments(&["--json"])).spawn().unwrap();
    for output in [start(), start()].map(|child| child.wait_with_output().unwrap()) {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
    let revised = world.db.texts("SELECT id::text FROM events_outbox WHERE type = 'work.revised'").await;
    assert_eq!(revised.len(), 2, "each story once");
    assert_eq!(world.report(&[]).count("unchanged"), 2);
}

#[tokio::test]
async fn an_import_that_was_killed_is_made_whole_by_the_next() {
    for after in KILLED_AFTER {
        let world = large().await;
        let mut child = world.program(&world.arguments(&[])).spawn().unwrap();
        // Not a wait for something to happen: the moment of the kill is what is tried.
        tokio::time::timeout(after, std::future::pending::<()>()).await.unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        // The server ends the session when it sees that nobody listens; what it was about to commit either is there or is not.
        let items = world.items().await.len();
        assert!(items == 0 || items == STORIES, "{after:?}: {items}");
        world.report(&[]);
        assert_whole(&world).await;
        assert_eq!(world.report(&[]).count("unchanged"), STORIES, "{after:?}");
    }
}

#[tokio::test]
async fn an_import_beside_workers_leaves_what_they_took() {
    let world = large().await;
    world.report(&["--no-order"]);
    let taken = world.claim().await;
    world.write(TRACKING, "development_status:\n  1-1-part-1: backlog\n");
    let before = world.items().await;
    let report = world.report(&["--no-order"]);
    assert_eq!((report.count("unchanged"), taken.len()), (STORIES, 100));
    assert_eq!(world.items().await, before);
    // tidy-expect(sql-outside-store): the test looks at the tables themselves, beside everything that reads them
    let epochs = world.db.texts("SELECT count(*)::text FROM work_items WHERE lease_owner IS NOT NULL").await;
    assert_eq!(epochs, ["100"]);
}

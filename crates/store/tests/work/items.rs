//! Creating, naming, showing, holding and revising items.

use damascus_core::{Digest, Failure, Phase, WorkPhase};
use damascus_store::StoreError;
use damascus_store::item::{NewItem, RevisedStory, Standing};
use damascus_store::project::{ForgeKind, NewProject};

use crate::scene::{Scene, after, failed, story};

/// What the server has counted of this database's transactions is not exact at once; statements are counted by their effects instead.
const MANY: usize = 200;

#[tokio::test]
async fn many_items_are_made_at_once_in_order_with_their_stories_gates_and_events() {
    let scene = Scene::new().await;
    let new: Vec<NewItem> = (0..MANY)
        .map(|n| NewItem {
            rank: i64::try_from(n).unwrap(),
            gates: if n == 0 { Vec::new() } else { vec![after(&format!("s-{}", n - 1))] },
            ..story(&format!("s-{n}"))
        })
        .collect();
    let made = scene.store().create_items(scene.project, &new).await.unwrap();
    assert_eq!(made.len(), MANY);
    assert!(made.windows(2).all(|pair| pair[0].item < pair[1].item), "ids rise in the order given");
    for (created, new) in made.iter().zip(&new) {
        assert_eq!((&created.key, created.gates.len()), (&new.key, new.gates.len()));
    }
    assert_eq!(scene.events(made[0].item).await, ["work.created"]);
    assert_eq!(scene.events(made[MANY - 1].item).await, ["work.created", "gate.opened"]);

    // One transaction wrote all of it, and each table in one statement: all rows of a table have the same command id.
    let mut connection = scene.db.connect().await;
    for table in ["work_items", "stories", "coordination_gates", "human_issues"] {
        let query = format!("SELECT count(DISTINCT xmin::text), count(DISTINCT cmin::text) FROM {table}");
        let (transactions, statements): (i64, i64) =
            sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        assert!(transactions <= 1 && statements <= 2, "{table}: {transactions} transactions, {statements} statements");
    }
}

#[tokio::test]
async fn a_taken_key_refuses_all_and_names_who_has_it() {
    let scene = Scene::new().await;
    let taken = scene.item("a").await;
    let error = scene.store().create_items(scene.project, &[story("b"), story("a")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(error.to_string(), format!("demo/a (#{taken}) is there already; take another key"));
    let nothing = scene.store().resolve_item("b").await.unwrap_err();
    assert!(matches!(nothing, StoreError::NotFound { .. }), "{nothing}");
    let twice = scene.store().create_items(scene.project, &[story("c"), story("c")]).await.unwrap_err();
    assert_eq!(twice.to_string(), "key: \"c\" stands for several of the new items");
}

#[tokio::test]
async fn two_imports_of_the_same_stories_at_once_leave_one_of_each() {
    let scene = Scene::new().await;
    let forward: Vec<NewItem> = (0..50).map(|n| story(&format!("s-{n}"))).collect();
    let mut backward = forward.clone();
    backward.reverse();
    let (a, b) = tokio::join!(
        scene.store().create_items(scene.project, &forward),
        scene.store().create_items(scene.project, &backward)
    );
    let refused = match (a, b) {
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert!(refused.to_string().contains("and 45 more are there already"), "{refused}");
}

#[tokio::test]
async fn hostile_text_is_cleaned_and_hostile_names_are_refused() {
    let scene = Scene::new().await;
    let hostile = NewItem {
        title: "\u{1b}]0;owned\u{7}Title\nwith \u{202e}tricks\u{0}".to_owned(),
        body: "'); DROP TABLE work_items; --\u{0}\u{9b}2J\r\n\ttext \u{200b}here".to_owned(),
        acceptance: vec!["\u{1b}[31mred\u{1b}[0m".to_owned()],
        ..story("1-2-user-auth")
    };
    let made = scene.store().create_item(scene.project, &hostile).await.unwrap();
    let shown = scene.store().item(made.item).await.unwrap();
    assert_eq!(shown.item.title, "]0;ownedTitle with tricks");
    assert_eq!(shown.story.body, "'); DROP TABLE work_items; --2J\n\ttext here");
    assert_eq!(shown.story.acceptance, ["[31mred[0m"]);

    let refused = |new: NewItem| async {
        let new = new;
        scene.store().create_item(scene.project, &new).await.unwrap_err().to_string()
    };
    assert_eq!(refused(story("a\u{1b}[2J")).await, "key: \"a[2J\" holds white space or control characters");
    assert_eq!(refused(story("")).await, "key: is empty");
    assert!(refused(story("#12")).await.contains("begins with #"));
    assert!(refused(story(&"k".repeat(201))).await.contains("201 characters; at most 200"));
    assert_eq!(refused(NewItem { title: "\u{7}\n".to_owned(), ..story("t") }).await, "t: title: is empty");
    let long = NewItem { body: "x".repeat(1024 * 1024 + 1), ..story("t") };
    assert_eq!(refused(long).await, "t: body: has 1048577 bytes; at most 1048576");
    assert!(refused(NewItem { priority: Some(1001), ..story("t") }).await.starts_with("t: priority: is 1001"));
    assert!(refused(NewItem { max_attempts: Some(0), ..story("t") }).await.starts_with("t: max_attempts: is 0"));
    let fits = NewItem { body: "ä".repeat(512 * 1024), ..story("fits") };
    scene.store().create_item(scene.project, &fits).await.unwrap();
}

#[tokio::test]
async fn an_item_is_named_by_number_by_project_and_key_or_by_a_key_of_one_project() {
    let scene = Scene::new().await;
    let store = scene.store();
    let (a, slashed) = (scene.item("a").await, scene.item("epic/b").await);
    let digits = scene.item("4711").await;
    for (reference, item) in [
        (a.to_string(), a),
        (format!("#{a}"), a),
        ("a".to_owned(), a),
        ("demo/a".to_owned(), a),
        (" demo/a\n".to_owned(), a),
        ("epic/b".to_owned(), slashed),
        ("demo/epic/b".to_owned(), slashed),
        ("4711".to_owned(), digits),
    ] {
        assert_eq!(store.resolve_item(&reference).await.unwrap(), item, "{reference}");
    }
    let other = store.add_project(&NewProject::new("shop", ForgeKind::Local, "/shop")).await.unwrap();
    let b = store.create_item(other, &story("a")).await.unwrap().item;
    let error = store.resolve_item("a").await.unwrap_err();
    assert_eq!(error.to_string(), format!("\"a\" names several items: demo/a (#{a}), shop/a (#{b}); say which"));
    assert_eq!(store.resolve_item("shop/a").await.unwrap(), b);

    let said = |reference: &'static str| async move { store.resolve_item(reference).await.unwrap_err().to_string() };
    assert_eq!(said("demo/epc/b").await, "there is no item demo/epc/b; did you mean demo/epic/b?");
    assert!(said("#999999").await.starts_with("there is no item #999999; name it by"));
    assert!(said("#x").await.starts_with("there is no item #x"));
    assert!(said("99999999999999999999").await.starts_with("there is no item 9999"));
    assert_eq!(said("dmo/a").await, "there is no project dmo; did you mean demo?");
}

#[tokio::test]
async fn an_item_shows_everything_that_hangs_on_it() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    scene.pass(item).await;
    scene.run(item, failed(Failure::BuildFailed)).await;
    let shown = scene.store().item(item).await.unwrap();
    assert_eq!((shown.item.phase, shown.item.attempts_used, shown.item.attempts_granted), (Phase::Build, 1, 3));
    assert_eq!(shown.runs.len(), 2);
    assert_eq!(shown.runs[0].detail.as_deref(), Some("it did not work"));
    assert!(shown.runs[1].evidence.is_some());
    let told: Vec<&str> = shown.events.iter().rev().map(|event| event.kind.as_str()).collect();
    assert_eq!(told, ["work.created", "run.started", "work.advanced", "run.started", "work.retrying"]);
    assert_eq!(shown.landing, None);

    for _ in 0..3 {
        scene.pass(item).await;
    }
    let shown = scene.store().item(item).await.unwrap();
    let landing = shown.landing.expect("it merged");
    let Standing::Merged { landing: id, commit, .. } = shown.item.standing else { panic!("{:?}", shown.item.standing) };
    assert_eq!((landing.id, landing.landed_commit), (id, commit));
    let json = serde_json::to_value(scene.store().item(item).await.unwrap()).unwrap();
    assert_eq!(json["standing"]["state"], "merged");
    assert_eq!((&json["phase"], &json["key"]), (&"merged".into(), &"a".into()));
}

#[tokio::test]
async fn a_held_item_finishes_its_run_and_is_then_left_alone() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    let lease = scene.lease(item).await;
    let standing = scene.store().hold(item, "ada", "not before\u{1b}[2J the release").await.unwrap();
    assert!(matches!(standing, Standing::Running { phase: WorkPhase::Spec, .. }), "{standing:?}");
    scene
        .report(
            &lease,
            damascus_core::RunReport::free(damascus_core::Outcome::Pass(damascus_testkit::handlers::proof(
                WorkPhase::Spec,
            ))),
        )
        .await;
    let Standing::Held { phase, by, why, .. } = scene.standing(item).await else { panic!() };
    assert_eq!(
        (phase, by.as_deref(), why.as_deref()),
        (WorkPhase::Build, Some("ada"), Some("not before[2J the release"))
    );
    assert_eq!(scene.store().claim(&scene.request(8)).await.unwrap(), []);

    scene.store().hold(item, "ada", "again").await.unwrap();
    assert!(matches!(
        scene.store().release(item, "ada").await.unwrap(),
        Standing::Ready { phase: WorkPhase::Build, .. }
    ));
    scene.store().release(item, "ada").await.unwrap();
    assert_eq!(
        scene.events(item).await,
        ["work.created", "run.started", "work.held", "work.advanced", "work.released"]
    );
    scene.store().cancel(item, "ada", "").await.unwrap();
    let error = scene.store().hold(item, "ada", "").await.unwrap_err();
    assert_eq!(error.to_string(), format!("demo/a (#{item}) is cancelled and can't be held"));
    assert!(scene.store().hold(item, " \u{7}", "").await.unwrap_err().to_string().starts_with("by: "));
}

#[tokio::test]
async fn a_story_is_revised_until_its_item_ends_and_nothing_else_changes() {
    let scene = Scene::new().await;
    let (open, ended) = (scene.item("open").await, scene.item("ended").await);
    scene.pass(open).await;
    scene.store().cancel(ended, "ada", "").await.unwrap();
    let revised = |item, digit| RevisedStory {
        item,
        title: "New title".to_owned(),
        body: "New text".to_owned(),
        acceptance: Vec::new(),
        source_path: Some("stories/1.md".to_owned()),
        content_sha256: Digest::filled(digit),
    };
    let changed = scene.store().revise_stories(&[revised(open, b'b'), revised(ended, b'b')]).await.unwrap();
    assert_eq!(changed, [open]);
    assert_eq!(
        scene.store().revise_stories(&[revised(open, b'b')]).await.unwrap(),
        [],
        "the same text changes nothing"
    );
    let shown = scene.store().item(open).await.unwrap();
    assert_eq!((shown.item.title.as_str(), shown.item.phase), ("New title", Phase::Build));
    assert_eq!(scene.events(open).await.last().map(String::as_str), Some("work.revised"));

    let keys = ["ended", "gone", "open"].map(str::to_owned);
    let found = scene.store().existing_stories(scene.project, &keys).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (one.item, one.phase, one.started)).collect();
    assert_eq!(found, [(ended, Phase::Cancelled, true), (open, Phase::Build, true)]);
}

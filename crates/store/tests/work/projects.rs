//! Projects and lanes.

use damascus_core::Named;
use damascus_store::StoreError;
use damascus_store::issue::IssueState;
use damascus_store::item::StorySource;
use damascus_store::lane::LaneKind;
use damascus_store::project::{ForgeKind, NewProject};
use serde_json::json;

use crate::scene::Scene;

#[tokio::test]
async fn a_project_comes_with_its_lanes() {
    let scene = Scene::new().await;
    let shop = NewProject { concurrency: Some(3), ..NewProject::new("shop", ForgeKind::Gitea, "team/shop") };
    scene.store().add_project(&shop).await.unwrap();

    let lanes = scene.store().lanes().await.unwrap();
    let shown: Vec<(&str, Option<u32>)> = lanes.iter().map(|lane| (lane.name.as_str(), lane.concurrency)).collect();
    assert_eq!(
        shown,
        [
            ("global", None),
            ("project:demo", None),
            ("project:shop", Some(3)),
            ("agent:claude-code", None),
            ("provider:gateway", None),
            ("landing:demo", Some(1)),
            ("landing:shop", Some(1)),
        ]
    );
    assert!(lanes.iter().all(|lane| lane.open && lane.running == 0));
    assert_eq!(lanes[3].kind, LaneKind::Agent);

    let mut connection = scene.db.connect().await;
    let occupied: Vec<(String, String)> = sqlx::query_as(
        "SELECT pl.phase::text, string_agg(l.name, ' ' ORDER BY l.name) FROM phase_lanes pl JOIN lanes l ON l.id = pl.lane_id
         JOIN projects p ON p.id = pl.project_id WHERE p.name = 'shop' GROUP BY pl.phase ORDER BY pl.phase",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let occupied: Vec<(&str, &str)> = occupied.iter().map(|(phase, lanes)| (phase.as_str(), lanes.as_str())).collect();
    assert_eq!(
        occupied,
        [
            ("spec", "global project:shop provider:gateway"),
            ("build", "agent:claude-code global project:shop"),
            ("review", "global project:shop"),
            ("merge", "global landing:shop project:shop"),
        ]
    );
}

#[tokio::test]
async fn a_name_is_taken_once_and_found_by_name_or_number() {
    let scene = Scene::new().await;
    let store = scene.store();
    let twice = store.add_project(&NewProject::new("demo", ForgeKind::Local, "/elsewhere")).await.unwrap_err();
    assert_eq!(twice.to_string(), "there is a project demo already; take another name");
    let one_wins = NewProject::new("race", ForgeKind::Local, "/race");
    let (a, b) = tokio::join!(store.add_project(&one_wins), store.add_project(&one_wins));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");

    assert_eq!(store.resolve_project("demo").await.unwrap(), scene.project);
    assert_eq!(store.resolve_project(&scene.project.to_string()).await.unwrap(), scene.project);
    assert_eq!(store.resolve_project(&format!("#{}", scene.project)).await.unwrap(), scene.project);
    let unknown = store.project("dmeo\u{1b}[2J").await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no project dmeo[2J; there are demo, race");
    assert_eq!(store.project("dmo").await.unwrap_err().to_string(), "there is no project dmo; did you mean demo?");
}

#[tokio::test]
async fn counts_are_of_what_is_unfinished() {
    let scene = Scene::new().await;
    let (merged, cancelled) = (scene.item("merged").await, scene.item("cancelled").await);
    scene.merge(merged).await;
    scene.store().cancel(cancelled, "ada", "").await.unwrap();
    let running = scene.item("running").await;
    scene.item("queued").await;
    let held = scene.item("held").await;
    scene.store().hold(held, "ada", "").await.unwrap();
    let _lease = scene.lease(running).await;

    let demo = scene.store().project("demo").await.unwrap();
    assert_eq!(
        serde_json::to_value(&demo.open).unwrap(),
        json!({ "total": 3, "running": 1, "queued": 1, "waiting": 1, "by_phase": { "spec": 3 } })
    );
    assert_eq!(scene.store().projects(None).await.unwrap(), [demo]);
    assert_eq!(scene.store().projects(Some("demo")).await.unwrap(), []);
    let lanes = scene.store().lanes().await.unwrap();
    let running: Vec<&str> = lanes.iter().filter(|lane| lane.running == 1).map(|lane| lane.name.as_str()).collect();
    assert_eq!(running, ["global", "project:demo", "provider:gateway"]);
}

#[tokio::test]
async fn a_paused_project_is_not_claimed_from() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    assert!(scene.store().pause_project(scene.project, "ada").await.unwrap());
    assert!(!scene.store().pause_project(scene.project, "ada").await.unwrap(), "it is paused already");
    assert_eq!(scene.store().claim(&scene.request(8)).await.unwrap(), []);
    let text = scene.standing(item).await.explain();
    assert_eq!(text, "is ready for spec, but its project is paused");
    assert!(scene.store().resume_project(scene.project, "ada").await.unwrap());
    assert_eq!(scene.store().claim(&scene.request(8)).await.unwrap().len(), 1);

    let mut connection = scene.db.connect().await;
    let told: Vec<(String, serde_json::Value)> =
        sqlx::query_as("SELECT type, data FROM events_outbox WHERE item_id IS NULL AND project_id = $1 ORDER BY id")
            .bind(scene.project.0)
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let told: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(told, ["project.added", "project.paused", "project.resumed"]);
}

#[tokio::test]
async fn limits_hold_at_once_and_nonsense_is_refused() {
    let scene = Scene::new().await;
    for key in ["a", "b", "c"] {
        scene.item(key).await;
    }
    let store = scene.store();
    store.set_project_concurrency(scene.project, Some(2)).await.unwrap();
    assert_eq!(store.claim(&scene.request(8)).await.unwrap().len(), 2);
    store.set_project_concurrency(scene.project, None).await.unwrap();
    store.set_global_concurrency(Some(2)).await.unwrap();
    assert_eq!(store.global_concurrency().await.unwrap(), Some(2));
    assert_eq!(store.claim(&scene.request(8)).await.unwrap().len(), 0);
    store.set_global_concurrency(None).await.unwrap();
    assert_eq!(store.claim(&scene.request(8)).await.unwrap().len(), 1);

    let error = store.set_global_concurrency(Some(0)).await.unwrap_err();
    assert_eq!(error.to_string(), "concurrency: is 0; between 1 and 100000");
    let error = store.set_lane_concurrency("agent:claude", Some(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "lane", .. }), "{error}");
    assert!(error.to_string().contains("agent:claude-code"), "{error}");
}

#[tokio::test]
async fn a_closed_lane_is_opened_by_hand() {
    let scene = Scene::new().await;
    let item = scene.item("a").await;
    let lease = scene.lease(item).await;
    let refused =
        damascus_core::Outcome::RateLimited { reopen_after_ms: Some(3_600_000), detail: "quota\u{1b}[0m".to_owned() };
    scene.report(&lease, damascus_core::RunReport::free(refused)).await;

    let other = scene.item("b").await;
    let standing = scene.standing(other).await;
    let damascus_store::item::Standing::LaneClosed { lane, reason, .. } = &standing else { panic!("{standing:?}") };
    assert_eq!((lane.as_str(), reason.as_deref()), ("provider:gateway", Some("quota[0m")));
    let lanes = scene.store().lanes().await.unwrap();
    let closed: Vec<&str> = lanes.iter().filter(|lane| !lane.open).map(|lane| lane.name.as_str()).collect();
    assert_eq!(closed, ["provider:gateway"]);

    assert!(scene.store().open_lane("provider:gateway", "ada").await.unwrap());
    assert!(!scene.store().open_lane("provider:gateway", "ada").await.unwrap());
    assert!(matches!(scene.standing(other).await, damascus_store::item::Standing::Ready { .. }));
    assert!(scene.store().lanes().await.unwrap().iter().all(|lane| lane.open && lane.closed_reason.is_none()));
}

#[tokio::test]
async fn the_closed_sets_of_the_database_are_those_of_the_store() {
    fn names<T: Named>() -> Vec<&'static str> {
        T::ALL.iter().map(|value| value.name()).collect()
    }
    let scene = Scene::new().await;
    let mut connection = scene.db.connect().await;
    for (of, expected) in [
        ("forge_kind", names::<ForgeKind>()),
        ("lane_kind", names::<LaneKind>()),
        ("issue_state", names::<IssueState>()),
        ("story_source", names::<StorySource>()),
    ] {
        let labels: Vec<String> = sqlx::query_scalar(
            "SELECT enumlabel::text FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = $1 ORDER BY enumsortorder",
        )
        .bind(of)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(labels, expected, "type {of}");
    }
}

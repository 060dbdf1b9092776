//! Lists of items: filters, pages, and what they cost.

use damascus_core::{ItemId, Phase};
use damascus_store::item::{ItemFilter, NewItem};
use damascus_store::project::{ForgeKind, NewProject};

use crate::scene::{Scene, story};

async fn keys(scene: &Scene, filter: ItemFilter) -> Vec<String> {
    let page = scene.store().items(&filter).await.unwrap();
    assert_eq!(page.next, None);
    page.items.into_iter().map(|item| item.key).collect()
}

#[tokio::test]
async fn filters_choose_and_order() {
    let scene = Scene::new().await;
    let shop = scene.store().add_project(&NewProject::new("shop", ForgeKind::Local, "/shop")).await.unwrap();
    let (a, b, c) = (scene.item("a").await, scene.item("b").await, scene.item("c-50%_off").await);
    scene.item("d").await;
    scene.store().create_item(shop, &story("e")).await.unwrap();
    scene.merge(a).await;
    scene.store().cancel(b, "ada", "").await.unwrap();
    scene.store().hold(c, "ada", "").await.unwrap();

    let all = ItemFilter::default();
    assert_eq!(keys(&scene, all.clone()).await, ["a", "b", "c-50%_off", "d", "e"]);
    assert_eq!(keys(&scene, ItemFilter { newest_first: true, ..all.clone() }).await, ["e", "d", "c-50%_off", "b", "a"]);
    assert_eq!(keys(&scene, ItemFilter { project: Some(shop), ..all.clone() }).await, ["e"]);
    assert_eq!(keys(&scene, ItemFilter::open()).await, ["c-50%_off", "d", "e"]);
    assert_eq!(
        keys(&scene, ItemFilter { project: Some(scene.project), ..ItemFilter::open() }).await,
        ["c-50%_off", "d"]
    );
    let of = |phases: &[Phase]| ItemFilter { phases: phases.to_vec(), ..ItemFilter::default() };
    assert_eq!(keys(&scene, of(&[Phase::Merged])).await, ["a"]);
    assert_eq!(keys(&scene, of(&[Phase::Cancelled])).await, ["b"]);
    assert_eq!(keys(&scene, of(&[Phase::Cancelled, Phase::Spec])).await, ["b", "c-50%_off", "d", "e"]);
    assert_eq!(keys(&scene, of(&[Phase::Merged, Phase::Cancelled])).await, ["a", "b"]);
    assert_eq!(keys(&scene, of(&[Phase::Blocked])).await, [""; 0]);
    assert_eq!(keys(&scene, ItemFilter { held: Some(true), ..all.clone() }).await, ["c-50%_off"]);
    assert_eq!(keys(&scene, ItemFilter { held: Some(false), ..ItemFilter::open() }).await, ["d", "e"]);
    let text = |text: &str| ItemFilter { text: Some(text.to_owned()), ..ItemFilter::default() };
    assert_eq!(keys(&scene, text("0%_O")).await, ["c-50%_off"]);
    assert_eq!(keys(&scene, text("sTORY e")).await, ["e"]);
    assert_eq!(keys(&scene, text("%")).await, ["c-50%_off"]);
    assert_eq!(keys(&scene, text("'; DROP TABLE stories; --")).await, [""; 0]);
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_in_both_directions() {
    let scene = Scene::new().await;
    let new: Vec<NewItem> = (0..23).map(|n| story(&format!("s-{n:02}"))).collect();
    let made: Vec<ItemId> =
        scene.store().create_items(scene.project, &new).await.unwrap().iter().map(|one| one.item).collect();
    scene.store().cancel(made[4], "ada", "").await.unwrap();
    scene.store().hold(made[9], "ada", "").await.unwrap();
    let filters = [
        (ItemFilter::default(), made.clone()),
        (ItemFilter::open(), made.iter().copied().filter(|id| *id != made[4]).collect()),
        (ItemFilter { text: Some("s-1".to_owned()), ..ItemFilter::default() }, made[10..20].to_vec()),
    ];
    for (filter, expected) in filters {
        for newest_first in [false, true] {
            let mut expected = expected.clone();
            if newest_first {
                expected.reverse();
            }
            let mut filter = ItemFilter { newest_first, limit: 4, ..filter.clone() };
            let mut seen = Vec::new();
            loop {
                let page = scene.store().items(&filter).await.unwrap();
                assert!(page.items.len() <= 4);
                seen.extend(page.items.iter().map(|item| item.id));
                let Some(next) = page.next else { break };
                filter.after = Some(next);
            }
            assert_eq!(seen, expected);
        }
    }
}

#[tokio::test]
async fn no_page_is_larger_than_the_largest() {
    let scene = Scene::new().await;
    let new: Vec<NewItem> = (0..501).map(|n| story(&format!("s-{n}"))).collect();
    let made = scene.store().create_items(scene.project, &new).await.unwrap();
    for limit in [0, 10_000] {
        let page = scene.store().items(&ItemFilter { limit, ..ItemFilter::open() }).await.unwrap();
        assert_eq!((page.items.len(), page.next), (500, Some(made[499].item)));
    }
}

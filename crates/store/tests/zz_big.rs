//! scratch
use damascus_core::*;
use damascus_store::*;
use damascus_store::item::*;
#[tokio::test]
async fn big() {
    let store = Store::open_unchecked(ConnectOptions::parse(&std::env::var("BIG").unwrap()).unwrap()).await.unwrap();
    let f = ItemFilter { limit: 50, ..ItemFilter::default() };
    let of = |p: &[Phase]| ItemFilter { phases: p.to_vec(), ..f.clone() };
    let cases = vec![
        ("all", f.clone()), ("all newest", ItemFilter { newest_first: true, ..f.clone() }),
        ("small project", ItemFilter { project: Some(ProjectId(2)), newest_first: true, ..f.clone() }),
        ("open", ItemFilter { limit: 50, ..ItemFilter::open() }),
        ("open of small", ItemFilter { limit: 50, project: Some(ProjectId(2)), ..ItemFilter::open() }),
        ("merged", of(&[Phase::Merged])), ("merged newest", ItemFilter { newest_first: true, ..of(&[Phase::Merged]) }),
        ("cancelled", of(&[Phase::Cancelled])), ("blocked", of(&[Phase::Blocked])),
        ("held", ItemFilter { held: Some(true), ..f.clone() }),
        ("text hit", ItemFilter { text: Some("s-5".into()), ..f.clone() }),
        ("text miss", ItemFilter { text: Some("nothing such".into()), ..f.clone() }),
        ("text open", ItemFilter { text: Some("1005".into()), limit: 50, ..ItemFilter::open() }),
    ];
    for (name, filter) in cases {
        let mut best = u128::MAX;
        let mut n = 0; let mut next = None;
        for _ in 0..7 { let t = std::time::Instant::now(); let p = store.items(&filter).await.unwrap(); n = p.items.len(); next = p.next; best = best.min(t.elapsed().as_micros()); }
        println!("{name}: {n} items, next {next:?}, {best} us");
    }
    macro_rules! time { ($name:literal, $e:expr) => {{ let mut best = u128::MAX; for _ in 0..5 { let t = std::time::Instant::now(); let r = $e.await; best = best.min(t.elapsed().as_micros()); drop(r); } println!("{}: {best} us", $name); }} }
    time!("projects", store.projects(None));
    time!("lanes", store.lanes());
    time!("show", store.item(ItemId(5000)));
    time!("show open", store.item(ItemId(1005000)));
    time!("issues", store.open_issues(&Default::default()));
    time!("gates", store.gates(&damascus_store::gate::GateFilter { limit: 100, ..Default::default() }));
    time!("evaluate nothing", store.evaluate_upstream(&[ItemId(5000)]));
    time!("evaluate 100", store.evaluate_upstream(&(5000..5100).map(ItemId).collect::<Vec<_>>()));
    let t = std::time::Instant::now(); println!("sweep first {:?} {:?}", store.sweep_gates().await.unwrap(), t.elapsed());
    time!("sweep 10k open gates", store.sweep_gates());
    time!("resolve key", store.resolve_item("s-77777"));
    time!("resolve missing", store.resolve_item("s-7777777777"));
    time!("answers", store.answers_of(ItemId(5000)));
    let digest = Digest::filled(b'a');
    let news: Vec<NewItem> = (0..200).map(|n| NewItem { key: format!("n-{}-{n}", t.elapsed().as_nanos()), title: "x".into(), body: "b".into(), acceptance: vec![], source: StorySource::Manual, source_path: None, content_sha256: digest.clone(), priority: None, rank: 0, max_attempts: None, gates: vec![] }).collect();
    let t = std::time::Instant::now(); store.create_items(ProjectId(1), &news).await.unwrap(); println!("create 200: {:?}", t.elapsed());
    let news: Vec<NewItem> = (0..10000).map(|n| NewItem { key: format!("m-{}-{n}", t.elapsed().as_nanos()), gates: if n > 0 {vec![]} else {vec![]}, ..news[0].clone() }).collect();
    let t = std::time::Instant::now(); store.create_items(ProjectId(1), &news).await.unwrap(); println!("create 10000: {:?}", t.elapsed());
    let key = |n: usize| format!("c-{n}-{}", t.elapsed().as_secs() / 1000);
    let chain: Vec<NewItem> = (0..5000).map(|n| NewItem { key: key(n), gates: if n > 0 { vec![damascus_store::gate::NewGate { phase: WorkPhase::Build, waits_for: damascus_store::gate::GateTarget::ItemKey(key(n-1)), deadline: None, origin: "x".into() }] } else { vec![] }, ..news[0].clone() }).collect();
    let t = std::time::Instant::now(); store.create_items(ProjectId(2), &chain).await.unwrap(); println!("create chain of 5000: {:?}", t.elapsed());
}

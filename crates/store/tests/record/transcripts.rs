//! Transcripts: repetition, bounds, following.

use std::sync::Arc;
use std::time::Duration;

use damascus_core::{Failure, RunId};
use damascus_store::transcript::{CHUNK_MAX_BYTES, Chunk, RUN_TRANSCRIPT_MAX_BYTES};
use damascus_store::{Channel, Lease};
use damascus_testkit::scene;

use crate::subject::{execute, handed_back, is_invalid, is_stale, number, specifying};

fn chunk(ordinal: u32, text: &str) -> Chunk {
    Chunk { ordinal, text: text.to_owned() }
}

fn text(chunks: &[Chunk]) -> String {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}

#[tokio::test]
async fn a_reader_goes_on_where_it_stopped_and_hears_of_more() {
    let (scene, _, lease) = specifying().await;
    let store = scene.store();
    assert_eq!(store.transcript(lease.run, None, 10).await.unwrap(), []);
    assert_eq!(store.transcript_head(lease.run).await.unwrap(), None);
    let mut listener = store.listen(&[Channel::Transcripts]).await.unwrap();
    store.append_transcript(&lease, &[chunk(0, "one\n"), chunk(1, ""), chunk(4, "two\n")]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), listener.wait()).await.expect("it is heard").unwrap();
    assert_eq!(store.transcript(lease.run, None, 10).await.unwrap(), [chunk(0, "one\n"), chunk(4, "two\n")]);
    assert_eq!(store.transcript(lease.run, None, 1).await.unwrap(), [chunk(0, "one\n")]);
    store.append_transcript(&lease, &[chunk(5, "three\n")]).await.unwrap();
    assert_eq!(text(&store.transcript(lease.run, Some(0), 10).await.unwrap()), "two\nthree\n");
    assert_eq!(store.transcript(lease.run, Some(5), 10).await.unwrap(), []);
    let head = store.transcript_head(lease.run).await.unwrap().unwrap();
    assert_eq!((head.kept_bytes, head.left_out_bytes, head.last_ordinal), (14, 0, Some(5)));
    assert_eq!((head.phase, head.worker, head.under_way), (lease.phase, scene.worker, true));
    scene.report(&lease, scene::failed(Failure::SpecInvalid)).await;
    assert!(!store.transcript_head(lease.run).await.unwrap().unwrap().under_way);
    assert_eq!(text(&store.transcript(lease.run, None, 10).await.unwrap()), "one\ntwo\nthree\n");
    assert!(is_stale(store.append_transcript(&lease, &[chunk(6, "late\n")]).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_twice_is_kept_once() {
    let (scene, _, lease) = specifying().await;
    let scene = Arc::new(scene);
    let pieces: Vec<Chunk> = (0..20).map(|n| chunk(n, &format!("line {n}\n"))).collect();
    let mut appending = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (scene, lease, pieces) = (Arc::clone(&scene), lease.clone(), pieces.clone());
        appending.spawn(async move { scene.store().append_transcript(&lease, &pieces).await.unwrap() });
    }
    appending.join_all().await;
    scene.store().append_transcript(&lease, &[chunk(19, "another\n")]).await.unwrap();
    assert_eq!(scene.store().transcript(lease.run, None, 1_000).await.unwrap(), pieces);
    let head = scene.store().transcript_head(lease.run).await.unwrap().unwrap();
    assert_eq!(usize::try_from(head.kept_bytes).unwrap(), text(&pieces).len());
    let change = "UPDATE run_transcript_chunks SET body = 'x'";
    assert_eq!(execute(&scene.db, change).await.as_deref(), Some("immutable"));
}

#[tokio::test]
async fn what_does_not_fit_is_told_at_the_end_once() {
    let (scene, _, lease) = specifying().await;
    let store = scene.store();
    let full = "x".repeat(CHUNK_MAX_BYTES);
    let pieces = u32::try_from(RUN_TRANSCRIPT_MAX_BYTES / CHUNK_MAX_BYTES).unwrap();
    for n in 0..pieces {
        store.append_transcript(&lease, &[chunk(n, &full)]).await.unwrap();
    }
    let over = [chunk(pieces, "beyond\n"), chunk(pieces + 1, "more\n")];
    for _ in 0..2 {
        store.append_transcript(&lease, &over).await.unwrap();
    }
    let head = store.transcript_head(lease.run).await.unwrap().unwrap();
    assert_eq!((head.kept_bytes, head.left_out_bytes), (4 << 20, 12));
    assert_eq!(store.transcript(lease.run, Some(pieces - 1), 10).await.unwrap(), [], "it may yet grow");
    handed_back(&scene, &lease).await;
    let rest = store.transcript(lease.run, Some(pieces - 1), 10).await.unwrap();
    assert!(rest.len() == 1 && rest[0].text.contains("[12 more bytes were printed"), "{rest:?}");
    assert_eq!(store.transcript(lease.run, Some(rest[0].ordinal), 10).await.unwrap(), []);
    let all = store.transcript(lease.run, None, 1_000).await.unwrap();
    assert_eq!(all.len() as u32, pieces + 1);
    assert_eq!(number(&scene.db, "SELECT sum(octet_length(body)) FROM run_transcript_chunks").await, 4 << 20);
}

#[tokio::test]
async fn nothing_is_appended_without_the_lease_and_nothing_hostile_at_all() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    let other = Lease { worker: scene.worker("other").await, ..lease.clone() };
    assert!(is_stale(store.append_transcript(&other, &[chunk(0, "x")]).await));
    is_invalid(store.append_transcript(&lease, &[chunk(0, "a\0b")]).await, "NUL");
    is_invalid(store.append_transcript(&lease, &[chunk(0, &"x".repeat(CHUNK_MAX_BYTES + 1))]).await, "at most 262144");
    is_invalid(store.append_transcript(&lease, &[chunk(1, "x"), chunk(0, "x")]).await, "order");
    handed_back(&scene, &lease).await;
    assert!(is_stale(store.append_transcript(&lease, &[chunk(0, "x")]).await));
    assert_eq!(number(&scene.db, "SELECT count(*) FROM run_transcripts").await, 0);
    let again = scene.lease(item).await;
    store.append_transcript(&again, &[chunk(0, "again")]).await.unwrap();
    assert_eq!(text(&store.transcript(again.run, None, 9).await.unwrap()), "again");
    assert_eq!(store.transcript(RunId(9_999), None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn of_two_runs_with_one_id_the_one_that_ended_under_it_is_read() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    store.append_transcript(&lease, &[chunk(0, "ours")]).await.unwrap();
    let stray = format!(
        "WITH head AS (INSERT INTO run_transcripts (run_id, worker_id, item_id, phase, chunks, kept_bytes, last_ordinal)
                       VALUES ({0}, 77, {item}, 'spec', 1, 6, 0))
         INSERT INTO run_transcript_chunks VALUES ({0}, 77, 0, 'theirs')",
        lease.run
    );
    assert_eq!(execute(&scene.db, &stray).await, None);
    assert_eq!(text(&store.transcript(lease.run, None, 9).await.unwrap()), "ours");
    scene.report(&lease, scene::failed(Failure::SpecInvalid)).await;
    assert_eq!(text(&store.transcript(lease.run, None, 9).await.unwrap()), "ours");
}

#[tokio::test]
async fn the_latest_run_is_the_one_under_way_or_else_the_last_that_ended() {
    let (scene, item, lease) = specifying().await;
    let store = scene.store();
    let now = store.run_of(item, None).await.unwrap().unwrap();
    assert_eq!((now.run, now.phase, now.ended.as_deref(), now.verdict), (lease.run, lease.phase, None, None));
    scene.report(&lease, scene::failed(Failure::SpecInvalid)).await;
    let ended = store.run_of(item, None).await.unwrap().unwrap();
    assert_eq!((ended.run, ended.ended.as_deref()), (lease.run, Some("reported")));
    assert!(ended.verdict.is_some());
    let again = scene.lease(item).await;
    assert_eq!(store.run_of(item, None).await.unwrap().unwrap().run, again.run);
    assert_eq!(store.run_of(item, Some(lease.run)).await.unwrap(), Some(ended));
    assert_eq!(store.run_of(scene.item("other").await, Some(lease.run)).await.unwrap(), None);
}

//! Text from outside, in every place that a report brings it to: stored safe and bounded, or refused as a whole.

use damascus_core::{
    CommitId, Digest, Failure, LandingProof, Outcome, Proof, Question, ReviewProof, RunReport, TestCounts,
    TestEvidence, TestReport, WorkPhase, display,
};
use damascus_testkit::Scene;
use damascus_testkit::scene::{report_move, request};

use crate::table;

/// Nul, escapes, overrides, quotes, backslashes, what looks like a parameter, and a mebibyte.
fn hostile() -> String {
    let mut text =
        "\0\u{1b}[2J\u{202e}evil\u{9b}1m'; DROP TABLE runs; -- \\u0000 $1 {{}} \u{10ffff}\r\n\tend ".to_owned();
    text.push_str(&"ü".repeat(524_288));
    text
}

fn is_safe(text: &str, most: usize) {
    assert!(text.chars().all(|c| matches!(c, '\n' | '\t') || !display::is_unsafe(c)), "{:?}", &text[..80]);
    assert!(text.chars().count() <= most, "{} characters, {most} allowed", text.chars().count());
    assert!(text.contains("'; DROP TABLE runs; -- \\u0000 $1 {{}}"), "{:?}", &text[..80]);
}

#[tokio::test]
async fn details_are_safe_and_bounded_in_the_run_the_issue_and_the_lane() {
    let scene = Scene::new().await;
    for (key, outcome) in [
        ("failed", Outcome::Fail { failure: Failure::SpecInvalid, detail: hostile() }),
        ("limited", Outcome::RateLimited { reopen_after_ms: Some(0), detail: hostile() }),
    ] {
        let new = damascus_store::item::NewItem { max_attempts: Some(1), ..damascus_testkit::scene::story(key) };
        let item = scene.store().create_item(scene.project, &new).await.unwrap().item;
        let lease = scene.lease(item).await;
        assert!(scene.report(&lease, RunReport::free(outcome)).await);
    }
    for (detail,) in table::all::<(String,)>(&scene.db, "SELECT detail FROM runs").await {
        is_safe(&detail, 16_000);
    }
    let (question,): (String,) = table::one(&scene.db, "SELECT question FROM human_issues").await;
    is_safe(&question, 8_000);
    let (reason,): (String,) = table::one(&scene.db, "SELECT closed_reason FROM lanes WHERE kind = 'provider'").await;
    is_safe(&reason, 500);
}

#[tokio::test]
async fn questions_are_safe_and_bounded() {
    let scene = Scene::new().await;
    let item = scene.item("s").await;
    let lease = scene.lease(item).await;
    let question = Question {
        text: hostile(),
        options: vec![hostile(), "\u{200b}\0 ".to_owned(), "b".to_owned()],
        default: Some(hostile()),
    };
    let empty = Question { text: " \u{1b}\n".to_owned(), options: Vec::new(), default: None };
    assert!(scene.report(&lease, RunReport::free(Outcome::Ask { first: question, more: vec![empty] })).await);
    let asked: Vec<(String, Vec<String>, Option<String>)> =
        table::all(&scene.db, "SELECT question, options, default_answer FROM human_issues ORDER BY id").await;
    is_safe(&asked[0].0, 8_000);
    assert_eq!(asked[0].1.len(), 2, "an option without text is none");
    is_safe(&asked[0].1[0], 500);
    is_safe(asked[0].2.as_deref().unwrap(), 500);
    assert_eq!(asked[1].0, "(the question is empty)");
}

#[tokio::test]
async fn evidence_that_can_not_be_stored_refuses_the_whole_report() {
    let scene = Scene::new().await;
    let items = scene.items(scene.project, 2).await;
    scene.bring_to(WorkPhase::Merge, &items).await;
    scene.store().set_lane_concurrency("landing:demo", None).await.unwrap();
    let leases = scene.claim(2).await;
    let moves = [report_move(&leases[0], landed_on("main")), report_move(&leases[1], landed_on("ma\0in"))];
    let refused = scene.store().finish_and_claim(&moves, &request(scene.worker, 0)).await.unwrap_err();
    assert!(!refused.retryable(), "{refused:?}");
    assert_eq!(table::number(&scene.db, "SELECT count(*) FROM landings").await, 0);
    assert_eq!(scene.write(&moves[..1]).await.written, items[..1], "what is whole can still be written");
    let strange = report_move(&leases[1], landed_on("m'); --\\\u{1b}ü"));
    assert_eq!(scene.write(&[strange]).await.written, items[1..]);
}

/// A landing on a branch, by a command whose words are hostile but can be stored.
fn landed_on(branch: &str) -> RunReport {
    let counts = TestReport::Counted(TestCounts { passed: 1, failed: 0, skipped: 0 });
    let evidence = TestEvidence {
        command: vec!["sh".to_owned(), "\u{1b}]0;\u{7}'\"\\".to_owned()],
        exit_code: 0,
        head: CommitId::filled(b'a'),
        base: CommitId::filled(b'b'),
        tree: CommitId::filled(b'c'),
        report: counts,
        log_sha256: Digest::filled(b'd'),
        duration_ms: u64::MAX,
    };
    let (head, tree) = (evidence.head.clone(), evidence.tree.clone());
    let review = ReviewProof::new(evidence, counts).unwrap();
    RunReport::free(Outcome::Pass(Proof::Merge(LandingProof::new(review, branch.to_owned(), head, &tree).unwrap())))
}

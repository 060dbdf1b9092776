//! What the audit of landings says of a repository that people do things to.

use damascus_engine::verify::{Audit, audit};
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::Beginning;
use tokio_util::sync::CancellationToken;

use crate::person::Person;
use crate::stage::{DOES_IT, holds_all, scene, settle, story};

async fn audited(scene: &LoopScene, retest: bool) -> Audit {
    let project = scene.store().project("demo").await.expect("the project is there");
    let audited = audit(&scene.workshop, &project, retest, &CancellationToken::new(), |_| {}).await;
    audited.expect("the repository can be read")
}

fn problems(audit: &Audit) -> String {
    audit.faults.iter().map(|fault| format!("{}: {}\n", fault.key, fault.problem)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_holds_on_a_healthy_branch_and_tells_what_people_did_to_it() {
    let scene = scene(Beginning::default(), DOES_IT).await;
    let person = Person::of(&scene);
    let none = audited(&scene, false).await;
    assert!(none.holds() && none.landings == 0 && none.faults.is_empty());
    for key in ["one", "two"] {
        let item = story(&scene, key).await;
        settle(&scene, item).await.stands("merged", 0);
    }
    let healthy = audited(&scene, true).await;
    assert!(healthy.holds(), "{healthy:#?}");
    assert_eq!((healthy.landings, healthy.proven, healthy.retested), (2, 2, 2));
    assert!(healthy.foreign.is_empty());

    let foreign = person.pushes(&[("theirs.txt", Some("theirs\n"))]);
    let told = audited(&scene, false).await;
    assert!(told.holds(), "people may push: {told:#?}");
    assert_eq!(
        told.foreign.iter().map(|one| (&one.commit, one.subject.as_str())).collect::<Vec<_>>(),
        [(&foreign, "By a person")]
    );

    // Back to between the two landings: the second is lost.
    let landings = scene.store().landings(scene.project, None, 10).await.unwrap();
    person.moves("main", &landings[0].landed_commit);
    let back = audited(&scene, true).await;
    assert!(!back.holds());
    assert_eq!((back.landings, back.proven, back.retested, back.faults.len()), (2, 1, 1, 1));
    holds_all(&problems(&back), &["two: commit", landings[1].landed_commit.as_str(), "is not on main any more"]);

    // A rewritten history: neither is there.
    person.moves("main", &scene.first);
    assert_eq!(audited(&scene, false).await.faults.len(), 2);
    person.removes("main");
    let gone = audited(&scene, false).await;
    assert!(!gone.holds());
    holds_all(&problems(&gone), &["the branch main is gone"]);
    std::fs::rename(&scene.repository, scene.folder.path().join("away.git")).unwrap();
    let project = scene.store().project("demo").await.unwrap();
    let unread = audit(&scene.workshop, &project, false, &CancellationToken::new(), |_| {}).await.unwrap_err();
    holds_all(&unread.text(), &["there is no repository at"]);
    std::fs::rename(scene.folder.path().join("away.git"), &scene.repository).unwrap();

    // Put back where it was, all is well again.
    person.moves("main", &foreign);
    assert!(audited(&scene, false).await.holds());
}

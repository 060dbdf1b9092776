//! Work folders: those of the dead are removed, those of the living are not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use damascus_engine::phases::Workshop;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::{Beginning, workshop};

use crate::stage::{DOES_IT, Hooks, heard, scene, script, settle, story};

/// The folders of processes, by name.
fn folders(work: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(work).expect("the work folder").flatten();
    let mut found: Vec<PathBuf> = entries.map(|one| one.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

async fn another(scene: &LoopScene) -> Arc<Workshop> {
    let agent = script(DOES_IT)(&scene.sandbox);
    let effects = Arc::new(Hooks::default());
    workshop(scene.store(), scene.folder.path(), &scene.sandbox, agent, Arc::clone(&scene.model) as _, effects).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = scene(Beginning::default(), DOES_IT).await;
    let work = scene.folder.path().join("home/work");
    let first = folders(&work);
    assert_eq!(first.len(), 1);
    // As a killed process leaves them: a lock that nobody holds, and one that is gone; folders without permissions, links that lead away.
    let precious = scene.folder.path().join("precious.txt");
    std::fs::write(&precious, "precious").unwrap();
    for dead in ["4194305-0", "4194306-0"] {
        let shut = work.join(dead).join("3/tree/shut");
        std::fs::create_dir_all(&shut).unwrap();
        std::fs::write(shut.join("file"), "left").unwrap();
        std::os::unix::fs::symlink(&precious, shut.join("link")).unwrap();
        std::os::unix::fs::symlink(scene.folder.path(), work.join(dead).join("3/tree/away")).unwrap();
        std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    std::fs::write(work.join("4194305-0.lock"), "").unwrap();
    // Many processes that ended in order leave their locks; they must not hide what is to be removed.
    for pid in 5_000_000..5_000_300 {
        std::fs::write(work.join(format!("{pid}-0.lock")), "").unwrap();
    }

    let second = another(&scene).await;
    let now = folders(&work);
    assert!(now.len() == 2 && now.contains(&first[0]), "{now:?}");
    let third = another(&scene).await;
    assert_eq!(folders(&work).len(), 3);
    drop((second, third));
    let _fourth = another(&scene).await;
    let now = folders(&work);
    assert!(now.len() == 2 && now.contains(&first[0]), "those that were dropped are stale: {now:?}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    let item = story(&scene, "goes-on").await;
    settle(&scene, item).await.stands("merged", 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_starts_beside_a_run_takes_nothing_from_it() {
    let hooks = Arc::new(Hooks::default());
    let scene = Arc::new(heard(&hooks, DOES_IT).await);
    let (other, runtime) = (Arc::clone(&scene), tokio::runtime::Handle::current());
    hooks.on("before agent", move || {
        drop(tokio::task::block_in_place(|| runtime.block_on(another(&other))));
    });
    let item = story(&scene, "beside").await;
    settle(&scene, item).await.stands("merged", 0);
    let left = folders(&scene.folder.path().join("home/work"));
    assert_eq!(left.len(), 2, "its own, and that of the other, which a next start removes");
}

//! Projects with recorded stories.

use std::path::Path;

use damascus_adapters::agent::{Recordings, ReplayAgent};
use damascus_core::WorkPhase;
use damascus_store::gate::{GateTarget, NewGate};
use damascus_store::item::NewItem;
use damascus_testkit::LoopScene;
use damascus_testkit::loop_scene::{Beginning, spec};
use damascus_testkit::scene::story;
use serde_json::Value;

/// What a recorded answer of the model is said to cost, in millionths of a US dollar.
pub(crate) const SPEC_MICROUSD: i64 = 1_000;

/// A scene whose worker processes play what is recorded in its folder.
pub(crate) async fn scene(beginning: Beginning) -> LoopScene {
    let scene =
        LoopScene::begin(beginning, |_| std::sync::Arc::new(ReplayAgent::new(Recordings::default().into()))).await;
    std::fs::create_dir(scene.folder.path().join("recorded")).expect("a folder for the recordings");
    scene
}

/// Records the answer of the model for a story.
pub(crate) fn record_spec(scene: &LoopScene, key: &str, spec: &Value) {
    record(scene, &format!("{key}/spec-0.json"), &spec.to_string());
    record(scene, &format!("{key}/spec-0.toml"), &format!("cost_microusd = {SPEC_MICROUSD}\n"));
}

/// Records a file of a build.
pub(crate) fn record_file(scene: &LoopScene, key: &str, build: u32, path: &str, content: &str) {
    record(scene, &format!("{key}/build-{build}/files/{path}"), content);
}

fn record(scene: &LoopScene, path: &str, content: &str) {
    write(&scene.folder.path().join("recorded").join(path), content);
}

fn write(file: &Path, content: &str) {
    std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder in the scene's");
    std::fs::write(file, content).expect("a file in the scene's folder");
}

/// Stories that are right at once (`one`), at the second attempt (`two`), and that wait for `one` (`three`): those of them that are named.
pub(crate) async fn stories(keys: &[&str]) -> LoopScene {
    let scene = scene(Beginning::default()).await;
    let mut items = Vec::new();
    for &key in keys {
        let (file, test) = (format!("{key}.txt"), format!("tests/{key}.sh"));
        record_spec(&scene, key, &spec(&[&file], &test));
        let builds: &[&str] = if key == "two" { &["wrong", "right"] } else { &["right"] };
        for (build, content) in (0..).zip(builds) {
            record_file(&scene, key, build, &test, &format!("grep -qx right {file}\n"));
            record_file(&scene, key, build, &file, &format!("{content}\n"));
        }
        let gates = if key == "three" { vec![after_one()] } else { Vec::new() };
        items.push(NewItem { gates, ..story(key) });
    }
    scene.store().create_items(scene.project, &items).await.expect("the items are new");
    scene
}

fn after_one() -> NewGate {
    NewGate {
        phase: WorkPhase::Spec,
        waits_for: GateTarget::ItemKey("one".to_owned()),
        deadline: None,
        origin: "test".to_owned(),
    }
}

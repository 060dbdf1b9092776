//! The workspace keeps its walls: every crate and every edge between crates is one that the rules list.

use std::path::Path;

use xtask::edges;

#[test]
fn crates_use_only_what_they_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = edges::load(root).unwrap();
    assert!(crates.iter().any(|c| c.name == "damascus-core"), "the workspace was not read: {crates:?}");
    let broken = edges::check(&crates);
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

//! What of a check-out is no longer as it was committed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::world::{World, write};

#[tokio::test]
async fn files_that_were_changed_replaced_or_removed_are_told() {
    for world in World::all().await {
        let base = world.main().await;
        let none: [&str; 0] = [];
        let dir = world.work(&base).await;
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), none);

        // What comes on top, and modes, are nobody's concern.
        write(&dir.join("target/new"), "x");
        write(&dir.join("src/other.rs"), "x");
        fs::set_permissions(dir.join("README.md"), fs::Permissions::from_mode(0o755)).expect("a mode");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), none);

        // The same length.
        write(&dir.join("README.md"), "hellO\n");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), ["README.md"]);
        write(&dir.join("README.md"), "hello\n");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), none);

        fs::remove_file(dir.join("README.md")).expect("a removal");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), ["README.md"]);
        fs::create_dir(dir.join("README.md")).expect("a folder");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), ["README.md"]);

        // The right content, through a link.
        fs::rename(dir.join("src"), dir.join("real")).expect("a move");
        symlink("real", dir.join("src")).expect("a link");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), ["README.md", "src/lib.rs"]);
        fs::remove_file(dir.join("src")).expect("a removal");
        fs::create_dir(dir.join("src")).expect("a folder");
        symlink("../real/lib.rs", dir.join("src/lib.rs")).expect("a link");
        assert_eq!(world.mirror.altered(&base, &dir).await.expect("a look"), ["README.md", "src/lib.rs"]);
    }
}

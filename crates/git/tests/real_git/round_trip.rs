//! A change from the remote through a work folder and back: check-out, snapshot, commit, push, fetch; and how files are written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use damascus_git::{ChangeKind, Expect, GitError, Pushed, Snapshot, SnapshotLimits};

use crate::world::{AT, World, id, link, listing, write};

#[tokio::test]
async fn a_change_goes_from_check_out_to_the_remote_and_back() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        assert_eq!(listing(&dir), ["README.md 644 \"hello\\n\"", "src/", "src/lib.rs 644 \"pub fn a() {}\\n\""]);
        assert_eq!(world.tree(&dir, &base).await, world.mirror.tree_of(&base).await.expect("a tree"));

        write(&dir.join("src/new/deep.rs"), "// new\n");
        write(&dir.join("run.sh"), "#!/bin/sh\n");
        fs::set_permissions(dir.join("run.sh"), fs::Permissions::from_mode(0o711)).expect("a mode");
        fs::set_permissions(dir.join("README.md"), fs::Permissions::from_mode(0o666)).expect("a mode");
        fs::remove_file(dir.join("src/lib.rs")).expect("a removal");
        link("new/deep.rs", &dir.join("src/link"));
        fs::create_dir(dir.join("empty")).expect("a folder");
        let tree = world.tree(&dir, &base).await;

        let commit = world
            .mirror
            .commit(&tree, std::slice::from_ref(&base), "A story\n\nWith a body\n", AT)
            .await
            .expect("a commit");
        let changes = world.mirror.changes(&base, &commit).await.expect("changes");
        let seen: Vec<_> =
            changes.iter().map(|one| (one.path.as_str(), one.kind, one.old_mode, one.new_mode)).collect();
        assert_eq!(
            seen,
            [
                ("run.sh", ChangeKind::Added, 0, 0o100_755),
                ("src/lib.rs", ChangeKind::Deleted, 0o100_644, 0),
                ("src/link", ChangeKind::Added, 0, 0o120_000),
                ("src/new/deep.rs", ChangeKind::Added, 0, 0o100_644),
            ]
        );
        let pushed = world.mirror.push(&commit, "main", Expect::FastForwardOf(base.clone())).await.expect("a push");
        assert_eq!(pushed, Pushed::Done);
        world.mirror.fetch().await.expect("a fetch");
        assert_eq!(world.main().await, commit);
        assert_eq!(world.mirror.parents_of(&commit).await.expect("parents"), std::slice::from_ref(&base));
        assert_eq!(world.mirror.time_of(&commit).await.expect("a time"), AT);
        let log = world.mirror.log(Some(&base), &commit, 10).await.expect("a log");
        assert_eq!(log.len(), 1);
        assert_eq!((log[0].message.as_str(), &log[0].tree), ("A story\n\nWith a body\n", &tree));

        // What git itself makes of it: nothing differs, and nothing is broken.
        let clone = world.clone_of("main");
        assert_eq!(world.plain(&clone, &["status", "--porcelain"]), "");
        world.plain(&world.remote(), &["fsck", "--strict", "--no-dangling"]);
        world.plain(&world.path("mirrors/project.git"), &["fsck", "--strict", "--no-dangling"]);
        assert_eq!(
            world.work(&commit).await.join("src/link").read_link().expect("a link").to_str(),
            Some("new/deep.rs")
        );
    }
}

#[tokio::test]
async fn trees_are_those_that_git_makes() {
    for world in World::all().await {
        // Names around the slash sort differently as files and as folders; a file becomes a folder, and a folder a file.
        let first = [
            ("a/x", "1"),
            ("a-b", "2"),
            ("a.b/y", "3"),
            ("a0", "4"),
            ("turn", "5"),
            ("fold/in/deep", "6"),
            ("ünï/ö", "7"),
        ];
        world.people_push("main", &first);
        world.mirror.fetch().await.expect("a fetch");
        let base = world.main().await;
        let clone = world.clone_of("main");
        let dir = world.work(&base).await;
        for tree in [&clone, &dir] {
            fs::remove_file(tree.join("turn")).expect("a removal");
            write(&tree.join("turn/inside/x"), "8");
            fs::remove_dir_all(tree.join("fold")).expect("a removal");
            write(&tree.join("fold"), "9");
            write(&tree.join("a/x"), "changed");
            fs::remove_dir_all(tree.join("a.b")).expect("a removal");
            fs::set_permissions(tree.join("a0"), fs::Permissions::from_mode(0o755)).expect("a mode");
        }
        let theirs = world.push_all(&clone, "other");
        world.mirror.fetch().await.expect("a fetch");
        assert_eq!(world.tree(&dir, &base).await, world.mirror.tree_of(&theirs).await.expect("a tree"));

        // All gone: the empty tree.
        for entry in fs::read_dir(&dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("a removal");
        }
        assert_eq!(world.tree(&dir, &base).await.as_str(), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    }
}

#[tokio::test]
async fn the_same_arguments_give_the_same_commit() {
    for world in World::all().await {
        let base = world.main().await;
        let tree = world.mirror.tree_of(&base).await.expect("a tree");
        let once = world.mirror.commit(&tree, std::slice::from_ref(&base), "same", AT).await.expect("a commit");
        let twice = world.mirror.commit(&tree, std::slice::from_ref(&base), "same", AT).await.expect("a commit");
        let later = world.mirror.commit(&tree, std::slice::from_ref(&base), "same", AT + 1).await.expect("a commit");
        assert_eq!(once, twice);
        assert_ne!(once, later);
        // Also over versions of git, and next year: the root commit of the empty tree.
        let empty = id("4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        let dir = world.work(&base).await;
        fs::remove_dir_all(dir.join("src")).expect("a removal");
        fs::remove_file(dir.join("README.md")).expect("a removal");
        assert_eq!(world.tree(&dir, &base).await, empty);
        let root = world.mirror.commit(&empty, &[], "root\n", AT).await.expect("a commit");
        assert_eq!(root.as_str(), "b324a6ad5d2a4085780f451e9c1f408b1f0b32b7");
        assert!(world.mirror.commit(&empty, &[], "a\0b", AT).await.is_err());
        assert!(world.mirror.commit(&empty, &[], "a", -1).await.is_err());
    }
}

#[tokio::test]
async fn only_the_ignore_rules_of_the_base_count() {
    for world in World::all().await {
        let clone = world.clone_of("main");
        write(&clone.join(".gitignore"), "target/\n*.log\n!keep.log\n");
        write(&clone.join("sub/.gitignore"), "/local\n");
        write(&clone.join("tracked.log"), "tracked although it matches\n");
        write(&clone.join("target/tracked.txt"), "tracked in an ignored folder\n");
        world.push_all(&clone, "main");
        world.mirror.fetch().await.expect("a fetch");
        let base = world.main().await;
        let dir = world.work(&base).await;
        // The worker hides its own source and shows a build product; neither works.
        write(&dir.join(".gitignore"), "src/\nsecret*\n");
        write(&dir.join("src/.gitignore"), "*\n");
        write(&dir.join("src/evil.rs"), "shown");
        write(&dir.join("secret.txt"), "shown");
        write(&dir.join("x.log"), "ignored");
        write(&dir.join("keep.log"), "shown");
        write(&dir.join("sub/local"), "ignored");
        write(&dir.join("target/debug/.git/config"), "not even looked at");
        write(&dir.join("target/tracked.txt"), "changed");
        fs::remove_file(dir.join("tracked.log")).expect("a removal");
        let tree = world.tree(&dir, &base).await;
        let commit = world.mirror.commit(&tree, std::slice::from_ref(&base), "x", AT).await.expect("a commit");
        let changes = world.mirror.changes(&base, &commit).await.expect("changes");
        let paths: Vec<_> = changes.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                ".gitignore",
                "keep.log",
                "secret.txt",
                "src/.gitignore",
                "src/evil.rs",
                "target/tracked.txt",
                "tracked.log"
            ]
        );
    }
}

#[tokio::test]
async fn an_overlay_restores_paths_whatever_lies_there() {
    for world in World::all().await {
        let base = world
            .people_push("main", &[("tests/a.rs", "a"), ("tests/deep/b.rs", "b"), ("tests/c.rs", "c"), ("keep", "k")]);
        world.mirror.fetch().await.expect("a fetch");
        let outside = world.path("outside");
        write(&outside.join("a.rs"), "precious");
        write(&outside.join("gone.rs"), "precious");
        let dir = world.work(&base).await;
        // A symlink for a folder, a folder for a file, a file for a folder, a link for a file, and something new.
        fs::remove_dir_all(dir.join("tests")).expect("a removal");
        link(&outside.display().to_string(), &dir.join("tests"));
        write(&dir.join("keep"), "changed");
        let paths = ["tests/a.rs", "tests/deep/b.rs", "tests/gone.rs", "tests/c.rs"].map(str::to_owned);
        world.mirror.overlay(&base, &paths, &dir).await.expect("an overlay");
        let expected =
            ["tests/", "tests/a.rs 644 \"a\"", "tests/c.rs 644 \"c\"", "tests/deep/", "tests/deep/b.rs 644 \"b\""];
        let tests =
            |dir: &std::path::Path| listing(dir).into_iter().filter(|one| one.starts_with("tests")).collect::<Vec<_>>();
        assert_eq!(tests(&dir), expected);
        assert_eq!(listing(&outside), ["a.rs 644 \"precious\"", "gone.rs 644 \"precious\""]);

        fs::remove_dir_all(dir.join("tests/deep")).expect("a removal");
        write(&dir.join("tests/deep"), "a file for a folder");
        fs::remove_file(dir.join("tests/a.rs")).expect("a removal");
        write(&dir.join("tests/a.rs/x/y"), "a folder for a file");
        fs::remove_file(dir.join("tests/c.rs")).expect("a removal");
        link(&outside.join("a.rs").display().to_string(), &dir.join("tests/c.rs"));
        write(&dir.join("tests/gone.rs"), "new");
        world.mirror.overlay(&base, &paths, &dir).await.expect("an overlay");
        assert_eq!(tests(&dir), expected);
        assert_eq!(listing(&outside), ["a.rs 644 \"precious\"", "gone.rs 644 \"precious\""]);
        assert_eq!(fs::read_to_string(dir.join("keep")).expect("a file"), "changed", "not asked for");

        // A whole folder: exactly what the commit has.
        write(&dir.join("tests/extra.rs"), "x");
        world.mirror.overlay(&base, &["tests".to_owned()], &dir).await.expect("an overlay");
        assert_eq!(tests(&dir), expected);

        for bad in ["../x", "/etc/passwd", ".git/config", "a/../../b", ""] {
            assert!(world.mirror.overlay(&base, &[bad.to_owned()], &dir).await.is_err(), "{bad}");
        }
    }
}

#[tokio::test]
async fn blobs_and_paths_are_read_within_bounds() {
    for world in World::all().await {
        let commit = world.people_push("main", &[("big", &"x".repeat(5_000)), ("small", "s"), ("new\nline", "n")]);
        let clone = world.clone_of("main");
        link("small", &clone.join("link"));
        let commit = {
            let _ = commit;
            world.push_all(&clone, "main")
        };
        world.mirror.fetch().await.expect("a fetch");
        let read = |path: &'static str, max| {
            let (mirror, commit) = (world.mirror.clone(), commit.clone());
            async move { mirror.read(&commit, path, max).await }
        };
        assert_eq!(read("small", 1).await.expect("a read").as_deref(), Some(&b"s"[..]));
        assert_eq!(read("new\nline", 9).await.expect("a read").as_deref(), Some(&b"n"[..]));
        for absent in ["nothing", "src", "link", "small/x", "s*", ":(top)small"] {
            assert_eq!(read(absent, 9).await.expect("a read"), None, "{absent}");
        }
        assert!(matches!(read("big", 4_999).await, Err(GitError::TooMuch { .. })));
        assert!(matches!(read("../x", 9).await, Err(GitError::BadName { .. })));

        let entries = world.mirror.list(&commit).await.expect("a list");
        let ids: Vec<_> = entries.iter().map(|entry| entry.blob.clone()).collect();
        let blobs = world.mirror.blobs(&ids, 4_999).await.expect("blobs");
        let seen: Vec<_> = entries
            .iter()
            .zip(&blobs)
            .map(|(entry, blob)| (entry.path.as_str(), entry.size, blob.as_ref().map(Vec::len)))
            .collect();
        assert_eq!(
            seen,
            [
                ("README.md", 6, Some(6)),
                ("big", 5_000, None),
                ("link", 5, Some(5)),
                ("new\nline", 1, Some(1)),
                ("small", 1, Some(1)),
                ("src/lib.rs", 14, Some(14)),
            ]
        );
        let unknown = id(&"1".repeat(40));
        assert!(matches!(world.mirror.blobs(std::slice::from_ref(&unknown), 1).await, Err(GitError::NoObject { .. })));
        assert!(matches!(world.mirror.tree_of(&unknown).await, Err(GitError::NoObject { .. })));
        assert!(matches!(world.mirror.contains(&commit, &unknown).await, Err(GitError::NoObject { .. })));
        assert!(matches!(world.mirror.tree_of(&ids[0]).await, Err(GitError::NoObject { .. })), "a blob is no commit");
    }
}

#[tokio::test]
async fn limits_refuse_what_is_too_much() {
    for world in World::all().await {
        let base = world.people_push("main", &[("large", &"x".repeat(3_000))]);
        world.mirror.fetch().await.expect("a fetch");
        let limits = SnapshotLimits { max_files: 3, max_bytes: 2_500, max_file_bytes: 1_000 };
        let dir = world.work(&base).await;
        let snapshot = |limits| {
            let (mirror, dir, base) = (world.mirror.clone(), dir.clone(), base.clone());
            async move { mirror.snapshot(&dir, &base, limits).await.expect("a snapshot") }
        };
        assert!(
            matches!(snapshot(limits).await, Snapshot::Tree(_)),
            "a large file that is as committed does not count"
        );

        write(&dir.join("large"), &"y".repeat(3_000));
        let reason = |found: Snapshot| match found {
            Snapshot::Refused(why) => why[0].reason.clone(),
            Snapshot::Tree(_) => String::new(),
        };
        assert!(reason(snapshot(limits).await).contains("limit is 1000"));
        write(&dir.join("large"), &"x".repeat(3_000));
        for name in ["a", "b", "c"] {
            write(&dir.join(name), &name.repeat(900));
        }
        assert!(reason(snapshot(limits).await).contains("2500 bytes together"));
        write(&dir.join("c"), "");
        assert!(matches!(snapshot(limits).await, Snapshot::Tree(_)));
        write(&dir.join("d"), "");
        assert!(reason(snapshot(limits).await).contains("more than 3 files"));
        fs::remove_file(dir.join("d")).expect("a removal");
        // A terabyte that takes no room is not read.
        fs::File::create(dir.join("c")).expect("a file").set_len(1 << 40).expect("a length");
        assert!(reason(snapshot(limits).await).contains("1099511627776 bytes"));
    }
}

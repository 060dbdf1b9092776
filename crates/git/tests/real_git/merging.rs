//! Merges, differences and histories.

use damascus_git::{ChangeKind, Merged};

use crate::world::{AT, World, link, write};

#[tokio::test]
async fn merges_are_clean_or_name_what_clashes() {
    for world in World::all().await {
        let base = world.people_push("main", &[("one", "1\n"), ("two", "2\n"), ("moved", "a\nb\nc\nd\ne\nf\n")]);
        world.mirror.fetch().await.expect("a fetch");
        let ours = world.change(&base, &[("one", "ours\n"), ("new", "n\n")], "ours").await;
        let theirs = world.change(&base, &[("two", "theirs\n")], "theirs").await;
        let Merged::Tree(tree) = world.mirror.merge(&ours, &theirs).await.expect("a merge") else {
            unreachable!("clean")
        };
        let merged = world.mirror.commit(&tree, &[ours.clone(), theirs.clone()], "merged", AT).await.expect("a commit");
        for (path, text) in [("one", "ours\n"), ("two", "theirs\n"), ("new", "n\n")] {
            assert_eq!(world.mirror.read(&merged, path, 99).await.expect("a read").as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(world.mirror.merge_base(&ours, &theirs).await.expect("a base"), Some(base.clone()));
        assert!(world.mirror.contains(&merged, &theirs).await.expect("an answer"));
        assert!(!world.mirror.contains(&ours, &theirs).await.expect("an answer"));
        // The first parents only, and nothing that the base has.
        let log = world.mirror.log(Some(&base), &merged, 10).await.expect("a log");
        assert_eq!(log.iter().map(|one| one.message.as_str()).collect::<Vec<_>>(), ["merged", "ours"]);
        assert_eq!(log[0].parents, [ours.clone(), theirs]);
        assert_eq!(world.mirror.log(None, &merged, 2).await.expect("a log").len(), 2);

        let other = world.change(&base, &[("one", "other\n"), ("new", "m\n"), ("two", "x\n")], "other").await;
        let clash = world.mirror.merge(&ours, &other).await.expect("a merge");
        assert_eq!(clash, Merged::Conflict(vec!["new".to_owned(), "one".to_owned()]));

        // A move on one side and a change on the other go together; a new file in a folder that moved is a question, not a guess.
        let dir = world.work(&base).await;
        std::fs::rename(dir.join("moved"), dir.join("there")).expect("a rename");
        let tree = world.tree(&dir, &base).await;
        let moved = world.mirror.commit(&tree, std::slice::from_ref(&base), "moved", AT).await.expect("a commit");
        let changed = world.change(&base, &[("moved", "a\nb\nc\nd\ne\nF\n")], "changed").await;
        let Merged::Tree(both) = world.mirror.merge(&moved, &changed).await.expect("a merge") else {
            unreachable!("clean")
        };
        let both = world.mirror.commit(&both, &[moved, changed], "both", AT).await.expect("a commit");
        assert_eq!(
            world.mirror.read(&both, "there", 99).await.expect("a read").as_deref(),
            Some(&b"a\nb\nc\nd\ne\nF\n"[..])
        );
        assert_eq!(world.mirror.read(&both, "moved", 99).await.expect("a read"), None);
        let dir = world.work(&base).await;
        std::fs::rename(dir.join("src"), dir.join("lib")).expect("a rename");
        let tree_of_moved = world.tree(&dir, &base).await;
        let folder =
            world.mirror.commit(&tree_of_moved, std::slice::from_ref(&base), "moved", AT).await.expect("a commit");
        let inside = world.change(&base, &[("src/new.rs", "new")], "inside").await;
        let clash = world.mirror.merge(&folder, &inside).await.expect("a merge");
        assert_eq!(clash, Merged::Conflict(vec!["lib/new.rs".to_owned()]));

        // No common history at all.
        let root = world.mirror.commit(&tree, &[], "root", AT).await.expect("a commit");
        assert_eq!(world.mirror.merge_base(&root, &base).await.expect("an answer"), None);
        assert!(world.mirror.merge(&root, &base).await.is_err());
    }
}

#[tokio::test]
async fn a_union_driver_in_the_tree_does_not_settle_a_conflict() {
    for world in World::all().await {
        let base = world.people_push("main", &[(".gitattributes", "* merge=union\n"), ("one", "1\n")]);
        world.mirror.fetch().await.expect("a fetch");
        let ours = world.change(&base, &[("one", "ours\n")], "ours").await;
        let theirs = world.change(&base, &[("one", "theirs\n")], "theirs").await;
        let clash = world.mirror.merge(&ours, &theirs).await.expect("a merge");
        assert_eq!(clash, Merged::Conflict(vec!["one".to_owned()]));
        // The control: where git reads the attributes, it does settle it.
        let clone = world.clone_of("main");
        world.mirror.push(&ours, "ours", damascus_git::Expect::Absent).await.expect("a push");
        world.mirror.push(&theirs, "theirs", damascus_git::Expect::Absent).await.expect("a push");
        world.plain(&clone, &["fetch", "-q", "origin"]);
        world.plain(&clone, &["checkout", "-q", "origin/ours"]);
        world.plain(&clone, &["merge", "-q", "-m", "m", "origin/theirs"]);
        assert_eq!(std::fs::read_to_string(clone.join("one")).expect("a file"), "ours\ntheirs\n");
    }
}

#[tokio::test]
async fn a_difference_is_cut_at_a_line() {
    for world in World::all().await {
        let base = world.main().await;
        let lines: String = (0..2_000).map(|n| format!("line {n} é\n")).collect();
        let commit = world.change(&base, &[("long", &lines)], "long").await;
        let (whole, cut) = world.mirror.diff(&base, &commit, 1 << 20).await.expect("a difference");
        assert!(!cut && whole.contains("+line 1999 é\n") && whole.starts_with("diff --git a/long b/long\n"), "{whole}");
        let (part, cut) = world.mirror.diff(&base, &commit, 1_000).await.expect("a difference");
        assert!(
            cut && part.len() <= 1_000 && part.len() > 900 && part.ends_with('\n') && whole.starts_with(&part),
            "{part}"
        );
        let (exact, cut) = world.mirror.diff(&base, &commit, whole.len()).await.expect("a difference");
        assert!(!cut && exact == whole);
        assert_eq!(world.mirror.diff(&base, &base, 10).await.expect("a difference"), (String::new(), false));
    }
}

#[tokio::test]
async fn a_file_that_becomes_a_symlink_changes_its_type() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        std::fs::remove_file(dir.join("README.md")).expect("a removal");
        link("src/lib.rs", &dir.join("README.md"));
        write(&dir.join("src/lib.rs"), "changed");
        let tree = world.tree(&dir, &base).await;
        let commit = world.mirror.commit(&tree, std::slice::from_ref(&base), "x", AT).await.expect("a commit");
        let changes = world.mirror.changes(&base, &commit).await.expect("changes");
        let seen: Vec<_> = changes.iter().map(|one| (one.path.as_str(), one.kind, one.new_mode)).collect();
        assert_eq!(
            seen,
            [("README.md", ChangeKind::TypeChanged, 0o120_000), ("src/lib.rs", ChangeKind::Modified, 0o100_644)]
        );
        assert!(changes[0].old_blob.is_some() && changes[0].new_blob != changes[0].old_blob);
    }
}

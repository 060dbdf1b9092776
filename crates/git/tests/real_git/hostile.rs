//! Trees that attack: whatever lies in a work folder or in the remote's tree, none of it runs, nothing outside is touched, and nothing is
//! left out in silence. Each attack has a control that shows that it works against plain git in a careless worktree.

#![expect(clippy::expect_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use damascus_git::{Expect, GitError, MAX_REFUSALS, Pushed};

use crate::world::{AT, World, id, link, listing, try_plain, write};

/// A configuration that runs the attacker's program in every way that git has.
fn evil_config(attack: &Path) -> String {
    let attack = attack.display();
    format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfsmonitor = {attack}\n\thooksPath = hooks\n\tsshCommand = {attack}\n\
         \teditor = {attack}\n\tpager = {attack}\n[filter \"evil\"]\n\tclean = {attack}\n\tsmudge = {attack}\n\trequired = true\n\
         [diff]\n\texternal = {attack}\n[diff \"evil\"]\n\ttextconv = {attack}\n\tcommand = {attack}\n[merge \"evil\"]\n\tdriver = {attack}\n\
         [gpg]\n\tprogram = {attack}\n[commit]\n\tgpgSign = true\n[credential]\n\thelper = {attack}\n[uploadpack]\n\tpackObjectsHook = {attack}\n"
    )
}

/// Makes a folder a repository that attacks whoever runs git in it.
fn plant_repository(world: &World, dir: &Path, attack: &Path) {
    world.plain(dir, &["init", "-q"]);
    write(&dir.join(".git/config"), &evil_config(attack));
    write(&dir.join(".gitattributes"), "* filter=evil diff=evil merge=evil\n");
    for hook in ["pre-commit", "post-checkout", "post-merge", "reference-transaction", "post-index-change", "pre-push"]
    {
        write(&dir.join(".git/hooks").join(hook), &format!("#!/bin/sh\n{} </dev/null\n", attack.display()));
        fs::set_permissions(dir.join(".git/hooks").join(hook), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

#[tokio::test]
async fn control_plain_git_in_such_a_folder_runs_the_attack() {
    for world in World::all().await {
        let (attack, mark) = world.attacker();
        let vectors: [&[&str]; 4] = [&["status"], &["add", "-A"], &["diff", "HEAD"], &["checkout", "-q", "-b", "x"]];
        for args in vectors {
            let clone = world.clone_of("main");
            write(&clone.join("README.md"), "changed\n");
            plant_repository(&world, &clone, &attack);
            try_plain(&world.program, &clone, args);
            assert!(mark.exists(), "git {args:?} did not run the attack: these tests would prove nothing");
            fs::remove_file(&mark).expect("a removal");
        }
    }
}

#[tokio::test]
async fn nothing_that_a_worker_planted_runs() {
    for world in World::all().await {
        let (attack, mark) = world.attacker();
        let base = world.main().await;
        let dir = world.work(&base).await;
        plant_repository(&world, &dir, &attack);
        fs::create_dir(dir.join("src/nested")).expect("a folder");
        plant_repository(&world, &dir.join("src/nested"), &attack);
        let mut refusals = world.refusals(&dir, &base).await;
        assert!(refusals.remove(0).starts_with(".git: a name that some file system takes for `.git`"));
        assert!(refusals.remove(0).starts_with("src/nested/.git: "));
        assert_eq!(refusals, [""; 0]);
        // Also when the folders are gone and only what git reads from the tree is left.
        fs::remove_dir_all(dir.join(".git")).expect("a removal");
        fs::remove_dir_all(dir.join("src/nested/.git")).expect("a removal");
        let text = "* text eol=crlf ident filter=evil diff=evil merge=evil working-tree-encoding=UTF-16 export-subst\n";
        write(&dir.join(".gitattributes"), text);
        write(&dir.join("src/lib.rs"), "$Id$ $Format:%H$\r\nmixed\nends\r");
        write(&dir.join(".gitmodules"), "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c x\n\tupdate = !touch x\n");
        write(&dir.join(".lfsconfig"), "[lfs]\n\turl = ext::x\n");
        let tree = world.tree(&dir, &base).await;
        let commit = world.mirror.commit(&tree, std::slice::from_ref(&base), "planted", AT).await.expect("a commit");
        world.mirror.diff(&base, &commit, 1 << 20).await.expect("a difference");
        let other = world.change(&base, &[("src/lib.rs", "other\n")], "other").await;
        world.mirror.merge(&commit, &other).await.expect("a merge");
        assert_eq!(
            world.mirror.push(&commit, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"),
            Pushed::Done
        );
        world.mirror.fetch().await.expect("a fetch");
        // The bytes are the same on the way in and out, whatever the attributes say.
        let again = world.work(&commit).await;
        assert_eq!(fs::read(again.join("src/lib.rs")).expect("a file"), b"$Id$ $Format:%H$\r\nmixed\nends\r");
        assert_eq!(listing(&again), listing(&dir));
        assert_eq!(world.tree(&again, &commit).await, tree);
        assert!(!mark.exists(), "the attack ran");
    }
}

#[tokio::test]
async fn a_remote_whose_configuration_attacks_is_only_served_from() {
    for world in World::all().await {
        let (attack, mark) = world.attacker();
        let base = world.main().await;
        let clone = world.clone_of("main");
        write(&clone.join(".gitattributes"), "* filter=evil diff=evil merge=evil\n");
        let theirs = world.push_all(&clone, "main");
        // A remote that is not bare, in which somebody else's tools may have written.
        let config = format!(
            "{}[remote \"origin\"]\n\turl = ext::{} x\n\tpromisor = true\n\tuploadpack = {}\n[extensions]\n\tpartialClone = origin\n",
            evil_config(&attack),
            attack.display(),
            attack.display()
        );
        write(&clone.join(".git/config"), &config);
        let mirror = damascus_git::Mirror::open(
            world.git.clone(),
            world.path("mirrors/other.git"),
            damascus_git::Remote::Local(clone.clone()),
        )
        .await
        .expect("a mirror");
        mirror.fetch().await.expect("a fetch");
        assert_eq!(mirror.tip("main").await.expect("a look"), Some(theirs.clone()));
        mirror.checkout(&theirs, &world.path("out")).await.expect("a check-out");
        mirror.diff(&base, &theirs, 9_999).await.expect("a difference");
        mirror.keep("x", &theirs).await.expect("kept");
        assert!(!mark.exists(), "the attack ran");
        // A push there is the remote's own business: its hooks and its filters are its protection. It says no to a checked-out branch.
        let ours = world.change(&base, &[("a", "b")], "ours").await;
        world.mirror.push(&ours, "ours", Expect::Absent).await.expect("a push");
        try_plain(&world.program, &clone, &["status"]);
        assert!(mark.exists(), "the control: plain git there does run it");
    }
}

#[tokio::test]
async fn every_spelling_of_a_repository_is_refused_at_any_depth() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        let spellings = [
            ".git",
            ".GIT",
            ".gIt",
            ".git.",
            ".git ",
            "git~1",
            "GIT~1",
            ".git::$INDEX_ALLOCATION",
            ".g\u{200c}it",
            "a\\.git",
        ];
        for (number, name) in spellings.iter().enumerate() {
            let folder = dir.join(format!("deep/{number}"));
            if number % 2 == 0 {
                write(&folder.join(name), "gitdir: /tmp/elsewhere\n");
            } else {
                write(&folder.join(name).join("config"), "x");
            }
        }
        link("/tmp", &dir.join("src/.git"));
        let refusals = world.refusals(&dir, &base).await;
        assert_eq!(refusals.len(), spellings.len() + 1, "{refusals:#?}");
        assert!(refusals.iter().all(|one| one.contains("takes for `.git`")), "{refusals:#?}");
        // Names that only look alike are fine.
        for name in ["deep", "src/.git"] {
            let path = dir.join(name);
            if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir_all(path) }.expect("a removal");
        }
        write(&dir.join(".github/workflows/x.yml"), "x");
        write(&dir.join("git~2"), "x");
        world.tree(&dir, &base).await;
    }
}

#[tokio::test]
async fn what_is_no_honest_file_is_refused() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        link("/etc/shadow", &dir.join("absolute"));
        link("../../outside", &dir.join("src/out"));
        link("src/../../outside", &dir.join("winding"));
        link("other", &dir.join("src/.gitattributes"));
        fs::remove_file(dir.join("README.md")).expect("a removal");
        link("/etc/passwd", &dir.join("README.md"));
        write(&dir.join("setuid"), "x");
        fs::set_permissions(dir.join("setuid"), fs::Permissions::from_mode(0o4755)).expect("a mode");
        write(&dir.join("setgid"), "x");
        fs::set_permissions(dir.join("setgid"), fs::Permissions::from_mode(0o2755)).expect("a mode");
        assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().expect("mkfifo").success());
        let _socket = std::os::unix::net::UnixListener::bind(dir.join("socket")).expect("a socket");
        write(&dir.join("new\nline"), "x");
        write(&dir.join("esc\u{1b}[31m"), "x");
        write(&dir.join("over\u{202e}ride"), "x");
        fs::write(dir.join(std::ffi::OsStr::from_bytes(b"bytes\xff")), "x").expect("a file");
        let refusals = world.refusals(&dir, &base).await;
        let expected = [
            "README.md: a symlink to an absolute path",
            "absolute: a symlink to an absolute path",
            "bytes\\xff: a new name that is not UTF-8, or has control or invisible characters",
            "esc\\u{1b}[31m: a new name that is not UTF-8, or has control or invisible characters",
            "fifo: neither a file, a folder nor a symlink (a fifo, socket or device)",
            "new\\nline: a new name that is not UTF-8, or has control or invisible characters",
            "over\\u{202e}ride: a new name that is not UTF-8, or has control or invisible characters",
            "setgid: a setuid or setgid file",
            "setuid: a setuid or setgid file",
            "socket: neither a file, a folder nor a symlink (a fifo, socket or device)",
            "src/.gitattributes: a symlink with a name that git reads itself",
            "src/out: a symlink that leads out of the tree",
            "winding: a symlink whose target has `..` after a name",
        ];
        assert_eq!(refusals, expected);
    }
}

#[tokio::test]
async fn refusals_depth_and_number_are_bounded() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        for n in 0..200 {
            link("/etc/shadow", &dir.join(format!("{n}")));
        }
        assert_eq!(world.refusals(&dir, &base).await.len(), MAX_REFUSALS);
        let dir = world.work(&base).await;
        write(&dir.join("d/".repeat(200)).join("x"), "x");
        let refusals = world.refusals(&dir, &base).await;
        assert!(refusals.len() == 1 && refusals[0].ends_with("folders lie more than 100 deep"), "{refusals:?}");
        let dir = world.work(&base).await;
        for n in 0..5_001 {
            fs::write(dir.join(format!("many-{n}")), "").expect("a file");
        }
        let refusals = world.refusals(&dir, &base).await;
        assert!(
            refusals.len() == 1 && refusals[0].ends_with("more than 5000 files are new or changed"),
            "{refusals:?}"
        );
    }
}

#[tokio::test]
async fn a_file_that_nobody_may_read_is_not_left_out() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.work(&base).await;
        write(&dir.join("locked/inner"), "x");
        for (path, mode) in [("README.md", 0), ("locked/inner", 0), ("locked", 0)] {
            fs::set_permissions(dir.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let tree = world.tree(&dir, &base).await;
        let commit = world.mirror.commit(&tree, std::slice::from_ref(&base), "x", AT).await.expect("a commit");
        let changes = world.mirror.changes(&base, &commit).await.expect("changes");
        assert_eq!(changes.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["locked/inner"]);
        fs::set_permissions(dir.join("locked"), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

#[tokio::test]
async fn submodules_stay_as_they_are() {
    for world in World::all().await {
        let clone = world.clone_of("main");
        let base = world.main().await;
        world.plain(&clone, &["update-index", "--add", "--cacheinfo", &format!("160000,{base},libs/sub")]);
        world.plain(&clone, &["commit", "-q", "-m", "a submodule"]);
        world.plain(&clone, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
        world.mirror.fetch().await.expect("a fetch");
        let base = world.main().await;
        let dir = world.work(&base).await;
        assert!(listing(&dir).contains(&"libs/sub/".to_owned()), "an empty folder stands for it");
        write(&dir.join("libs/a"), "x");
        let tree = world.tree(&dir, &base).await;
        let commit = world.mirror.commit(&tree, std::slice::from_ref(&base), "x", AT).await.expect("a commit");
        assert_eq!(world.mirror.changes(&base, &commit).await.expect("changes").len(), 1, "the submodule is unchanged");
        assert!(world.mirror.list(&commit).await.expect("a list").iter().all(|entry| entry.path != "libs/sub"));

        write(&dir.join("libs/sub/.git"), "gitdir: /tmp/x\n");
        assert!(world.refusals(&dir, &base).await[0].starts_with("libs/sub: a submodule has files in it"));
        fs::remove_dir_all(dir.join("libs/sub")).expect("a removal");
        assert!(world.refusals(&dir, &base).await[0].starts_with("libs/sub: a submodule was removed"));
        write(&dir.join("libs/sub"), "x");
        assert!(world.refusals(&dir, &base).await[0].starts_with("libs/sub: something else is in the place"));
    }
}

/// Makes a tree object in the remote from `mode kind id name`, without git's checks, and a branch of it.
fn raw_branch(world: &World, branch: &str, entries: &[(&str, &str, &[u8])]) {
    let remote = world.remote();
    let mut content = Vec::new();
    for (mode, id, name) in entries {
        content.extend_from_slice(format!("{mode} ").as_bytes());
        content.extend_from_slice(name);
        content.push(0);
        content.extend((0..20).map(|n| u8::from_str_radix(&id[2 * n..2 * n + 2], 16).expect("a digit")));
    }
    fs::write(world.path("raw"), content).expect("a file");
    let raw = world.path("raw").display().to_string();
    let tree = world.plain(&remote, &["hash-object", "-w", "-t", "tree", "--literally", &raw]);
    let commit = world.plain(&remote, &["commit-tree", "-m", "raw", tree.trim()]);
    world.plain(&remote, &["update-ref", &format!("refs/heads/{branch}"), commit.trim()]);
}

#[tokio::test]
async fn a_tree_that_git_would_never_make_is_not_written() {
    for world in World::all().await {
        let remote = world.remote();
        fs::write(world.path("content"), "content").expect("a file");
        let content = world.path("content").display().to_string();
        let blob = world.plain(&remote, &["hash-object", "-w", &content]);
        let outside = world.path("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(world.path("target"), outside.display().to_string()).expect("a file");
        let target = world.path("target").display().to_string();
        let link_blob = world.plain(&remote, &["hash-object", "-w", &target]);
        let (blob, link_blob) = (blob.trim(), link_blob.trim());
        raw_branch(&world, "inner", &[("100644", blob, b"config")]);
        let inner = world.plain(&remote, &["rev-parse", "inner^{tree}"]);
        let inner = inner.trim();
        raw_branch(&world, "dotgit", &[("40000", inner, b".git")]);
        raw_branch(&world, "case", &[("40000", inner, b".GiT")]);
        raw_branch(&world, "up", &[("40000", inner, b"..")]);
        raw_branch(&world, "slash", &[("100644", blob, b"a/../../b")]);
        raw_branch(&world, "absolute", &[("100644", blob, b"/tmp/damascus-absolute")]);
        raw_branch(&world, "twice", &[("100644", blob, b"a"), ("100755", blob, b"a")]);
        raw_branch(&world, "through", &[("120000", link_blob, b"a"), ("40000", inner, b"a")]);
        raw_branch(&world, "behind", &[("40000", inner, b"a"), ("120000", link_blob, b"a")]);
        world.mirror.fetch().await.expect("a fetch");
        for branch in ["dotgit", "case", "up", "slash", "absolute", "twice", "through", "behind"] {
            let commit = world.mirror.tip(branch).await.expect("a look").expect("a tip");
            let error = world.mirror.checkout(&commit, &world.path("out").join(branch)).await.expect_err(branch);
            assert!(matches!(&error, GitError::BadTree { .. }), "{branch}: {error}");
            assert_eq!(listing(&outside), [""; 0], "{branch} wrote outside");
        }
        // A symlink by itself is written as it is, and nothing goes through it.
        raw_branch(&world, "link", &[("120000", link_blob, b"a"), ("100644", blob, b"b")]);
        world.mirror.fetch().await.expect("a fetch");
        let commit = world.mirror.tip("link").await.expect("a look").expect("a tip");
        let dir = world.work(&commit).await;
        assert_eq!(fs::read_link(dir.join("a")).expect("a link"), outside);
        // Unchanged it may stay; that is for the diff policy to judge.
        assert_eq!(world.tree(&dir, &commit).await, world.mirror.tree_of(&commit).await.expect("a tree"));
        assert!(world.mirror.checkout(&commit, &dir).await.is_err(), "not into a folder that has something");
        assert_eq!(world.mirror.read(&commit, "a", 999).await.expect("a read"), None, "a symlink is no file");
        let unknown = id(&"a".repeat(40));
        assert!(matches!(world.mirror.checkout(&unknown, &world.path("none")).await, Err(GitError::NoObject { .. })));
    }
}

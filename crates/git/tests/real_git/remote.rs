//! The remote: what a push expects and gets, what a fetch follows, and what is said when something is wrong with it.

#![expect(clippy::expect_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use damascus_core::CommitId;
use damascus_git::{Expect, Git, GitError, Mirror, Pushed, Remote};

use crate::world::{World, gits, try_plain, write};

fn hook(world: &World, name: &str, text: &str) {
    let path = world.remote().join("hooks").join(name);
    write(&path, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

async fn remote_main(world: &World) -> Option<CommitId> {
    world.mirror.remote_tip("main").await.expect("a look")
}

#[tokio::test]
async fn a_push_changes_a_branch_only_from_where_it_is_expected() {
    for world in World::all().await {
        let base = world.main().await;
        let ours = world.change(&base, &[("a", "1")], "ours").await;
        let next = world.change(&ours, &[("a", "2")], "next").await;
        let push = |commit: &CommitId, branch: &'static str, expect| {
            let (mirror, commit) = (world.mirror.clone(), commit.clone());
            async move { mirror.push(&commit, branch, expect).await }
        };
        let tip = |branch: &'static str| {
            let mirror = world.mirror.clone();
            async move { mirror.remote_tip(branch).await.expect("a look") }
        };

        // Absent: made once; again is done; something else there is a move.
        assert_eq!(push(&ours, "story/1", Expect::Absent).await.expect("a push"), Pushed::Done);
        assert_eq!(push(&ours, "story/1", Expect::Absent).await.expect("a push"), Pushed::Done);
        assert_eq!(
            push(&next, "story/1", Expect::Absent).await.expect("a push"),
            Pushed::Moved { found: Some(ours.clone()) }
        );
        // At: may rewrite, from exactly there.
        assert_eq!(push(&next, "story/1", Expect::At(ours.clone())).await.expect("a push"), Pushed::Done);
        assert_eq!(push(&base, "story/1", Expect::At(next.clone())).await.expect("a push"), Pushed::Done);
        assert_eq!(tip("story/1").await, Some(base.clone()), "rewritten backwards");
        assert_eq!(
            push(&ours, "story/1", Expect::At(next.clone())).await.expect("a push"),
            Pushed::Moved { found: Some(base.clone()) }
        );
        assert_eq!(push(&ours, "gone", Expect::At(next.clone())).await.expect("a push"), Pushed::Moved { found: None });
        // FastForwardOf: never back, never sideways, never over somebody else's.
        let sideways = world.change(&base, &[("b", "1")], "sideways").await;
        let refused =
            push(&sideways, "main", Expect::FastForwardOf(ours.clone())).await.expect_err("it does not descend");
        assert!(matches!(&refused, GitError::NotFastForward { .. }) && !refused.retryable(), "{refused}");
        let theirs = world.people_push("main", &[("c", "1")]);
        assert_eq!(
            push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"),
            Pushed::Moved { found: Some(theirs.clone()) }
        );
        assert_eq!(remote_main(&world).await, Some(theirs.clone()));
        // Also where the remote's own check would let it pass: the remote is behind the tip, so it would still go forward.
        world.plain(&world.remote(), &["update-ref", "refs/heads/main", base.as_str()]);
        assert_eq!(
            push(&next, "main", Expect::FastForwardOf(ours.clone())).await.expect("a push"),
            Pushed::Moved { found: Some(base.clone()) }
        );
        assert_eq!(push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"), Pushed::Done);
        assert_eq!(
            push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"),
            Pushed::Done,
            "found done"
        );

        // Deleting: at the place only, and once.
        let delete = |at: &CommitId| {
            let (mirror, at) = (world.mirror.clone(), at.clone());
            async move { mirror.delete_branch("story/1", &at).await.expect("a deletion") }
        };
        assert_eq!(delete(&next).await, Pushed::Moved { found: Some(base.clone()) });
        assert_eq!(delete(&base).await, Pushed::Done);
        assert_eq!(delete(&base).await, Pushed::Done);
        assert_eq!(tip("story/1").await, None);
        assert_eq!(tip("main").await, Some(ours));
    }
}

#[tokio::test]
async fn a_hook_that_says_no_is_told_from_a_branch_that_moved() {
    for world in World::all().await {
        let base = world.main().await;
        let ours = world.change(&base, &[("a", "1")], "ours").await;
        hook(&world, "pre-receive", "#!/bin/sh\nprintf 'protected\\033[31m: ask \\n a person\\n' >&2\nexit 1\n");
        let pushed = world.mirror.push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push");
        let Pushed::Rejected(text) = pushed else { unreachable!("{pushed:?}") };
        assert!(
            text.contains("pre-receive hook declined")
                && text.contains("protected[31m: ask")
                && text.contains("a person"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(matches!(world.mirror.delete_branch("main", &base).await.expect("a deletion"), Pushed::Rejected(_)));
        assert_eq!(remote_main(&world).await, Some(base.clone()));

        // A hook that talks without end is cut.
        hook(&world, "pre-receive", "#!/bin/sh\nyes no | head -c 300000 >&2\nexit 1\n");
        let pushed = world.mirror.push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push");
        assert!(matches!(&pushed, Pushed::Rejected(text) if text.chars().count() <= 4_000), "{pushed:?}");

        // A branch that moves while the push is under way: the hook moves it after git compared, and the remote sees it.
        fs::remove_file(world.remote().join("hooks/pre-receive")).expect("a removal");
        let theirs = world.people_push("other", &[("c", "1")]);
        let program = world.program.display();
        let text =
            format!("#!/bin/sh\nunset GIT_QUARANTINE_PATH\n{program} update-ref refs/heads/main {theirs} || exit 0\n");
        hook(&world, "pre-receive", &text);
        let pushed = world.mirror.push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push");
        assert_eq!(pushed, Pushed::Moved { found: Some(theirs) });
    }
}

#[tokio::test]
async fn a_lock_at_the_remote_passes_and_a_clash_of_names_does_not() {
    for world in World::all().await {
        let base = world.main().await;
        let ours = world.change(&base, &[("a", "1")], "ours").await;
        write(&world.remote().join("refs/heads/main.lock"), "");
        let error =
            world.mirror.push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect_err("it is locked");
        assert!(matches!(&error, GitError::Locked { .. }) && error.retryable(), "{error}");
        fs::remove_file(world.remote().join("refs/heads/main.lock")).expect("a removal");
        let clash = world.mirror.push(&ours, "main/sub", Expect::Absent).await.expect("a push");
        assert!(matches!(clash, Pushed::Rejected(_)), "{clash:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_remote_is_said_with_the_way_out() {
    for (program, git) in gits().await {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |name: &str| {
            let (git, dir, remote) =
                (git.clone(), folder.path().join(format!("m-{name}.git")), folder.path().join(name));
            async move { Mirror::open(git, dir, Remote::Local(remote)).await.expect("a mirror") }
        };
        let missing = open("missing").await.fetch().await.expect_err("nothing is there");
        assert!(matches!(&missing, GitError::RepositoryMissing { .. }), "{missing}");
        assert!(missing.to_string().contains("git init --bare"), "{missing}");

        fs::create_dir(folder.path().join("folder")).expect("a folder");
        write(&folder.path().join("file"), "x");
        for name in ["folder", "file"] {
            let odd = open(name).await.remote_tip("main").await.expect_err("no repository");
            assert!(matches!(&odd, GitError::NotARepository { .. }) && !odd.retryable(), "{odd}");
        }

        crate::world::plain(&program, folder.path(), &["init", "-q", "--bare", "empty"]);
        let empty = open("empty").await;
        empty.fetch().await.expect("nothing to fetch is no error");
        assert_eq!(empty.remote_branches().await.expect("branches"), Vec::<String>::new());
        let error = empty.base_tip("main").await.expect_err("it is empty");
        assert!(
            matches!(&error, GitError::Empty { .. }) && error.to_string().contains("Push a first commit to `main`"),
            "{error}"
        );

        crate::world::plain(&program, folder.path(), &["init", "-q", "--bare", "--object-format=sha256", "other"]);
        let clone = folder.path().join("clone");
        crate::world::plain(&program, folder.path(), &["init", "-q", "--object-format=sha256", "clone"]);
        crate::world::plain(&program, &clone, &["commit", "-q", "--allow-empty", "-m", "x"]);
        crate::world::plain(&program, &clone, &["push", "-q", "../other", "HEAD:refs/heads/main"]);
        let error = open("other").await.fetch().await.expect_err("another format");
        assert!(matches!(&error, GitError::UnsupportedFormat { .. }), "{error}");

        // A remote without its history can't be mirrored, and git by itself says nothing.
        let (full, url) = (folder.path().join("full"), format!("file://{}", folder.path().join("full").display()));
        crate::world::plain(&program, folder.path(), &["init", "-q", "-b", "main", "full"]);
        crate::world::plain(&program, &full, &["commit", "-q", "--allow-empty", "-m", "1"]);
        crate::world::plain(&program, &full, &["commit", "-q", "--allow-empty", "-m", "2"]);
        crate::world::plain(&program, folder.path(), &["clone", "-q", "--bare", "--depth", "1", &url, "shallow"]);
        let shallow = open("shallow").await;
        let error = shallow.fetch().await.expect_err("shallow");
        assert!(error.to_string().contains("shallow") && !error.retryable(), "{error}");
        assert_eq!(shallow.tip("main").await.expect("a look"), None);

        // A repository that breaks under the command: reachable again, perhaps.
        fs::create_dir_all(folder.path().join("broken/objects")).expect("a folder");
        fs::create_dir_all(folder.path().join("broken/refs")).expect("a folder");
        write(&folder.path().join("broken/HEAD"), "nonsense");
        let error = open("broken").await.fetch().await.expect_err("broken");
        assert!(matches!(&error, GitError::NotARepository { .. } | GitError::Unreachable { .. }), "{error}");
        let relative = Mirror::open(git.clone(), "m.git".into(), Remote::Local("/nowhere/x".into())).await;
        assert!(matches!(relative, Err(GitError::BadName { .. })));
    }
    for world in World::all().await {
        let error = world.mirror.base_tip("trunk").await.expect_err("no such branch");
        assert!(
            matches!(&error, GitError::BranchMissing { .. }) && error.to_string().contains("it has: main"),
            "{error}"
        );
        for bad in ["-f", "--upload-pack=x", "a..b", "a b", "x.lock", ""] {
            assert!(matches!(world.mirror.remote_tip(bad).await, Err(GitError::BadName { .. })), "{bad}");
            assert!(matches!(world.mirror.tip(bad).await, Err(GitError::BadName { .. })), "{bad}");
            let main = world.main().await;
            assert!(
                matches!(world.mirror.push(&main, bad, Expect::Absent).await, Err(GitError::BadName { .. })),
                "{bad}"
            );
            assert!(matches!(world.mirror.keep(bad, &main).await, Err(GitError::BadName { .. })), "{bad}");
        }
    }
}

#[tokio::test]
async fn a_fetch_follows_branches_that_move_go_and_change_places() {
    for world in World::all().await {
        let base = world.main().await;
        world.mirror.keep("runs/1", &base).await.expect("kept");
        world.people_push("a", &[("x", "1")]);
        world.plain(&world.remote(), &["tag", "v1", "main"]);
        world.plain(&world.remote(), &["update-ref", "refs/pull/1/head", "refs/heads/a"]);
        world.mirror.fetch().await.expect("a fetch");
        assert!(world.mirror.tip("a").await.expect("a look").is_some());
        // `a` goes, `a/b` comes in its place, and main is rewritten.
        world.plain(&world.remote(), &["update-ref", "-d", "refs/heads/a"]);
        world.plain(&world.remote(), &["update-ref", "refs/heads/a/b", "refs/pull/1/head"]);
        let tree = world.mirror.tree_of(&base).await.expect("a tree");
        let rewritten = crate::world::id(
            &world.plain(&world.remote(), &["-c", "core.bare=true", "commit-tree", "-m", "rewritten", tree.as_str()]),
        );
        world.plain(&world.remote(), &["update-ref", "refs/heads/main", rewritten.as_str()]);
        world.mirror.fetch().await.expect("a fetch");
        assert_eq!(world.mirror.tip("a").await.expect("a look"), None);
        assert!(world.mirror.tip("a/b").await.expect("a look").is_some());
        assert_eq!(world.main().await, rewritten);
        assert_eq!(world.mirror.kept("runs/1").await.expect("a look"), Some(base.clone()), "kept, and still there");
        assert_eq!(world.mirror.remote_branches().await.expect("branches"), ["a/b", "main"]);
        let refs = world.plain(&world.path("mirrors/project.git"), &["for-each-ref", "--format=%(refname)"]);
        assert_eq!(refs, "refs/damascus/runs/1\nrefs/forge/a/b\nrefs/forge/main\n");
    }
}

#[tokio::test]
async fn a_repository_of_another_user_can_be_used() {
    for world in World::all().await {
        // Nobody in particular, by a number that has no account.
        let given = Command::new("chown").args(["-R", "54321:54321"]).arg(world.remote()).output();
        if !given.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: this user may not give files away, so a repository of another user was not tried");
            return;
        }
        assert!(
            !try_plain(&world.program, &world.remote(), &["log"]).status.success(),
            "the control: git refuses it by itself"
        );
        let base = world.main().await;
        let ours = world.change(&base, &[("a", "1")], "ours").await;
        assert_eq!(
            world.mirror.push(&ours, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"),
            Pushed::Done
        );
        world.mirror.fetch().await.expect("a fetch");
        assert_eq!(world.main().await, ours);
    }
}

#[tokio::test]
async fn a_missing_or_old_git_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = folder.path().join("git");
    write(&old, "#!/bin/sh\necho git version 2.30.2\n");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("a mode");
    let error = Git::at(old).await.expect_err("too old");
    assert!(error.to_string().contains("2.30.2") && error.to_string().contains("2.38"), "{error}");
    assert!(matches!(Git::at(folder.path().join("none")).await, Err(GitError::Start { .. })));
    assert!(matches!(Git::at("git".into()).await, Err(GitError::BadName { .. })));
    assert!(Git::find().await.is_ok());
    let (program, git) = gits().await.remove(0);
    assert!(
        String::from_utf8_lossy(&try_plain(&program, folder.path(), &["--version"]).stdout).contains(git.version())
    );
}

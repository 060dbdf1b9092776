//! Trouble: many at once, what a kill leaves, and a disk that is full.

#![expect(clippy::expect_used, reason = "what prepares a test may fail it")]

use std::fs;
use std::path::Path;
use std::process::Command;

use damascus_git::{Expect, GitError, Merged, Mirror, Pushed, Remote, SnapshotLimits};

use crate::world::{AT, World, listing, write};

#[tokio::test]
async fn many_open_fetch_and_keep_at_once() {
    for world in World::all().await {
        let base = world.main().await;
        let dir = world.path("mirrors/together.git");
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let (git, dir, remote, base) = (world.git.clone(), dir.clone(), world.remote(), base.clone());
                tokio::spawn(async move {
                    let mirror = Mirror::open(git, dir, Remote::Local(remote)).await?;
                    mirror.fetch().await?;
                    mirror.keep(&format!("run/{n}"), &base).await?;
                    mirror.keep(&format!("run/{n}"), &base).await?;
                    mirror.fetch().await?;
                    mirror.kept(&format!("run/{n}")).await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.expect("no panic").expect("no error"), Some(base.clone()));
        }
    }
}

#[tokio::test]
async fn what_a_kill_left_is_healed() {
    for world in World::all().await {
        let base = world.main().await;
        // Killed while it made the mirror: a part of it under the name for that, and an empty folder in its place.
        let dir = world.path("mirrors/half.git");
        write(&world.path("mirrors/half.git.making/HEAD"), "ref: refs/he");
        write(&world.path("mirrors/half.git.lock"), "");
        fs::create_dir(&dir).expect("a folder");
        let mirror = Mirror::open(world.git.clone(), dir.clone(), Remote::Local(world.remote())).await.expect("healed");
        assert!(!world.path("mirrors/half.git.making").exists());
        mirror.fetch().await.expect("a fetch");
        // Killed in a fetch: git's own locks.
        for lock in ["packed-refs.lock", "refs/forge/main.lock", "refs/damascus/x.lock"] {
            write(&dir.join(lock), "");
        }
        let theirs = world.people_push("main", &[("x", "y")]);
        mirror.fetch().await.expect("healed");
        assert_eq!(mirror.tip("main").await.expect("a look"), Some(theirs));
        write(&dir.join("refs/damascus/x.lock"), "");
        mirror.keep("x", &base).await.expect("healed");
        // What is somebody's own is not touched.
        let other = world.path("mirrors/other.git");
        write(&other.join("thesis.txt"), "precious");
        let error =
            Mirror::open(world.git.clone(), other.clone(), Remote::Local(world.remote())).await.expect_err("not ours");
        assert!(matches!(&error, GitError::NotARepository { .. }), "{error}");
        assert!(other.join("thesis.txt").exists());
    }
}

/// A small disk of its own; None where this user may not mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(self.0).status();
        assert!(gone.is_ok_and(|status| status.success()) || std::thread::panicking(), "the small disk stays mounted");
    }
}

/// Bytes that do not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(bytes)
    .collect()
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_one_and_is_tried_again() {
    for world in World::all().await {
        let at = world.path("small");
        let Some(_disk) = SmallDisk::mount(&at, "2m") else {
            eprintln!("SKIPPED: this user may not mount a small disk, so a full one was not tried");
            return;
        };
        let full = |error: GitError| {
            assert!(matches!(&error, GitError::DiskFull { .. }) && error.retryable(), "{error:?}");
            assert!(error.to_string().contains("No space left on device"), "{error}");
        };
        let base = world.main().await;
        let mirror =
            Mirror::open(world.git.clone(), at.join("m.git"), Remote::Local(world.remote())).await.expect("a mirror");
        mirror.fetch().await.expect("a small fetch");
        let dir = world.work(&base).await;
        fs::write(dir.join("noise"), noise(4 << 20)).expect("a file");
        for _ in 0..3 {
            full(mirror.snapshot(&dir, &base, SnapshotLimits::default()).await.expect_err("no room for the blob"));
            // What was written until then is gone again, or trying again would never help.
            let left = fs::read_dir(at.join("m.git/objects/pack")).expect("a folder").count();
            assert!(left <= 3, "{left} files");
        }
        assert_eq!(listing(&at).iter().filter(|name| name.contains("tmp_") || name.contains("crash")).count(), 0);

        let tree = world.tree(&dir, &base).await;
        let large = world.mirror.commit(&tree, std::slice::from_ref(&base), "large", AT).await.expect("a commit");
        full(world.mirror.checkout(&large, &at.join("work")).await.expect_err("no room for the file"));
        fs::remove_dir_all(at.join("work")).expect("a removal");
        assert_eq!(
            world.mirror.push(&large, "main", Expect::FastForwardOf(base.clone())).await.expect("a push"),
            Pushed::Done
        );
        full(mirror.fetch().await.expect_err("no room for the pack"));

        world.plain(&at, &["init", "-q", "--bare", "-b", "main", "r.git"]);
        let other = Mirror::open(world.git.clone(), world.path("mirrors/project.git"), Remote::Local(at.join("r.git")))
            .await
            .expect("a mirror");
        full(other.push(&large, "main", Expect::Absent).await.expect_err("no room at the remote"));
        assert_eq!(other.push(&base, "main", Expect::Absent).await.expect("room for that"), Pushed::Done);
        assert_eq!(
            mirror.merge(&base, &base).await.expect("still works"),
            Merged::Tree(mirror.tree_of(&base).await.expect("a tree"))
        );
    }
}

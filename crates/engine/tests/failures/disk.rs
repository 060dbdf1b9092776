//! A disk that is full: an infrastructure failure that says so, costs no attempt, and goes on when there is room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use damascus_testkit::loop_scene::{Beginning, open_folder};
use damascus_testkit::{LoopScene, TestDb};

use crate::stage::{DOES_IT, Hooks, answer, commits_on_main, few_failures, script, settle, story};

/// A file system of its own; none where this user may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let options = format!("size={size},mode=0711");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }

    /// Leaves so many MiB free.
    fn leave(&self, mib: u64) {
        let disk = rustix::fs::statvfs(&self.0).expect("a disk");
        let free = disk.f_bavail * disk.f_frsize;
        let file = std::fs::File::create(self.0.join("ballast")).expect("a file");
        let taken = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free - (mib << 20));
        taken.expect("there is room for it");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("the ballast");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since something of a failed test may still have a file open there.
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(gone.is_ok_and(|status| status.success()) || std::thread::panicking(), "the small disk stays mounted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_as_such_and_the_work_goes_on_when_there_is_room() {
    let folder = open_folder();
    let at = folder.path().join("home");
    let Some(mounted) = SmallDisk::mount(&at, "320m") else {
        eprintln!("SKIPPED: this user may not mount a small disk, so a full one was not tried");
        return;
    };
    let disk = Arc::new(mounted);
    let hooks = Arc::new(Hooks::default());
    let beginning = few_failures(Beginning { effects: Arc::clone(&hooks) as _, ..Beginning::default() });
    let agent = format!("{DOES_IT}; [ $DAMASCUS_STORY != greedy ] || {{ head -c 300M /dev/zero > large; sleep 60; }}");
    let scene = LoopScene::begin_on(TestDb::new().await, folder, beginning, script(&agent)).await;

    // Full before anything begins, in each phase.
    for (key, at) in [("first", None), ("second", Some("after spec")), ("third", Some("after pull-request"))] {
        let item = story(&scene, key).await;
        match at {
            None => disk.leave(0),
            Some(at) => {
                let full = Arc::clone(&disk);
                hooks.on(at, move || full.leave(1));
            }
        }
        let blocked = settle(&scene, item).await;
        blocked.stands("blocked", 0);
        blocked.asks(&[
            "the surroundings failed 3 times",
            "infra_error",
            "the disk is full: ",
            "MiB are needed. Free some space",
        ]);
        disk.make_room();
        answer(&scene, item, "retry").await;
        settle(&scene, item).await.stands("merged", 0);
    }
    // Filled up while an agent works, by whomever.
    let item = story(&scene, "greedy").await;
    let blocked = settle(&scene, item).await;
    blocked.stands("blocked", 0);
    blocked.verdicts_are(&["spec:pass", "build:infra_error", "build:infra_error", "build:infra_error"]);
    blocked.tells("build:infra_error", &["the disk became full while the agent worked. Free some space"]);
    assert_eq!(commits_on_main(&scene).await, 4);
    // Before the folder that it lies in.
    drop(disk);
}

//! What a run may take of the disk.

use damascus_sandbox::{Limits, Stopped};

use crate::scene::{PATIENCE, folder, marker, naive, run, sandbox, script, script_in};

const MIB: u64 = 1024 * 1024;

fn small() -> Limits {
    Limits { wall: PATIENCE, file_bytes: 2 * MIB, tree_bytes: 16 * MIB, scratch_bytes: 8 * MIB, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_are_bounded_by_their_sum() {
    let write = "i=0; while [ $i -lt 60 ]; do head -c 1M /dev/zero > f$i || exit 3; i=$((i+1)); done; echo written";
    let open = folder();
    let said = naive(
        &["--bind", open.path().to_str().unwrap(), "/work", "--chdir", "/work"],
        &format!("ulimit -f 4096; {write}"),
    );
    assert!(said.contains("written"), "a limit on one file doesn't stop it: {said}");

    let shut = folder();
    let mut job = script_in(shut.path(), &format!("{write}; sleep {}", marker()));
    job.limits = small();
    let (ended, said) = run(&sandbox().await, &job).await;
    assert_eq!(ended.stopped, Some(Stopped::Disk), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_a_name_count() {
    let work = folder();
    let text = format!(
        "perl -e 'for $i (1..20) {{ open($f[$i],\">\",\"f$i\"); unlink \"f$i\"; syswrite($f[$i],\"x\"x1048576); }} $|=1; print \"written\\n\"; sleep 1000' {}",
        marker()
    );
    let mut job = script_in(work.path(), &text);
    job.limits = small();
    let (ended, said) = run(&sandbox().await, &job).await;
    assert_eq!(ended.stopped, Some(Stopped::Disk), "{said}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn one_file_is_bounded() {
    let work = folder();
    let mut job = script_in(work.path(), "head -c 5M /dev/zero > f; echo $?");
    job.limits = small();
    let (ended, _) = run(&sandbox().await, &job).await;
    assert_eq!(ended.stopped, None);
    assert_eq!(work.path().join("f").metadata().unwrap().len(), 2 * MIB);
}

#[tokio::test]
async fn the_scratch_space_is_bounded() {
    let fill = "for d in /tmp /dev/shm /var/tmp $HOME; do for i in 1 2 3 4 5; do head -c 16M /dev/zero >> $d/f$i 2>/dev/null; done; done; \
                du -xsm /tmp | cut -f1; du -xsm /dev/shm | cut -f1";
    let open = naive(&["--tmpfs", "/tmp"], "head -c 64M /dev/zero > /tmp/f && echo no bound");
    assert!(open.contains("no bound"), "the attack works without the guard: {open}");

    let mut job = script(fill);
    job.limits = Limits { scratch_bytes: 8 * MIB, wall: PATIENCE, ..Limits::default() };
    let (_, said) = run(&sandbox().await, &job).await;
    let sizes: Vec<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(matches!(sizes.as_slice(), [tmp, shared] if *tmp <= 9 && *shared <= 65), "{said}");
    let (_, said) = run(&sandbox().await, &script("touch /dev/f /f /etc/f /run/f /var/f; echo tried")).await;
    assert_eq!(said.matches("cannot touch").count(), 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_too_deep_to_walk_is_refused() {
    let work = folder();
    let text = "perl -e 'for (1..300) { mkdir \"d\"; chdir \"d\" } print \"made\\n\"'";
    let (ended, said) = run(&sandbox().await, &script_in(work.path(), text)).await;
    assert_eq!(ended.stopped, Some(Stopped::Disk), "by the watchdog, or when it is handed back: {said}");
}

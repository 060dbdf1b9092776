//! Whatever way a run ends, nothing of it is left.

use std::process::{Command, Stdio};

use damascus_sandbox::{Capture, Stopped};
use tokio_util::sync::CancellationToken;

use crate::scene::{end, folder, marker, naive, processes_with, run, sandbox, script, script_in, until};

fn daemons(marker: &str) -> String {
    format!(
        "(setsid sh -c 'sleep {marker} & sleep {marker}' >/dev/null 2>&1 &) ; setsid nohup sleep {marker} >/dev/null 2>&1 & sleep 0.2"
    )
}

#[tokio::test]
async fn daemons_die_with_the_main_program() {
    let open = marker();
    naive(&[], &daemons(&open));
    let left = processes_with(&open);
    left.iter().for_each(|(pid, _)| end(*pid));
    assert!(left.len() >= 3, "the attack works without the guard: {left:?}");

    let shut = marker();
    let (ended, _) = run(&sandbox().await, &script(&daemons(&shut))).await;
    assert_eq!(ended.stopped, None);
    assert_eq!(processes_with(&shut), Vec::new());
}

#[tokio::test]
async fn cancelling_ends_everything() {
    let (sandbox, marker, cancel) = (sandbox().await, marker(), CancellationToken::new());
    let job = script(&format!("trap '' TERM; {}; sleep {marker}", daemons(&marker)));
    let mut said = Capture::new(1000);
    let (ended, ()) = tokio::join!(sandbox.run(&job, &mut said, &cancel), async {
        until("the daemons run", || {
            processes_with(&marker).iter().filter(|(_, line)| line.starts_with("sleep")).count() >= 3
        })
        .await;
        cancel.cancel();
    });
    assert_eq!(ended.unwrap().stopped, Some(Stopped::Cancelled));
    assert_eq!(processes_with(&marker), Vec::new());

    // Cancelled before it began: nothing starts.
    let ended = sandbox.run(&job, &mut said, &cancel).await.unwrap();
    assert_eq!(ended.stopped, Some(Stopped::Cancelled));
}

#[tokio::test]
async fn dropping_the_future_ends_everything_at_any_moment() {
    let sandbox = sandbox().await;
    let work = folder();
    for step in 0..12_u64 {
        let marker = marker();
        let job = script_in(work.path(), &format!("{}; sleep {marker}", daemons(&marker)));
        let mut said = Capture::new(1000);
        let cancel = CancellationToken::new();
        let cut =
            tokio::time::timeout(std::time::Duration::from_millis(step * 12), sandbox.run(&job, &mut said, &cancel))
                .await;
        assert!(cut.is_err(), "it should still have run");
        // The launcher that was cut off before its gate may take a moment; the program itself never started then.
        until("nothing is left", || processes_with(&marker).is_empty()).await;
    }
    let marker = marker();
    let job = script_in(work.path(), &format!("{}; sleep {marker}", daemons(&marker)));
    let (mut said, cancel) = (Capture::new(1000), CancellationToken::new());
    tokio::select! {
        _ = sandbox.run(&job, &mut said, &cancel) => panic!("it ended by itself"),
        () = until("the daemons run", || processes_with(&marker).iter().filter(|(_, line)| line.starts_with("sleep")).count() >= 4) => {}
    }
    assert_eq!(processes_with(&marker), Vec::new(), "after a drop nothing is left at once");
}

#[tokio::test]
async fn when_damascus_is_killed_nothing_outlives_it() {
    // This test starts itself once more, to be killed.
    if let Ok(marker) = std::env::var("SLEEP_FOR") {
        let job = script(&format!("{}; sleep {marker}", daemons(&marker)));
        run(&sandbox().await, &job).await;
        return;
    }
    let marker = marker();
    let mut damascus = Command::new(std::env::current_exe().unwrap());
    damascus
        .args(["--exact", "endings::when_damascus_is_killed_nothing_outlives_it", "--nocapture"])
        .env("SLEEP_FOR", &marker);
    let mut damascus = damascus.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the daemons run", || {
        processes_with(&marker).iter().filter(|(_, line)| line.starts_with("sleep")).count() >= 4
    })
    .await;

    damascus.kill().unwrap();
    damascus.wait().unwrap();
    until("all are gone", || processes_with(&marker).is_empty()).await;
}

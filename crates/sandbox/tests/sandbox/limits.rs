//! Time, output, processes, memory.

use std::time::Duration;

use damascus_sandbox::{Capture, Exit, Job, Limits, Sink, Stopped, Stream};
use tokio_util::sync::CancellationToken;

use crate::scene::{PATIENCE, is_root, marker, naive, processes_with, run, sandbox, script};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn a_fork_bomb_is_bounded_and_nothing_of_it_is_left() {
    let (open_marker, shut_marker) = (marker(), marker());
    let bomb = |marker: &str| {
        format!(
            "i=0; while [ $i -lt 100 ]; do sleep {marker} & i=$((i+1)); done; echo made $(ls /proc | grep -c '^[0-9]')"
        )
    };
    let limit = if is_root() { "ulimit -p 40 2>/dev/null || prlimit --nproc=40 --pid $$;" } else { "" };
    let open = naive(&["--unshare-pid", "--die-with-parent"], &format!("{limit} {}", bomb(&open_marker)));
    assert!(open.contains("made 1"), "more than a hundred without the guard: {open}");

    let mut job = script(&bomb(&shut_marker));
    job.limits.processes = 40;
    let (ended, said) = run(&sandbox().await, &job).await;
    assert!(!said.contains("made 1") && said.contains("fork"), "{said}");
    assert_ne!(ended.exit, Exit::Code(0));
    assert_eq!(processes_with(&shut_marker), Vec::new());
}

#[tokio::test]
async fn two_runs_at_a_time_do_not_share_their_limit_of_processes() {
    let sandbox = sandbox().await;
    let mut job = script("i=0; while [ $i -lt 30 ]; do sleep 2 & i=$((i+1)); done; echo made; wait");
    job.limits.processes = 40;
    let (one, two) = tokio::join!(run(&sandbox, &job), run(&sandbox, &job));
    assert_eq!((one.0.exit, two.0.exit), (Exit::Code(0), Exit::Code(0)), "{} {}", one.1, two.1);
}

#[tokio::test]
async fn a_flood_of_output_stops_the_run() {
    struct Counted(u64, usize);
    impl Sink for Counted {
        fn write(&mut self, _stream: Stream, bytes: &[u8]) {
            self.0 += bytes.len() as u64;
            self.1 = self.1.max(bytes.len());
        }
    }
    let mut job = script("");
    job.argv = ["sh", "-c", "yes & yes >&2"].map(str::to_owned).to_vec();
    job.limits.output_bytes = 3 * MIB + 17;
    let mut counted = Counted(0, 0);
    let ended = sandbox().await.run(&job, &mut counted, &CancellationToken::new()).await.unwrap();
    assert_eq!(ended.stopped, Some(Stopped::Output));
    assert_eq!((counted.0, ended.output_bytes), (3 * MIB + 17, 3 * MIB + 17));
    assert!(counted.1 <= 64 * 1024);
}

#[tokio::test]
async fn a_flood_at_the_very_end_is_seen_too() {
    let mut job = script("head -c 40000 /dev/zero");
    job.limits.output_bytes = 39_999;
    let (ended, _) = run(&sandbox().await, &job).await;
    assert_eq!((ended.stopped, ended.output_bytes), (Some(Stopped::Output), 39_999));
    job.limits.output_bytes = 40_000;
    let (ended, _) = run(&sandbox().await, &job).await;
    assert_eq!((ended.stopped, ended.output_bytes), (None, 40_000));
}

#[tokio::test]
async fn silence_and_the_clock_stop_a_run() {
    let sandbox = sandbox().await;
    let marker = marker();
    let mut job = script(&format!("trap '' TERM INT HUP; echo a; sleep {marker}"));
    job.limits.silence = Some(Duration::from_millis(300));
    let (ended, said) = run(&sandbox, &job).await;
    assert_eq!((ended.stopped, ended.exit.code(), said.as_str()), (Some(Stopped::Silence), 137, "a\n"));

    job.limits = Limits { silence: None, wall: Duration::from_millis(500), ..Limits::default() };
    let (ended, _) = run(&sandbox, &job).await;
    assert_eq!(ended.stopped, Some(Stopped::WallClock));
    assert!(ended.wall >= Duration::from_millis(500));
    assert_eq!(processes_with(&marker), Vec::new());
}

#[tokio::test]
async fn output_holds_the_silence_off() {
    let mut job = script("for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.25; done");
    job.limits.silence = Some(Duration::from_millis(1500));
    let (ended, _) = run(&sandbox().await, &job).await;
    assert_eq!((ended.stopped, ended.exit), (None, Exit::Code(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_for_one_process_and_for_all() {
    let sandbox = sandbox().await;
    let mut job = script("perl -e '$x = \"x\" x (400*1024*1024); print length($x)'");
    job.limits.memory_bytes = 128 * MIB;
    let (ended, said) = run(&sandbox, &job).await;
    assert!(ended.exit != Exit::Code(0) && !said.contains("419430400"), "{said}");

    let each = "perl -e '$x = \"x\" x (40*1024*1024); $x .= \"y\"; sleep 1000' &";
    let mut job = script(&format!("{} wait", each.repeat(8)));
    job.limits = Limits { memory_bytes: 200 * MIB, wall: PATIENCE, ..Limits::default() };
    let (ended, said) = run(&sandbox, &job).await;
    assert_eq!(ended.stopped, Some(Stopped::Memory), "{said}");
}

#[tokio::test]
async fn processor_time_is_bounded() {
    let mut job = script("while :; do :; done");
    job.limits.cpu = Duration::from_secs(1);
    let (ended, _) = run(&sandbox().await, &job).await;
    assert_eq!(ended.stopped, None);
    assert!(matches!(ended.exit, Exit::Signal(9 | 24)), "{ended:?}");
}

#[tokio::test]
async fn codes_signals_and_programs_that_are_not_there() {
    let sandbox = sandbox().await;
    for (text, exit) in [("exit 0", Exit::Code(0)), ("exit 3", Exit::Code(3)), ("kill -TERM $$", Exit::Signal(15))] {
        assert_eq!(run(&sandbox, &script(text)).await.0.exit, exit, "{text}");
    }
    let mut missing = Job::new(["no-such-program", "--version"]);
    missing.directory = "/".into();
    assert_eq!(run(&sandbox, &missing).await.0.exit, Exit::Code(127));
}

#[tokio::test]
async fn input_arrives_whole_and_need_not_be_read() {
    let sandbox = sandbox().await;
    let mut job = script("wc -c; echo err >&2");
    job.input = vec![b'x'; 3_000_000];
    assert_eq!(run(&sandbox, &job).await.1.lines().next(), Some("3000000"));

    let mut unread = script("echo done");
    unread.input = vec![b'x'; 3_000_000];
    let (ended, said) = run(&sandbox, &unread).await;
    assert_eq!((ended.exit, said.as_str()), (Exit::Code(0), "done\n"));
}

#[tokio::test]
async fn the_environment_is_the_jobs_alone() {
    let mut job = script("env | cut -d= -f1 | sort | tr '\\n' ' '; echo \"$A\"; pwd");
    job.environment.insert("A".to_owned(), "two words\n'and' more".to_owned());
    job.environment.insert("LD_PRELOAD".to_owned(), String::new());
    job.environment.insert("HOME".to_owned(), "/elsewhere".to_owned());
    let mut said = Capture::new(4000);
    sandbox().await.run(&job, &mut said, &CancellationToken::new()).await.unwrap();
    let text = said.text();
    assert!(
        text.contains("two words\n'and' more\n/\n") && text.contains(" HOME ") && text.contains(" LD_PRELOAD "),
        "{text}"
    );
    assert!(!text.contains("CARGO_MANIFEST_DIR") && !text.contains("NEXTEST"), "{text}");
}

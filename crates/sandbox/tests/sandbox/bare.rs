//! Without isolation, where an operator chose so: what still holds.

use std::time::Duration;

use damascus_sandbox::{Exit, Isolation, Options, Sandbox, Stopped, WORK};

use crate::scene::{folder, is_root, marker, processes_with, run, script, script_in};

fn bare() -> Sandbox {
    Sandbox::none(&Options::default())
}

#[tokio::test]
async fn it_says_so_and_runs() {
    let sandbox = bare();
    assert_eq!(sandbox.isolation(), &Isolation::None);
    let work = folder();
    let mut job = script_in(
        work.path(),
        "pwd; echo $PLACE $HOME; cat; touch made; env | cut -d= -f1 | tr '\\n' ' '; id -u; exit 7",
    );
    job.environment.insert("PLACE".to_owned(), format!("{WORK}/sub"));
    job.input = b"input\n".to_vec();
    let (ended, said) = run(&sandbox, &job).await;
    let place = work.path().canonicalize().unwrap();
    assert_eq!(ended.exit, Exit::Code(7), "{said}");
    assert!(said.starts_with(&format!("{0}\n{0}/sub ", place.display())) && said.contains("\ninput\n"), "{said}");
    assert!(work.path().join("made").exists() && !said.contains("CARGO_MANIFEST_DIR"), "{said}");
    let uid: u32 = said.split_ascii_whitespace().last().unwrap().parse().unwrap();
    assert!(if is_root() { uid >= 61_184 } else { uid == rustix::process::geteuid().as_raw() });
}

#[tokio::test]
async fn limits_and_the_end_of_the_group_hold() {
    let sandbox = bare();
    let marker = marker();
    let mut job = script(&format!("sleep {marker} & sleep {marker}"));
    job.limits.wall = Duration::from_millis(300);
    let (ended, _) = run(&sandbox, &job).await;
    assert_eq!((ended.stopped, ended.exit), (Some(Stopped::WallClock), Exit::Signal(9)));
    assert_eq!(processes_with(&marker), Vec::new());

    let mut flood = script("yes");
    flood.limits.output_bytes = 100_000;
    let (ended, _) = run(&sandbox, &flood).await;
    assert_eq!((ended.stopped, ended.output_bytes), (Some(Stopped::Output), 100_000));

    if is_root() {
        let (ended, _) = run(&sandbox, &script(&format!("setsid sleep {marker} > /dev/null 2>&1 & sleep 0.1"))).await;
        assert_eq!(ended.exit, Exit::Code(0));
        assert_eq!(processes_with(&marker), Vec::new(), "the run's user has no process left");
    }
}

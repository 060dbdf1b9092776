//! Whose the files are: while it runs the program's, afterwards the caller's, and never more than that.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use damascus_sandbox::{Access, Capture, Exit, Mount, SandboxError, WORK};
use tokio_util::sync::CancellationToken;

use crate::scene::{folder, is_root, marker, naive, processes_with, run, sandbox, script_in, until};

const PLANT: &str = "cp /usr/bin/true planted && chmod 6755 planted && ln -s /etc/shadow link && mkdir -p a/b && touch a/b/c && mkfifo a/fifo";

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn all_owned_by(path: &Path, uid: u32) -> bool {
    let inside = |entry: fs::DirEntry| {
        let is_directory = entry.file_type().unwrap().is_dir();
        entry.metadata().unwrap().uid() == uid && (!is_directory || all_owned_by(&entry.path(), uid))
    };
    fs::metadata(path).unwrap().uid() == uid && fs::read_dir(path).unwrap().map(Result::unwrap).all(inside)
}

#[tokio::test]
async fn no_setuid_file_is_left_for_the_host() {
    let open = folder();
    naive(&["--bind", open.path().to_str().unwrap(), "/work", "--chdir", "/work"], PLANT);
    let planted = open.path().join("planted").metadata().unwrap();
    assert!(planted.mode() & 0o4000 != 0 && planted.uid() == me(), "the attack works without the guard");

    let shut = folder();
    fs::write(shut.path().join("mine"), "here before").unwrap();
    let (ended, said) =
        run(&sandbox().await, &script_in(shut.path(), &format!("{PLANT}; stat -c %a:%u planted; echo more >> mine")))
            .await;
    assert_eq!(ended.exit, Exit::Code(0), "{said}");
    assert!(said.contains("6755:1000"), "{said}");
    let planted = shut.path().join("planted").metadata().unwrap();
    assert_eq!(planted.mode() & 0o7777, 0o755);
    assert!(all_owned_by(shut.path(), me()));
    // A link is left as it is: who reads the tree must not follow it.
    assert_eq!(fs::read_link(shut.path().join("link")).unwrap(), Path::new("/etc/shadow"));
    assert_eq!(fs::read_to_string(shut.path().join("mine")).unwrap(), "here beforemore\n");
}

#[tokio::test]
async fn while_it_runs_no_file_of_it_is_roots() {
    if !is_root() {
        return;
    }
    let work = folder();
    let (sandbox, marker, cancel) = (sandbox().await, marker(), CancellationToken::new());
    let job = script_in(work.path(), &format!("cp /usr/bin/true planted; chmod 4755 planted; echo; sleep {marker}"));
    let mut said = Capture::new(100);
    let (ended, (planted, process)) = tokio::join!(sandbox.run(&job, &mut said, &cancel), async {
        until("it runs", || processes_with(&marker).iter().any(|(_, line)| line.starts_with("sleep"))).await;
        let pid = processes_with(&marker).into_iter().find(|(_, line)| line.starts_with("sleep")).unwrap().0;
        let seen = (
            work.path().join("planted").metadata().unwrap().uid(),
            fs::metadata(format!("/proc/{pid}")).unwrap().uid(),
        );
        cancel.cancel();
        seen
    });
    ended.unwrap();
    assert!(planted >= 61_184 && planted == process, "{planted} {process}");
    assert!(all_owned_by(work.path(), 0));
}

#[tokio::test]
async fn a_link_in_the_tree_never_hands_the_hosts_files_over() {
    let (outside, work) = (folder(), folder());
    let (secret, object) = (outside.path().join("secret"), outside.path().join("object"));
    fs::write(&secret, "s").unwrap();
    fs::write(&object, "o").unwrap();
    symlink(&secret, work.path().join("soft")).unwrap();
    symlink(outside.path(), work.path().join("folder")).unwrap();
    fs::hard_link(&object, work.path().join("hard")).unwrap();
    fs::write(work.path().join("one"), "").unwrap();
    fs::hard_link(work.path().join("one"), work.path().join("two")).unwrap();
    fs::set_permissions(&object, fs::Permissions::from_mode(0o444)).unwrap();

    let (_, said) = run(
        &sandbox().await,
        &script_in(work.path(), "echo x > two && echo both; stat -c %u soft one two hard | tr '\\n' ' '"),
    )
    .await;
    assert!(said.starts_with("both"), "{said}");
    if is_root() {
        assert!(said.contains("1000 1000 1000 65534"), "the file that is also outside stays the host's: {said}");
    }
    for path in [&secret, &object, &outside.path().to_owned()] {
        assert_eq!(path.metadata().unwrap().uid(), me());
    }
    assert_eq!(object.metadata().unwrap().mode() & 0o777, 0o444);
}

#[tokio::test]
async fn what_a_killed_run_left_is_healed_by_the_next() {
    let work = folder();
    fs::create_dir(work.path().join("d")).unwrap();
    fs::write(work.path().join("d/f"), "").unwrap();
    if is_root() {
        for path in ["", "d", "d/f"] {
            std::os::unix::fs::chown(work.path().join(path), Some(65_100), Some(65_100)).unwrap();
        }
    }
    let (ended, said) =
        run(&sandbox().await, &script_in(work.path(), "echo x > d/f && mkdir e && chmod 0 e d/f d")).await;
    assert_eq!(ended.exit, Exit::Code(0), "{said}");
    assert!(all_owned_by(work.path(), me()));
    assert_eq!(fs::read_to_string(work.path().join("d/f")).unwrap(), "x\n");
}

#[tokio::test]
async fn a_directory_belongs_to_one_run_at_a_time() {
    let work = folder();
    let (sandbox, marker, cancel) = (sandbox().await, marker(), CancellationToken::new());
    let first = script_in(work.path(), &format!("sleep {marker}"));
    let mut said = Capture::new(100);
    let (ended, second) = tokio::join!(sandbox.run(&first, &mut said, &cancel), async {
        until("it runs", || processes_with(&marker).iter().any(|(_, line)| line.starts_with("sleep"))).await;
        let second =
            sandbox.run(&script_in(work.path(), "true"), &mut Capture::new(100), &CancellationToken::new()).await;
        cancel.cancel();
        second
    });
    ended.unwrap();
    assert!(matches!(second, Err(SandboxError::Busy { .. })), "{second:?}");
    assert_eq!(run(&sandbox, &script_in(work.path(), "true")).await.0.exit, Exit::Code(0));
}

#[tokio::test]
async fn mounts_that_would_harm_the_host_are_refused() {
    let sandbox = sandbox().await;
    let work = folder();
    fs::write(work.path().join("file"), "").unwrap();
    let file = work.path().join("file");
    for (host, inside) in
        [("/etc", WORK), ("/", WORK), ("/usr/lib", WORK), ("/no/such", WORK), (file.to_str().unwrap(), WORK)]
    {
        let mut job = script_in(work.path(), "true");
        job.mounts = vec![Mount { host: host.into(), inside: inside.into(), access: Access::ReadWrite }];
        let ended = sandbox.run(&job, &mut Capture::new(100), &CancellationToken::new()).await;
        assert!(matches!(ended, Err(SandboxError::Job { .. })), "{host}: {ended:?}");
    }
    for inside in ["relative", "/a/../b", "/"] {
        let mut job = script_in(work.path(), "true");
        job.mounts[0].inside = inside.into();
        let ended = sandbox.run(&job, &mut Capture::new(100), &CancellationToken::new()).await;
        assert!(matches!(ended, Err(SandboxError::Job { .. })), "{inside}: {ended:?}");
    }
    let mut nowhere = script_in(work.path(), "true");
    nowhere.directory = "/no/such/place".into();
    let ended = sandbox.run(&nowhere, &mut Capture::new(100), &CancellationToken::new()).await;
    assert!(matches!(&ended, Err(SandboxError::Start { message }) if message.contains("/no/such/place")), "{ended:?}");
}

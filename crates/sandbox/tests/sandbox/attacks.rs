//! Ways out, and looks at what is none of the program's business.

use std::{io::Write, net::TcpListener, os::unix::net::UnixListener, process::Command};

use damascus_sandbox::{Access, Mount, Network, Options, Sandbox};

use crate::scene::{end, folder, inside, is_root, marker, naive, printed, processes_with, run, sandbox, script, until};

const LOOK_AT_ENVIRONMENTS: &str = "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; echo looked";

#[tokio::test]
async fn the_environment_of_damascus_is_not_to_be_read() {
    // cargo sets this for the tests, so it stands for a secret of the process that starts the sandbox.
    assert!(std::env::var_os("PATH").is_some());
    let mut attack = Command::new("bwrap");
    attack.env("A_SECRET", "of-the-parent").args([
        "--ro-bind",
        "/",
        "/",
        "--unshare-pid",
        "--proc",
        "/proc",
        "--clearenv",
    ]);
    let attack = printed(attack.args(["/bin/sh", "-c", "export PATH=/usr/bin:/bin; tr '\\0' '\\n' < /proc/1/environ"]));
    assert!(attack.contains("of-the-parent"), "the attack works without the guard: {attack}");

    let own = std::env::vars().find(|(name, _)| name.starts_with("CARGO") || name == "SHLVL" || name == "OLDPWD");
    let seen = inside(LOOK_AT_ENVIRONMENTS).await;
    assert!(seen.contains("looked"));
    for (name, value) in std::env::vars() {
        let given = ["PATH", "HOME", "LANG", "TMPDIR", "USER", "PWD", "CARGO_HOME", "RUSTUP_HOME", "PYENV_ROOT"]
            .contains(&name.as_str());
        assert!(
            given || value.len() < 4 || !seen.contains(&format!("\n{name}={value}\n")),
            "{name} is visible inside: {own:?}"
        );
    }
}

#[tokio::test]
async fn a_variable_of_the_job_is_not_among_the_arguments_that_the_host_sees() {
    let (secret, open_marker) = (format!("key-{}", marker()), marker());
    let mut attack = Command::new("bwrap");
    attack.args(["--ro-bind", "/", "/", "--die-with-parent", "--setenv", "KEY", &secret, "sleep", &open_marker]);
    let mut attack = attack.spawn().unwrap();
    until("the host sees it without the guard", || {
        processes_with(&secret).iter().any(|(_, line)| line.contains("setenv"))
    })
    .await;
    attack.kill().unwrap();
    attack.wait().unwrap();
    processes_with(&open_marker).iter().for_each(|(pid, _)| end(*pid));

    let (sandbox, marker) = (sandbox().await, marker());
    let mut job = script(&format!("echo \"$KEY\"; sleep {marker}"));
    job.environment.insert("KEY".to_owned(), secret.clone());
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut said = damascus_sandbox::Capture::new(1000);
    let look = async {
        until("it runs", || processes_with(&marker).iter().any(|(_, line)| line.starts_with("sleep"))).await;
        let seen = processes_with(&secret);
        cancel.cancel();
        seen
    };
    let (ended, seen) = tokio::join!(sandbox.run(&job, &mut said, &cancel), look);
    assert!(ended.is_ok() && said.text().contains(&secret));
    assert!(seen.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn a_read_only_mount_can_not_be_made_writable() {
    let host = folder();
    let path = host.path().to_str().unwrap();
    let remount = "mount -o remount,rw,bind /mnt && echo hook > /mnt/hook";
    // An ordinary user has nothing to remount with; root has, without the guard.
    if is_root() {
        naive(&["--ro-bind", path, "/mnt"], remount);
        assert!(host.path().join("hook").exists(), "the attack works without the guard");
        std::fs::remove_file(host.path().join("hook")).unwrap();
    }

    let mut job = script(&format!("{remount}; echo hook > /mnt/hook; echo tried; touch /usr/hook /hook; id -u"));
    job.mounts.push(Mount { host: host.path().to_owned(), inside: "/mnt".into(), access: Access::ReadOnly });
    let (_, said) = run(&sandbox().await, &job).await;
    assert!(said.contains("tried") && said.trim_end().ends_with("1000"), "{said}");
    assert!(!host.path().join("hook").exists() && !std::path::Path::new("/usr/hook").exists());
}

#[tokio::test]
async fn no_capability_and_no_user_namespace_is_to_be_had() {
    let attack = naive(&["--unshare-user"], "unshare --user --map-root-user sh -c 'grep CapEff /proc/self/status'");
    assert!(attack.contains("000001ff"), "the attack works without the guard: {attack}");

    let said =
        inside("unshare --user --map-root-user true; echo $?; grep -E '^(Cap|NoNewPrivs)' /proc/self/status").await;
    assert!(!said.starts_with("0\n") && !said.contains("\n0\n"), "{said}");
    for line in said.lines().filter(|line| line.starts_with("Cap")) {
        assert!(line.ends_with("0000000000000000"), "{said}");
    }
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
}

#[tokio::test]
async fn no_service_of_the_host_is_reachable() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let name = format!("damascus-{}", marker());
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
    let _hidden = UnixListener::bind_addr(&address).unwrap();
    let attack = format!(
        "perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0);print connect(S,sockaddr_in({port},inet_aton(\"127.0.0.1\")))?\"tcp yes\\n\":\"tcp no\\n\";\
         socket(U,PF_UNIX,SOCK_STREAM,0);print connect(U,pack(\"S a*\",1,\"\\0{name}\"))?\"unix yes\\n\":\"unix no\\n\"'; \
         wc -l < /proc/net/route; getent hosts deb.debian.org && echo resolved"
    );
    let open = naive(&[], &attack);
    assert!(open.contains("tcp yes") && open.contains("unix yes"), "the attack works without the guard: {open}");

    let shut = inside(&attack).await;
    assert!(shut.contains("tcp no") && shut.contains("unix no") && shut.contains("\n1\n"), "{shut}");
    assert!(!shut.contains("resolved"), "{shut}");

    let mut job = script(&attack);
    job.network = Network::Host;
    let asked_for = run(&sandbox().await, &job).await.1;
    assert!(asked_for.contains("tcp yes"), "{asked_for}");
}

#[tokio::test]
async fn what_the_host_has_is_not_there() {
    let folder = folder();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned());
    let paths = format!(
        "/etc/shadow /etc/machine-id /etc/resolv.conf /sys/kernel /home/* /srv /boot /var/lib /mnt /media /run/* /lost+found {} {} {home}/.ssh \
         {home}/.cargo/credentials.toml {home}/.gitconfig {home}/.npmrc {home}/.bashrc",
        folder.path().display(),
        socket.display()
    );
    let look = format!("for p in {paths}; do if [ -e \"$p\" ]; then echo \"there: $p\"; fi; done; echo looked");
    let mut attack = Command::new("bwrap");
    let open = printed(attack.args(["--bind", "/", "/", "sh", "-c", &look]));
    assert!(open.contains("there: /etc/shadow") && open.contains(&format!("there: {}", socket.display())), "{open}");

    assert_eq!(inside(&look).await, "looked\n");
    let etc = inside("cat /etc/passwd; ls -l /proc/self/fd | wc -l; hostname").await;
    assert!(etc.contains("sandbox:x:1000") && etc.ends_with("sandbox\n"), "{etc}");
}

#[tokio::test]
async fn damascus_own_home_is_hidden_wherever_it_lies() {
    let tools = folder();
    std::fs::create_dir_all(tools.path().join("bin")).unwrap();
    std::fs::create_dir_all(tools.path().join("damascus")).unwrap();
    std::fs::write(tools.path().join("damascus/key"), "secret").unwrap();
    let mut options = Options { toolchains: vec![tools.path().to_owned()], ..Options::default() };
    let look = script(&format!("cat {}/damascus/key; echo looked", tools.path().display()));

    let open = run(&Sandbox::detect(&options).await.unwrap(), &look).await.1;
    assert_eq!(open, "secretlooked\n", "without the guard it is visible");

    options.hidden = vec![tools.path().join("damascus")];
    let shut = run(&Sandbox::detect(&options).await.unwrap(), &look).await.1;
    assert!(!shut.contains("secret") && shut.ends_with("looked\n"), "{shut}");
}

#[tokio::test]
async fn a_descriptor_that_damascus_inherited_does_not_get_in() {
    let mut secret = tempfile::tempfile().unwrap();
    secret.write_all(b"left open").unwrap();
    let left_open = secret.try_clone().unwrap();
    rustix::io::fcntl_setfd(&left_open, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&left_open);
    let look = format!("cat /proc/self/fd/{number}; echo looked");
    let open =
        naive(&[], &format!("perl -e 'open(F,\"<&={number}\") or die; sysseek(F,0,0); sysread(F,$b,99); print $b'"));
    assert!(open.contains("left open"), "the attack works without the guard: {open}");

    let shut = inside(&format!(
        "{look}; perl -e 'open(F,\"<&={number}\"); sysseek(F,0,0); sysread(F,$b,99); print $b'; ls -l /proc/self/fd"
    ))
    .await;
    assert!(shut.contains("looked") && !shut.contains("left open") && !shut.contains("deleted"), "{shut}");
}

#[tokio::test]
async fn there_is_no_terminal_to_type_into() {
    // This test starts itself once more, in a terminal.
    if let Ok(look) = std::env::var("TERMINAL_LOOK") {
        println!("{}", inside(&look).await);
        return;
    }
    let look = "if true < /dev/tty; then echo has a terminal; else echo has none; fi";
    let in_a_terminal =
        |command: &str| printed(Command::new("script").args(["-qec", command, "/dev/null"]).env("TERMINAL_LOOK", look));

    let open = in_a_terminal("bwrap --dev-bind / / sh -c \"$TERMINAL_LOOK\"");
    assert!(open.contains("has a terminal"), "the attack works without the guard: {open}");

    let me = std::env::current_exe().unwrap();
    let shut =
        in_a_terminal(&format!("{} --exact attacks::there_is_no_terminal_to_type_into --nocapture", me.display()));
    assert!(shut.contains("has none") && !shut.contains("has a terminal"), "{shut}");
}

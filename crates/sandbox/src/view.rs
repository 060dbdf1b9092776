//! What a program sees inside: bubblewrap's arguments.
//!
//! Invariants: the view starts empty and everything in it is named here or in the job; what is not a read-write mount of the job is
//! read-only or a sized file system in memory; nothing secret is among the arguments that other users of the host can see (they are read
//! from a file descriptor).

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Component, Path, PathBuf},
};

use crate::{
    SandboxError,
    job::{Access, HOME, Job, Network},
    toolchains::{Bind, SYSTEM, Toolchains},
};

/// The user that the program sees itself as, whoever it is on the host.
pub(crate) const UID_INSIDE: &str = "1000";

/// Bytes of `/dev/shm`, beside the scratch space.
const SHARED_MEMORY_BYTES: u64 = 64 * 1024 * 1024;

/// Files of `/etc` that programs need and that hold nothing secret.
const ETC: [&str; 17] = [
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "ca-certificates.conf",
    "pki/tls/certs",
    "pki/ca-trust",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "localtime",
    "timezone",
    "os-release",
    "debian_version",
    "mime.types",
    "java-17-openjdk",
    "java-21-openjdk",
];

/// Stubs instead of the host's files: the path inside, and the text.
pub(crate) const STUBS: [(&str, &str); 3] = [
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/usr/sbin/nologin\nsandbox:x:1000:1000:sandbox:/tmp/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
    ),
    ("/etc/group", "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"),
];

const HOSTS: &str = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 sandbox\n";

/// bubblewrap's arguments as they are read from a file descriptor: each ends with a zero byte.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<u8>);

impl Arguments {
    pub(crate) fn add<T: AsRef<std::ffi::OsStr>>(&mut self, words: impl IntoIterator<Item = T>) {
        for word in words {
            self.0.extend_from_slice(word.as_ref().as_bytes());
            self.0.push(0);
        }
    }

    fn add_path(&mut self, option: &str, path: &Path) {
        self.add([option.as_ref(), path.as_os_str()]);
    }

    fn bind(&mut self, option: &str, host: &Path, inside: &Path) {
        self.add([option.as_ref(), host.as_os_str(), inside.as_os_str()]);
    }

    pub(crate) fn append(&mut self, others: &Arguments) {
        self.0.extend_from_slice(&others.0);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What the view is made of, apart from the job.
pub(crate) struct Scene<'a> {
    pub(crate) toolchains: &'a Toolchains,
    pub(crate) hidden: &'a [PathBuf],
    /// The job's mounts with their hosts resolved.
    pub(crate) mounts: &'a [(PathBuf, PathBuf, Access)],
    /// The child's descriptors from which the stubs are read: one per [`STUBS`], and one for `/etc/hosts`.
    pub(crate) stubs_from: i32,
}

/// The text of each stub that the view of this job wants, in the order of the descriptors.
pub(crate) fn stubs(network: Network) -> Vec<&'static str> {
    let hosts = (network == Network::None).then_some(HOSTS);
    STUBS.iter().map(|(_, text)| *text).chain(hosts).collect()
}

/// The mounts and namespaces of a run, without its user.
pub(crate) fn arguments(job: &Job, scene: &Scene<'_>) -> Arguments {
    let mut args = Arguments::default();
    args.add(["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]);
    args.add(["--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    if job.network == Network::None {
        args.add(["--unshare-net"]);
    }
    system(&mut args);
    etc(&mut args, job.network, scene.stubs_from);
    let shared_memory = SHARED_MEMORY_BYTES.to_string();
    args.add(["--proc", "/proc", "--dev", "/dev"]);
    args.add(["--perms", "1777", "--size", &shared_memory, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]);
    args.add(["--perms", "1777", "--size", &job.limits.scratch_bytes.max(1).to_string(), "--tmpfs", "/tmp"]);
    args.add(["--perms", "0777", "--dir", HOME, "--perms", "0755", "--dir", "/var", "--symlink", "../tmp", "/var/tmp"]);
    args.add(["--perms", "0755", "--dir", "/run"]);
    for Bind { host, inside } in &scene.toolchains.binds {
        parents(&mut args, inside);
        args.bind("--ro-bind-try", host, inside);
    }
    for hidden in scene.hidden.iter().filter(|hidden| is_visible(hidden, scene.toolchains)) {
        args.add(["--perms", "0755"]);
        args.add_path("--tmpfs", hidden);
        args.add_path("--remount-ro", hidden);
    }
    for (host, inside, access) in scene.mounts {
        parents(&mut args, inside);
        args.bind(if *access == Access::ReadWrite { "--bind" } else { "--ro-bind" }, host, inside);
    }
    args.add(["--remount-ro", "/"]);
    args
}

fn system(args: &mut Arguments) {
    for directory in SYSTEM.map(Path::new) {
        match std::fs::read_link(directory) {
            Ok(target) => args.bind("--symlink", &target, directory),
            Err(_) => args.bind("--ro-bind-try", directory, directory),
        }
    }
}

fn etc(args: &mut Arguments, network: Network, stubs_from: i32) {
    args.add([
        "--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl", "--perms", "0755", "--dir",
        "/etc/pki",
    ]);
    args.add(["--perms", "0755", "--dir", "/etc/pki/tls"]);
    for name in ETC {
        let path = Path::new("/etc").join(name);
        // What is a symbolic link on the host is shown as what it points to.
        if let Ok(host) = path.canonicalize() {
            args.bind("--ro-bind-try", &host, &path);
        }
    }
    let mut paths: Vec<&str> = STUBS.iter().map(|(path, _)| *path).collect();
    if network == Network::None {
        paths.push("/etc/hosts");
    } else {
        for name in ["/etc/resolv.conf", "/etc/hosts"] {
            if let Ok(host) = Path::new(name).canonicalize() {
                args.bind("--ro-bind-try", &host, Path::new(name));
            }
        }
    }
    for (descriptor, path) in (stubs_from..).zip(paths) {
        args.add(["--perms", "0644", "--file", &descriptor.to_string(), path]);
    }
}

/// Makes the directories above a mount, so that a user who owns none of them can pass: bubblewrap would copy the host's mode.
fn parents(args: &mut Arguments, inside: &Path) {
    let mut above: Vec<&Path> = inside.ancestors().skip(1).filter(|path| path.components().count() > 1).collect();
    above.reverse();
    for path in above {
        let of_the_system = crate::toolchains::is_of_the_system(path);
        if of_the_system || ["/tmp", "/dev", "/proc", "/etc"].iter().any(|made| path == Path::new(made)) {
            continue;
        }
        args.add(["--perms", if path.starts_with("/tmp") { "0777" } else { "0755" }]);
        args.add_path("--dir", path);
    }
}

fn is_visible(hidden: &Path, toolchains: &Toolchains) -> bool {
    hidden.is_dir()
        && (crate::toolchains::is_of_the_system(hidden)
            || toolchains.binds.iter().any(|bind| hidden != bind.inside && hidden.starts_with(&bind.inside)))
}

/// The mounts of a job with their hosts resolved, checked.
pub(crate) fn resolve(job: &Job) -> Result<Vec<(PathBuf, PathBuf, Access)>, SandboxError> {
    let refuse = |reason: String| SandboxError::Job { reason };
    let mut resolved = Vec::new();
    for mount in &job.mounts {
        let shown = mount.inside.display();
        let plain = mount.inside.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !mount.inside.is_absolute() || !plain || mount.inside == Path::new("/") {
            return Err(refuse(format!("a mount's path inside must be absolute, plain and not the root: {shown}")));
        }
        let host = mount
            .host
            .canonicalize()
            .map_err(|error| refuse(format!("can't mount {}: {error}", mount.host.display())))?;
        if mount.access == Access::ReadWrite && !host.is_dir() {
            return Err(refuse(format!("only a directory can be mounted read-write: {}", host.display())));
        }
        if mount.access == Access::ReadWrite && (host == Path::new("/") || is_a_systems(&host)) {
            return Err(refuse(format!("a directory of the system can't be mounted read-write: {}", host.display())));
        }
        resolved.push((host, mount.inside.clone(), mount.access));
    }
    Ok(resolved)
}

/// Giving one of these to a run's user would break the host.
fn is_a_systems(host: &Path) -> bool {
    ["/etc", "/boot", "/dev", "/proc", "/sys", "/usr/bin", "/usr/lib", "/usr/sbin"]
        .iter()
        .any(|of| host.starts_with(of))
        || ["/usr", "/var", "/home", "/root", "/run", "/tmp", "/opt", "/srv"].iter().any(|of| host == Path::new(of))
}

/// `PATH` inside.
pub(crate) fn path_variable(toolchains: &Toolchains) -> OsString {
    let entries: Vec<&[u8]> = toolchains.path.iter().map(|entry| entry.as_os_str().as_bytes()).collect();
    OsString::from_vec(entries.join(&b':'))
}

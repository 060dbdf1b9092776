//! Which programs of the host are visible inside: the system's directories always, and the toolchains that the caller's `PATH` names.
//!
//! Invariants: everything here is read-only inside; of a home directory nothing is visible but the parts of a toolchain that are named
//! here; a file that may hold a credential (`credentials.toml`, a configuration that speaks of a token) is never visible.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::job::HOME;

/// Where programs of the system are; always visible, read-only.
pub(crate) const SYSTEM: [&str; 8] = ["/usr", "/opt", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"];

/// What a `PATH` inside ends with.
const LAST: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Entries of `PATH` that are looked at.
const PATH_ENTRIES_MAX: usize = 64;

/// Bytes of cargo's configuration that are read to see whether it speaks of a token.
const CONFIGURATION_BYTES_MAX: u64 = 256 * 1024;

/// Version managers: the directory below which everything they installed lies, what of it is shown, and the variable that names it.
const MANAGERS: [(&str, &str, Option<&str>); 9] = [
    (".pyenv", "", Some("PYENV_ROOT")),
    (".rbenv", "", Some("RBENV_ROOT")),
    (".nodenv", "", Some("NODENV_ROOT")),
    (".asdf", "", Some("ASDF_DATA_DIR")),
    (".volta", "", Some("VOLTA_HOME")),
    (".nvm", "versions", None),
    (".sdkman", "candidates", None),
    (".bun", "bin", None),
    (".deno", "bin", None),
];

/// A file whose presence beside `bin` says that the directory above is one toolchain, and nothing else.
const MARKS: [&str; 4] = ["lib/node_modules", "pkg/tool", "lib/rustlib", "lib/modules"];

/// A directory or file of the host that is visible inside, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) host: PathBuf,
    pub(crate) inside: PathBuf,
}

/// What the toolchains need inside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Toolchains {
    pub(crate) path: Vec<PathBuf>,
    pub(crate) binds: Vec<Bind>,
    pub(crate) environment: BTreeMap<String, String>,
}

/// Where toolchains are looked for: the caller's environment, read once.
pub(crate) struct Surroundings<'a> {
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    pub(crate) extra: &'a [PathBuf],
    pub(crate) hidden: &'a [PathBuf],
}

/// Whether a path lies in a directory of the system.
pub(crate) fn is_of_the_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

impl Toolchains {
    /// Looks at the caller's `PATH` and at the directories that the operator named.
    pub(crate) fn find(around: &Surroundings<'_>) -> Toolchains {
        let mut found = Toolchains::default();
        let home = (around.variable)("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        for directory in around.extra.iter().filter(|directory| directory.is_dir()) {
            found.show(directory);
            found.add_path(&directory.join("bin"));
        }
        let path = (around.variable)("PATH").unwrap_or_default();
        for entry in std::env::split_paths(&path).take(PATH_ENTRIES_MAX) {
            if may_be_shown(&entry, home.as_deref(), around.hidden) {
                found.add_entry(&entry, home.as_deref(), around.variable);
            }
        }
        for last in LAST {
            found.add_path(Path::new(last));
        }
        found
    }

    fn add_entry(&mut self, entry: &Path, home: Option<&Path>, variable: &dyn Fn(&str) -> Option<OsString>) {
        if is_of_the_system(entry) {
            return self.add_path(entry);
        }
        let cargo = variable("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".cargo")));
        if cargo.as_deref().is_some_and(|cargo| entry == cargo.join("bin")) {
            let rustup = variable("RUSTUP_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".rustup")));
            self.add_cargo(entry, rustup.as_deref());
        } else if let Some((root, shown, name)) = manager_of(entry) {
            self.show(&root.join(shown));
            if let Some(name) = name {
                self.environment.insert(name.to_owned(), root.to_string_lossy().into_owned());
            }
        } else {
            self.show(&distribution_of(entry, home).unwrap_or_else(|| entry.to_owned()));
        }
        self.add_path(entry);
    }

    /// Cargo writes to its home, so it has one of its own in the scratch space; what was downloaded is shown there.
    fn add_cargo(&mut self, bin: &Path, rustup: Option<&Path>) {
        self.show(bin);
        let inside = Path::new(HOME).join(".cargo");
        self.environment.insert("CARGO_HOME".to_owned(), inside.to_string_lossy().into_owned());
        if let Some(rustup) = rustup.filter(|rustup| rustup.is_dir()) {
            self.show(rustup);
            self.environment.insert("RUSTUP_HOME".to_owned(), rustup.to_string_lossy().into_owned());
        }
        let Some(home) = bin.parent() else { return };
        for part in ["registry/index", "registry/cache", "registry/src", "git/db", "git/checkouts"] {
            if let Ok(host) = home.join(part).canonicalize() {
                self.binds.push(Bind { host, inside: inside.join(part) });
            }
        }
        for name in ["config.toml", "config"] {
            if let Ok(host) = home.join(name).canonicalize()
                && speaks_of_no_secret(&host)
            {
                self.binds.push(Bind { host, inside: inside.join(name) });
            }
        }
    }

    fn show(&mut self, directory: &Path) {
        let covered = is_of_the_system(directory) || self.binds.iter().any(|bind| directory.starts_with(&bind.inside));
        if let (false, Ok(host)) = (covered, directory.canonicalize()) {
            self.binds.push(Bind { host, inside: directory.to_owned() });
        }
    }

    fn add_path(&mut self, entry: &Path) {
        if entry.is_dir() && !self.path.iter().any(|known| known == entry) {
            self.path.push(entry.to_owned());
        }
    }
}

/// An absolute directory that is neither a home directory, nor above one, nor in or above what is hidden.
fn may_be_shown(entry: &Path, home: Option<&Path>, hidden: &[PathBuf]) -> bool {
    let plain = entry.is_absolute()
        && entry.components().count() > 2
        && !entry.components().any(|part| matches!(part, std::path::Component::ParentDir))
        && !["/proc", "/sys", "/dev", "/run", "/etc", "/tmp"].iter().any(|special| entry.starts_with(special));
    let system = ["/bin", "/sbin"].iter().any(|system| entry == Path::new(system));
    let above_home = home.is_some_and(|home| home.starts_with(entry)) || entry.parent() == Some(Path::new("/home"));
    let secret = hidden.iter().any(|hidden| entry.starts_with(hidden) || hidden.starts_with(entry));
    (plain || system) && entry.is_dir() && (is_of_the_system(entry) || !(above_home || secret))
}

fn manager_of(entry: &Path) -> Option<(PathBuf, &'static str, Option<&'static str>)> {
    entry.ancestors().find_map(|root| {
        let name = root.file_name()?;
        let (_, shown, variable) = MANAGERS.iter().find(|(known, ..)| name == *known)?;
        Some((root.to_owned(), *shown, *variable))
    })
}

fn distribution_of(entry: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let root = entry.parent().filter(|_| entry.file_name().is_some_and(|name| name == "bin"))?;
    let narrow = root.components().count() > 2
        && home.is_none_or(|home| !home.starts_with(root) && root != home.join(".local"))
        && MARKS.iter().any(|mark| root.join(mark).exists());
    narrow.then(|| root.to_owned())
}

/// Older set-ups keep a registry's token in the configuration itself.
fn speaks_of_no_secret(configuration: &Path) -> bool {
    let small =
        configuration.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= CONFIGURATION_BYTES_MAX);
    small
        && std::fs::read_to_string(configuration).is_ok_and(|text| {
            let text = text.to_ascii_lowercase();
            !["token", "password", "secret", "credential", "@"].iter().any(|word| text.contains(word))
        })
}

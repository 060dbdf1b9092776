//! Running the program, with an environment of its own, and moving items on by the store.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use damascus_core::{CostEntry, MicroUsd, Outcome, Question, RunReport, WorkPhase, WorkerId};
use damascus_store::{ClaimRequest, Lease, Move, Registration, Store};
use damascus_testkit::{TestDb, handlers};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The longest that one call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_damascus");

/// How a call ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Standard output, all of which must be one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output of a call that must have succeeded.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

/// The program with a home folder of its own.
pub(crate) struct Program {
    pub(crate) home: tempfile::TempDir,
    pub(crate) database: Option<String>,
}

impl Program {
    /// On this database.
    pub(crate) fn on(db: &TestDb) -> Self {
        Self { database: Some(db.url().to_owned()), ..Self::alone() }
    }

    /// Without a database.
    pub(crate) fn alone() -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        Self { home: tempfile::Builder::new().permissions(private).tempdir().unwrap(), database: None }
    }

    pub(crate) fn config(&self, text: &str) {
        std::fs::write(self.home.path().join("config.toml"), text).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, std::ffi::OsString)> {
        let mut variables = vec![
            ("PATH", std::env::var_os("PATH").unwrap_or_default()),
            ("USER", "dana".into()),
            ("DAMASCUS_HOME", self.home.path().into()),
        ];
        // Where the programs of Postgres are, if the machine has them in an unusual place.
        variables.extend(std::env::var_os("DAMASCUS_PG_BIN").map(|folder| ("DAMASCUS_PG_BIN", folder)));
        variables.extend(self.database.as_ref().map(|url| ("DATABASE_URL", url.into())));
        variables
    }

    /// Runs to the end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    /// Runs to the end with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: impl Into<Vec<u8>>) -> Done {
        let mut command = assert_cmd::Command::new(BINARY);
        command.args(arguments).env_clear().envs(self.environment()).write_stdin(input).timeout(TIMEOUT);
        let output = command.output().unwrap();
        Done {
            code: output.status.code().expect("not ended by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Waits until so many events can be read in order. Transactions of other tests on the same server may hold them back for a moment, since
    /// the order counts all of the server's transactions.
    pub(crate) fn events(&self, count: usize) {
        let mut following = self.start(&["events", "--follow", "--json", "--since-cursor", "0.0"]);
        (0..count).for_each(|_| drop(following.line()));
    }

    /// Starts and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = std::process::Command::new(BINARY);
        command.args(arguments).env_clear().envs(self.environment());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout: Some(stdout) }
    }
}

/// A call that is under way; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    /// Waits for the next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("standard output is open");
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended too early");
        line
    }

    /// Closes our end of its standard output, as `head` does.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Sends what Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Waits for the end; gives the exit code and what is left of both streams.
    pub(crate) fn end(mut self) -> Done {
        let mut rest = String::new();
        if let Some(stdout) = &mut self.stdout {
            std::io::Read::read_to_string(stdout, &mut rest).unwrap();
        }
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().expect("not ended by a signal");
        Done { code, stdout: rest, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that looks like a git repository.
pub(crate) fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
    folder
}

/// A project `shop` with one item for each of these keys, made by the program.
pub(crate) fn shop(program: &Program, keys: &[&str]) {
    let repository = repository();
    program.run(&["project", "add", "shop", "--repo", repository.path().to_str().unwrap()]).ok();
    for key in keys {
        let story = format!("# Story of {key}\n\nAs a shopper I want it.\n\n## Acceptance Criteria\n\n1. It works\n");
        program.run_with(&["item", "create", "--project", "shop", "--key", key], story).ok();
    }
}

/// A registered worker that claims everything there is.
pub(crate) async fn claim(store: &Store) -> (WorkerId, Vec<Lease>) {
    let registration = Registration {
        name: "worker".to_owned(),
        host: "build-01".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        concurrency: 4,
    };
    let worker = store.register_worker(&registration).await.unwrap();
    (worker, store.claim(&request(worker, 100)).await.unwrap())
}

fn request(worker: WorkerId, max: usize) -> ClaimRequest {
    let phases = vec![WorkPhase::Merge, WorkPhase::Review, WorkPhase::Build, WorkPhase::Spec];
    ClaimRequest { worker, phases, max, lease: Duration::from_secs(600) }
}

/// Reports an outcome that cost money.
pub(crate) async fn report(store: &Store, worker: WorkerId, lease: &Lease, outcome: Outcome) {
    let cost = CostEntry {
        provider: "gateway".to_owned(),
        model: "large".to_owned(),
        tokens_in: 12_000,
        tokens_out: 800,
        tokens_cached: 9_000,
        amount: MicroUsd(43_210),
        estimated: true,
    };
    let report = RunReport { outcome, costs: vec![cost] };
    let one = Move::from_report(lease, report, 0.5).unwrap();
    store.finish_and_claim(&[one], &request(worker, 0)).await.unwrap();
}

/// A question with options.
pub(crate) fn question() -> Outcome {
    let first = Question {
        text: "Which currency?".to_owned(),
        options: vec!["EUR".to_owned(), "USD".to_owned()],
        default: Some("EUR".to_owned()),
    };
    Outcome::Ask { first, more: Vec::new() }
}

/// Passes every phase of everything that can be claimed, until all is merged.
pub(crate) async fn merge_all(store: &Store) {
    loop {
        let (worker, leases) = claim(store).await;
        if leases.is_empty() {
            return;
        }
        for lease in leases {
            report(store, worker, &lease, Outcome::Pass(handlers::proof(lease.phase))).await;
        }
    }
}

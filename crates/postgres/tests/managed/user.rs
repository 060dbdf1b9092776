//! Another process that uses a cluster: this test program, started again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use damascus_postgres::{Durability, ManagedPostgres, Options};

use crate::home::Home;

/// Names the home to the second process; without it, it is not one.
const ROLE: &str = "DAMASCUS_PG_TEST_USER_OF";

/// A second process that takes a share, says so, and keeps it until it is told to leave.
pub(crate) struct User {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl User {
    pub(crate) fn spawn(home: &Home) -> Self {
        Self::spawn_with(home, |_| {})
    }

    pub(crate) fn spawn_with(home: &Home, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "user::second_process", "--nocapture"]).env(ROLE, &home.path);
        adjust(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Waits until it has its share: how it came to the server, and the server's process id.
    pub(crate) fn joined(&mut self) -> (String, u32) {
        let said = self.hear();
        let (origin, pid) = said.split_once(' ').unwrap();
        (origin.to_owned(), pid.parse().unwrap())
    }

    /// Tells it to leave; what became of the server.
    pub(crate) fn leave(mut self) -> String {
        self.input.take().unwrap().write_all(b"leave\n").unwrap();
        let said = self.hear();
        assert!(self.child.wait().unwrap().success());
        said
    }

    /// Ends it as no program can prepare for.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the second process ended without a word");
            if let Some(said) = line.strip_prefix('@') {
                return said.trim_end().to_owned();
            }
        }
    }
}

/// Not a test: the body of the second process.
#[test]
fn second_process() {
    let Some(home) = std::env::var_os(ROLE) else { return };
    let options = Options::from_env(home).with_durability(Durability::Throwaway);
    let server = ManagedPostgres::acquire(&options).unwrap();
    println!("\n@{:?} {}", server.origin(), server.server_pid().unwrap().unwrap());
    // Also ends when the test that started it is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
    println!("\n@{:?}", server.release().unwrap());
}

//! What probably went wrong with a command, in one sentence.
//!
//! Invariant: a guess for the reader, never evidence; only fixed sentences come out.

/// How much of the end of the output is looked at, in bytes.
const MAX_LOOKED_AT_BYTES: usize = 256 * 1024;

/// What the output says, in lower case, and what to do about it. The first that fits wins, so what causes others comes first.
const SIGNS: [(&[&str], &str); 14] = [
    (
        &["no space left on device", "disk quota exceeded", "enospc"],
        "The disk is full: write less, remove build output that is not needed, or give the sandbox more space.",
    ),
    (
        &["out of memory", "cannot allocate memory", "memoryerror", "heap out of memory", "oom-kill", "bad_alloc"],
        "The memory ran out: run fewer tests at once, or give the sandbox more memory.",
    ),
    (
        &[
            "could not resolve host",
            "temporary failure in name resolution",
            "network is unreachable",
            "getaddrinfo eai_again",
            "getaddrinfo enotfound",
            "enetunreach",
            "name or service not known",
            "dial tcp: lookup",
            "no such host",
        ],
        "Something wanted the network, which the sandbox does not have: install dependencies in the setup command, and let tests use no network.",
    ),
    (
        &["address already in use", "eaddrinuse", "port is already allocated"],
        "A port is in use: let tests listen on port 0 and ask which one they got.",
    ),
    (
        &[
            "command not found",
            "no such file or directory: '/usr/bin",
            "executable file not found",
            "error: no such command",
            "is not recognized as an internal",
            ": not found",
        ],
        "A command is missing: install it in the setup command, or correct its name in the test command.",
    ),
    (
        &[
            "modulenotfounderror",
            "no module named",
            "cannot find module",
            "cannot find package",
            "err_module_not_found",
            "unresolved import",
            "can't find crate",
            "failed to resolve: use of",
            "no required module provides package",
            "module not found",
            "importerror",
        ],
        "A module can't be found: see that it exists, that its name is right, and that it is among the declared dependencies.",
    ),
    (
        &[
            "error: could not compile",
            "syntaxerror",
            "[build failed]",
            "error ts",
            "compilation failed",
            "error[e",
            "indentationerror",
            "parse error",
        ],
        "The code does not build: mend the first error that the compiler names, the others may follow from it.",
    ),
    (
        &["permission denied", "eacces", "operation not permitted", "read-only file system", "erofs"],
        "Something wrote or read where it may not: let tests write to a temporary directory or inside the work tree.",
    ),
    (
        &[
            "snapshot mismatch",
            "snapshot assertion",
            "snapshots failed",
            "snapshot failed",
            "does not match snapshot",
            "obsolete snapshot",
        ],
        "A snapshot differs: see whether the new output is right; if it is, update the snapshot and commit it.",
    ),
    (
        &[
            "lock file needs to be updated",
            "--locked was passed",
            "frozen lockfile",
            "package-lock.json are in sync",
            "missing go.sum entry",
        ],
        "The lock file does not fit the declared dependencies: update it and commit it.",
    ),
    (
        &[
            "timed out",
            "timeouterror",
            "exceeded timeout",
            "deadline exceeded",
            "panic: test timed out",
            "test timeout",
        ],
        "Something took too long: see that the test waits on a condition that comes, and that nothing hangs.",
    ),
    (
        &["segmentation fault", "sigsegv", "stack overflow", "maximum call stack size", "recursionerror"],
        "The process crashed: look for endless recursion, or memory that native code misuses.",
    ),
    (
        &["no tests ran", "ran 0 tests", "no tests to run", "no test files found", "no tests found", "no test files"],
        "No test ran: see that the command selects tests, and that their files have the names that the runner looks for.",
    ),
    (
        &[
            "assertionerror",
            "assertion failed",
            "assertion `",
            "expect(received)",
            "--- fail:",
            "test result: failed",
            " failed",
        ],
        "A test failed: compare what it expected with what it got, and mend the code rather than the test.",
    ),
];

/// A sentence that tells what to do next about a command that failed, guessed from its exit code and the end of its output.
#[must_use]
pub fn hint(exit_code: i32, output: &[u8]) -> Option<&'static str> {
    if exit_code == 0 {
        return None;
    }
    let end = &output[output.len().saturating_sub(MAX_LOOKED_AT_BYTES)..];
    let text = String::from_utf8_lossy(end).to_ascii_lowercase();
    let by_output = SIGNS.iter().find(|(signs, _)| signs.iter().any(|sign| text.contains(sign)));
    by_output.map(|(_, sentence)| *sentence).or(by_code(exit_code))
}

fn by_code(exit_code: i32) -> Option<&'static str> {
    match exit_code {
        124 => Some("The command ran out of time: see that nothing waits for ever, or give it more time."),
        126 => Some("The command can't be run: see that its file is executable."),
        127 => {
            Some("The command is missing: install it in the setup command, or correct its name in the test command.")
        }
        137 | -9 => Some(
            "The command was killed, most often for want of memory or time: run fewer tests at once, or raise the limits.",
        ),
        139 | -11 => Some("The process crashed: look for endless recursion, or memory that native code misuses."),
        143 | -15 => {
            Some("The command was told to stop, most often because its time was up: see that nothing waits for ever.")
        }
        _ => None,
    }
}

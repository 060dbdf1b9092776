//! Runs a command while holding a share in a throw-away server: `with_server HOME COMMAND [ARGUMENT…]`.
//!
//! The command finds the address of the server's maintenance database in `POSTGRES_URL`. For scripts that need a database while they build or
//! test; the server is stopped afterwards unless somebody else uses it.
#![expect(clippy::print_stderr, reason = "a script's helper speaks to its user")]

use std::process::{Command, ExitCode};

use damascus_postgres::{Durability, MAINTENANCE_DATABASE, ManagedPostgres, Options};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(home), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: with_server HOME COMMAND [ARGUMENT...]");
        return ExitCode::from(2);
    };
    let server = match ManagedPostgres::acquire(&Options::from_env(home).with_durability(Durability::Throwaway)) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("with_server: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ran = Command::new(&program).args(arguments).env("POSTGRES_URL", server.url(MAINTENANCE_DATABASE)).status();
    drop(server);
    match ran {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("with_server: {} can't be started: {error}", program.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

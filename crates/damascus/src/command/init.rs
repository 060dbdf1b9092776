//! `damascus init`: the home folder, the first configuration, the database and its schema.
//!
//! Invariant: running it again changes nothing that is there already but an older schema.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use damascus_core::display;
use damascus_store::migrate::{self, Migrated};
use serde::Serialize;

use crate::config::{Config, keys};
use crate::context::Context;
use crate::database::Server;
use crate::exit::Exit;
use crate::failure::Problem;

/// The home folder is its owner's alone: it holds the database and may hold tokens.
const HOME_MODE: u32 = 0o700;
/// So is the configuration, which may hold a password.
const FILE_MODE: u32 = 0o600;

/// Make the home folder, the configuration, the database and its schema.
#[derive(Debug, Args)]
#[command(long_about = "\
Make the home folder, a first configuration, the database and its schema.

Without DATABASE_URL, Damascus runs a Postgres of its own under its home folder; it only needs the programs of
Postgres to be installed. With DATABASE_URL (or --database-url) it uses that server, and makes the database there
if it is missing. Running it again is harmless: what is there stays, and an older schema is brought up to date.
A schema that is newer than this Damascus is refused.")]
#[command(after_long_help = "\
Examples:
  damascus init
  DATABASE_URL=postgres://damascus@db.internal/damascus damascus init")]
pub struct Init {}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    home: PathBuf,
    home_created: bool,
    config: PathBuf,
    config_created: bool,
    database: String,
    managed: bool,
    database_created: bool,
    schema_from: i64,
    schema_to: i64,
}

impl Init {
    /// Makes what is missing and says what it did.
    ///
    /// # Errors
    /// When a folder, a file, the server or the schema can't be made.
    pub async fn run(&self, context: &Context) -> Result<Exit> {
        let config = context.config()?;
        let home_created = !config.home.is_dir();
        if config.database_url.is_some() {
            // The supervisor of the managed server makes the folder itself, with a mode that lets the server's own user through.
            make_home(&config.home)?;
        }
        let server = Server::find(config, true).await?;
        let managed = server.managed.is_some();
        let migrated = migrate::bring_up_to_date(&server.options).await;
        let database = display::one_line(&server.options.place(), 300);
        let name = display::one_line(server.options.database().unwrap_or("postgres"), 100);
        server.release().await;
        let migrated = migrated?;
        let config_created = write_config(&config.file())?;
        let done = Done {
            home: config.home.clone(),
            home_created,
            config: config.file(),
            config_created,
            database: if managed { "managed".to_owned() } else { format!("{name} at {database}") },
            managed,
            database_created: migrated.database_created,
            schema_from: migrated.from,
            schema_to: migrated.to,
        };
        if context.out.is_json() {
            context.out.json(&done)?
        } else {
            tell(context, config, &done, migrated)?
        }
        Ok(Exit::Done)
    }
}

fn tell(context: &Context, config: &Config, done: &Done, migrated: Migrated) -> Result<()> {
    let made = |is_new: bool| if is_new { "made" } else { "was there" };
    let schema = match migrated {
        Migrated { from: 0, to, .. } => format!("made, version {to}"),
        Migrated { from, to, .. } if from < to => format!("brought from version {from} to {to}"),
        Migrated { to, .. } => format!("up to date, version {to}"),
    };
    let server = if done.managed {
        "a Postgres of its own, which runs while Damascus does".to_owned()
    } else {
        done.database.clone()
    };
    let home = display::one_line(&config.home.display().to_string(), 1_000);
    let file = display::one_line(&done.config.display().to_string(), 1_000);
    context.out.write(&format!(
        "home           {home} ({})\nconfiguration  {file} ({})\ndatabase       {server} ({})\nschema         {schema}\n\n\
         next: `damascus project add NAME --repo PATH` names a repository to work on,\n\
         \x20     `damascus import bmad PATH --project NAME` takes its stories in, `damascus up` starts the work\n",
        made(done.home_created),
        made(done.config_created),
        made(done.database_created),
    ))?;
    Ok(())
}

/// Makes the home folder if it is not there. The mode of one that is there stays as it is.
fn make_home(home: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(HOME_MODE).create(home).map_err(|error| {
        Problem::failed(
            "home_unusable",
            format!("the home folder {} can't be made: {error}", home.display()),
            "name a folder that you may write to with --home or DAMASCUS_HOME",
        )
    })?;
    Ok(())
}

/// Writes the first configuration if there is none; says whether it did.
fn write_config(file: &Path) -> Result<bool> {
    let unwritable = |error: std::io::Error| {
        Problem::failed(
            "config_unwritable",
            format!("{} can't be written: {error}", file.display()),
            "make the home folder writable for this user, or name another one with --home",
        )
    };
    let mut made = match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(file) {
        Ok(made) => made,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(unwritable(error).into()),
    };
    made.write_all(keys::commented_defaults().as_bytes()).map_err(unwritable)?;
    Ok(true)
}

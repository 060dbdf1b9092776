//! What the database must be: reachable, durable, of our schema, with a clock like ours, and not held up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_postgres::Binaries;
use damascus_store::health::{Health, OutboxHealth};
use damascus_store::{Store, migrate};

use crate::config::Config;
use crate::database::{Server, has_cluster, postgres_options};
use crate::failure::Report;
use crate::output::{number, time};

use super::Check;

/// The oldest server that is supported, as it numbers itself.
const MIN_SERVER: i32 = 150_000;
/// A snapshot older than this slows claims; older than the second, something hangs.
const OLD_SNAPSHOT: Duration = Duration::from_secs(60);
const HANGING_SNAPSHOT: Duration = Duration::from_secs(600);
/// Clocks may differ by this much; times on leases come from the database alone, so more only confuses readers of logs.
const CLOCK_SKEW: chrono::Duration = chrono::Duration::seconds(5);
/// With fewer days of partitions ahead, no scheduler has run for days.
const MIN_DAYS_AHEAD: i32 = 2;

pub(super) async fn checks(config: &Config, with_history: bool) -> Vec<Check> {
    if config.database_url.is_none() && !has_cluster(&config.home) {
        let none = Check::fail("database", "there is none yet", "run `damascus init`, or set DATABASE_URL");
        return vec![programs(config).await, none];
    }
    let server = match Server::find(config, false).await {
        Ok(server) => server,
        Err(error) => return vec![failed("postgres", &error)],
    };
    let mut checks = Vec::new();
    if let Err(error) = server.options.probe().await {
        server.release().await;
        return vec![failed("database", &error.into())];
    }
    if let Some(managed) = &server.managed {
        let binaries = managed.binaries();
        let found = format!("{} from {}, managed", binaries.version, binaries.dir.display());
        checks.push(Check::ok("postgres", found));
    }
    match Store::open_unchecked(server.options.clone()).await {
        Ok(store) => {
            match store.health().await {
                Ok(health) => checks.extend(of_health(&health, server.managed.is_some())),
                Err(error) => checks.push(failed("database", &error.into())),
            }
            checks.extend(workers(&store).await);
            if with_history {
                checks.push(history(&store).await);
            }
            store.close().await;
        }
        Err(error) => checks.push(failed("database", &error.into())),
    }
    server.release().await;
    checks
}

/// The programs that `init` would make a cluster with.
async fn programs(config: &Config) -> Check {
    const NAME: &str = "postgres";
    let options = postgres_options(config);
    match tokio::task::spawn_blocking(move || Binaries::find(&options)).await {
        Ok(Ok(found)) => Check::ok(NAME, format!("{} in {}", found.version, found.dir.display())),
        Ok(Err(error)) => failed(NAME, &error.into()),
        Err(error) => Check::fail(NAME, error.to_string(), "try again"),
    }
}

fn failed(name: &'static str, error: &anyhow::Error) -> Check {
    match Report::of(error) {
        Some(report) => {
            let found = std::iter::once(report.message).chain(report.causes).collect::<Vec<_>>().join(": ");
            Check::fail(name, found, report.next)
        }
        None => Check::fail(name, error.to_string(), "try again"),
    }
}

async fn history(store: &Store) -> Check {
    const NAME: &str = "history";
    match store.audit().await {
        Ok(offences) if offences.is_empty() => Check::ok(NAME, "the past of every item adds up to where it stands"),
        Ok(offences) => {
            let shown = offences.iter().take(5).map(|one| format!("item {}: {} ({})", one.item, one.rule, one.found));
            Check::fail(
                NAME,
                format!("{} findings: {}", offences.len(), shown.collect::<Vec<_>>().join("; ")),
                "something wrote to the tables beside Damascus, or this is a defect: keep a dump of the database and report it",
            )
        }
        Err(error) => failed(NAME, &error.into()),
    }
}

fn of_health(health: &Health, managed: bool) -> Vec<Check> {
    let mut checks = vec![server(health), schema(health), durability(health, managed), clock(health), snapshot(health)];
    checks.extend(health.outbox.as_ref().map(outbox));
    checks
}

fn server(health: &Health) -> Check {
    let found = format!("Postgres {} answers", health.server_version);
    if health.server_version_number < MIN_SERVER {
        return Check::fail("database", found, "use Postgres 15 or newer");
    }
    Check::ok("database", found)
}

fn schema(health: &Health) -> Check {
    const NAME: &str = "schema";
    let known = migrate::known_version();
    match health.schema {
        found if found < known => Check::fail(NAME, format!("version {found}, needed {known}"), "run `damascus init`"),
        found if found > known => Check::fail(
            NAME,
            format!("version {found}, this Damascus knows versions up to {known}"),
            "install a Damascus at least as new as the one that made the database",
        ),
        found => Check::ok(NAME, format!("version {found}")),
    }
}

fn durability(health: &Health, managed: bool) -> Check {
    const NAME: &str = "durability";
    let fix = if managed {
        "remove the setting from the cluster's configuration; Damascus does not switch it off"
    } else {
        "set fsync and synchronous_commit to on in the server's configuration"
    };
    match (health.fsync, health.synchronous_commit) {
        (true, true) => Check::ok(NAME, "fsync and synchronous_commit are on"),
        (false, _) => Check::fail(NAME, "fsync is off: a crash of the machine may ruin the database", fix),
        (true, false) => Check::fail(NAME, "synchronous_commit is off: a crash may lose what was reported done", fix),
    }
}

fn clock(health: &Health) -> Check {
    const NAME: &str = "clock";
    let skew = (now() - health.clock).abs();
    let shown = format!("{} ms apart from the database's", skew.num_milliseconds());
    if skew > CLOCK_SKEW {
        return Check::warn(NAME, shown, "let both machines follow a time server (NTP)");
    }
    Check::ok(NAME, shown)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the very thing to compare with the database's clock; nothing is decided by it"
)]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn snapshot(health: &Health) -> Check {
    const NAME: &str = "transactions";
    let age = Duration::from_secs_f64(health.oldest_snapshot_seconds.unwrap_or(0.0).max(0.0));
    let found = format!("the oldest one has been open for {}", time::duration(age));
    let fix = "find it in pg_stat_activity (ORDER BY xact_start) and end it; until then every claim gets slower";
    match age {
        age if age > HANGING_SNAPSHOT => Check::fail(NAME, found, fix),
        age if age > OLD_SNAPSHOT => Check::warn(NAME, found, fix),
        _ => Check::ok(NAME, "none is held open for long"),
    }
}

fn outbox(outbox: &OutboxHealth) -> Check {
    const NAME: &str = "outbox";
    let fix = "run a scheduler (`damascus up` or `damascus scheduler`); it makes partitions every hour";
    if outbox.days_ahead < MIN_DAYS_AHEAD {
        let found = format!("partitions are made {} days ahead only", outbox.days_ahead.max(0));
        return Check::warn(NAME, found, fix);
    }
    if outbox.caught {
        let found = "events lie in the partition of last resort; they are kept, but trimming them is slow";
        return Check::warn(NAME, found, fix);
    }
    Check::ok(NAME, format!("partitions are made {} days ahead", outbox.days_ahead))
}

async fn workers(store: &Store) -> Vec<Check> {
    const NAME: &str = "workers";
    let workers = match store.workers().await {
        Ok(workers) => workers,
        // Without a schema there is no table to read; that has a line of its own.
        Err(_) => return Vec::new(),
    };
    let stale: Vec<String> = workers
        .iter()
        .filter(|worker| worker.stale)
        .map(|worker| format!("{} {} on {}/{}", worker.name, worker.id, worker.host, worker.pid))
        .collect();
    let live = i64::try_from(workers.len() - stale.len()).unwrap_or(i64::MAX);
    let found = format!("{} live", number::of(live, "process is", "processes are"));
    if stale.is_empty() {
        return vec![Check::ok(NAME, found)];
    }
    let fix = "restart them if they should run; their runs are taken over, and a scheduler forgets them after a week";
    vec![Check::warn(NAME, format!("{found}; without a fresh heartbeat: {}", stale.join(", ")), fix)]
}

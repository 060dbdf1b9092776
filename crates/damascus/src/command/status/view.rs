//! The status as text.
//!
//! Invariant: what needs a person or an operator stands at the top, in words.

use std::time::Duration;

use chrono::{DateTime, Utc};
use damascus_core::display;
use damascus_store::status::{EXACT_UP_TO, PhaseCount, ProjectStatus, Status};

use crate::output::Output;
use crate::output::number::{cell, count, of};
use crate::output::style::{Style, Tone};
use crate::output::table::{Cell, Column, Table, cut};
use crate::output::time;

/// A snapshot older than this slows claims enough to say so.
const OLD_SNAPSHOT: Duration = Duration::from_secs(60);

/// The whole picture, each line ended.
pub(super) fn draw(status: &Status, out: &Output) -> String {
    let (width, style) = (out.width(), out.style());
    let mut text = String::new();
    let mut line = |tone: Tone, line: &str| {
        let line = width.map_or_else(|| line.to_owned(), |width| cut(line, width));
        text.push_str(&style.paint(tone, &line));
        text.push('\n');
    };
    line(Tone::Strong, &headline(status));
    line(Tone::Faint, &totals(status));
    for warning in warnings(status) {
        line(Tone::Warn, &warning);
    }
    let sections = [
        section(&projects(status), width, style),
        section(&runs(status), width, style),
        section(&lanes(status), width, style),
        section(&workers(status), width, style),
    ];
    sections.into_iter().flatten().for_each(|section| text.push_str(&section));
    text
}

fn section(table: &Table, width: Option<usize>, style: Style) -> Option<String> {
    (!table.is_empty()).then(|| format!("\n{}", table.render(width, style)))
}

fn headline(status: &Status) -> String {
    let oldest = status
        .queue
        .oldest_ready_since
        .map_or(String::new(), |since| format!(" (oldest {})", time::age(status.at, since)));
    format!(
        "{} ready{oldest} · {} running · {} · {} merged in 24 h",
        count(status.queue.ready),
        count(status.running),
        of(status.open_issues.total(), "open issue", "open issues"),
        count(status.merged_last_day),
    )
}

fn totals(status: &Status) -> String {
    let about = |n: i64| if status.totals.estimated && n > EXACT_UP_TO { "about " } else { "" };
    let (items, merged) = (status.totals.items, status.totals.merged);
    let at = time::stamp(status.at);
    format!("{}{} in all, {}{} merged · {at}", about(items), of(items, "item", "items"), about(merged), count(merged))
}

fn warnings(status: &Status) -> Vec<String> {
    let mut warnings = Vec::new();
    let issues = status.open_issues;
    if issues.total() > 0 {
        let kinds = [
            (issues.question, "question", "questions"),
            (issues.blocked, "blocked item", "blocked items"),
            (issues.gate, "gate", "gates"),
        ];
        let kinds: Vec<String> =
            kinds.iter().filter(|(n, ..)| *n > 0).map(|(n, one, many)| of(*n, one, many)).collect();
        warnings.push(format!("! waiting for a person: {}; see `damascus issue list`", kinds.join(", ")));
    }
    let works = |worker: &&damascus_store::worker::WorkerRow| !worker.stale && worker.concurrency > 0;
    if status.queue.ready > 0 && !status.workers.iter().any(|worker| works(&worker)) {
        warnings.push("! nobody works: start `damascus up`".to_owned());
    }
    let stale = status.workers.iter().filter(|worker| worker.stale).count();
    if stale > 0 {
        let stale = i64::try_from(stale).unwrap_or(i64::MAX);
        let who = of(stale, "worker has", "workers have");
        warnings.push(format!("! {who} no fresh heartbeat: dead, hanging, or cut off from the database"));
    }
    let paused: Vec<&str> = status
        .projects
        .iter()
        .filter(|project| project.paused_at.is_some())
        .map(|project| project.name.as_str())
        .collect();
    if !paused.is_empty() {
        warnings.push(format!("! paused: {}", paused.join(", ")));
    }
    if let Some(seconds) = status.oldest_snapshot_seconds.filter(|seconds| *seconds > OLD_SNAPSHOT.as_secs_f64()) {
        let age = time::duration(Duration::from_secs_f64(seconds.max(0.0)));
        warnings.push(format!("! a transaction has been open for {age}; it slows every claim"));
    }
    warnings
}

fn projects(status: &Status) -> Table {
    use Column::{Cut, Right};
    let mut table = Table::new(&[
        ("PROJECT", Cut),
        ("SPEC", Right),
        ("BUILD", Right),
        ("REVIEW", Right),
        ("MERGE", Right),
        ("HUMAN", Right),
        ("BLOCKED", Right),
        ("READY", Right),
        ("RUNS", Right),
        ("WAIT", Right),
        ("24H", Right),
    ]);
    for project in &status.projects {
        let total = |phase| project.phases.get(phase).map_or(0, PhaseCount::total);
        let person = |phase| Cell::toned(if total(phase) > 0 { Tone::Warn } else { Tone::Plain }, cell(total(phase)));
        let sum = |what: fn(&PhaseCount) -> i64| working(project).map(what).sum::<i64>();
        table.row([
            name(project),
            cell(total("spec")).into(),
            cell(total("build")).into(),
            cell(total("review")).into(),
            cell(total("merge")).into(),
            person("awaiting_human"),
            person("blocked"),
            cell(sum(|count| count.ready)).into(),
            cell(sum(|count| count.running)).into(),
            cell(sum(|count| count.sleeping + count.held + count.waiting)).into(),
            cell(project.merged_last_day).into(),
        ]);
    }
    table
}

/// The counts of the phases that a worker runs.
fn working(project: &ProjectStatus) -> impl Iterator<Item = &PhaseCount> {
    project.phases.iter().filter(|(phase, _)| !matches!(**phase, "awaiting_human" | "blocked")).map(|(_, count)| count)
}

/// A paused one is named in words at the top.
fn name(project: &ProjectStatus) -> Cell {
    Cell::toned(if project.paused_at.is_some() { Tone::Warn } else { Tone::Plain }, &project.name)
}

fn runs(status: &Status) -> Table {
    use Column::{Cut, Left, Right};
    let mut table = Table::new(&[
        ("RUN", Right),
        ("PHASE", Left),
        ("FOR", Right),
        ("LEASE", Right),
        ("WORKER", Cut),
        ("PROJECT", Cut),
        ("KEY", Cut),
        ("TITLE", Cut),
    ]);
    for run in &status.runs {
        let lease = match left(status.at, run.lease_until) {
            Some(left) => Cell::from(left),
            None => Cell::toned(Tone::Bad, "over"),
        };
        let worker = run.worker_place.clone().unwrap_or_else(|| format!("worker {}", run.worker));
        table.row([
            run.run.to_string().into(),
            run.phase.to_string().into(),
            time::age(status.at, run.since).into(),
            lease,
            worker.into(),
            Cell::from(&run.project),
            Cell::from(&run.key),
            Cell::from(&run.title),
        ]);
    }
    let missing = status.running - i64::try_from(status.runs.len()).unwrap_or(i64::MAX);
    if missing > 0 {
        let more = Cell::toned(Tone::Faint, format!("and {} more", count(missing)));
        let empty = || Cell::from("");
        table.row([empty(), empty(), empty(), empty(), more, empty(), empty(), empty()]);
    }
    table
}

fn left(now: DateTime<Utc>, until: DateTime<Utc>) -> Option<String> {
    (until > now).then(|| time::age(until, now))
}

/// Lanes that are worth a look: limited, in use, or closed.
fn lanes(status: &Status) -> Table {
    let mut table = Table::new(&[("LANE", Column::Cut), ("USE", Column::Right), ("OPEN", Column::Cut)]);
    for lane in &status.lanes {
        if lane.running == 0 && lane.concurrency.is_none() && lane.open {
            continue;
        }
        let limit = lane.concurrency.map_or_else(|| "∞".to_owned(), |limit| count(limit.into()));
        let open = match lane.opens_at {
            Some(until) => {
                let why = lane.closed_reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
                let reopens = left(status.at, until).unwrap_or_else(|| "now".to_owned());
                Cell::toned(Tone::Warn, format!("closed, opens in {reopens}{why}"))
            }
            None => Cell::from("yes"),
        };
        table.row([Cell::from(&lane.name), format!("{}/{limit}", count(lane.running.into())).into(), open]);
    }
    table
}

fn workers(status: &Status) -> Table {
    use Column::{Cut, Left, Right};
    let mut table = Table::new(&[
        ("WORKER", Right),
        ("ROLE", Left),
        ("WHERE", Cut),
        ("RUNS", Right),
        ("UP", Right),
        ("HEARTBEAT", Right),
        ("VERSION", Left),
    ]);
    for worker in &status.workers {
        let beat = time::age(status.at, worker.heartbeat_at);
        let runs =
            if worker.concurrency > 0 { format!("{}/{}", worker.running, worker.concurrency) } else { "-".to_owned() };
        table.row([
            worker.id.to_string().into(),
            display::one_line(&worker.name, 20).into(),
            format!("{}/{}", worker.host, worker.pid).into(),
            runs.into(),
            time::age(status.at, worker.started_at).into(),
            if worker.stale { Cell::toned(Tone::Bad, format!("{beat}!")) } else { Cell::from(beat) },
            Cell::from(&worker.version),
        ]);
    }
    table
}

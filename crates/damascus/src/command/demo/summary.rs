//! How the demo ended: a table of the stories, the audit, and what to do next.
//!
//! Invariant: the demo's end is the one it is made for, or it is a failure.

use anyhow::Result;
use damascus_core::{MicroUsd, Named as _, Phase};
use damascus_engine::verify::audit;
use damascus_store::item::{ItemDetail, ItemFilter};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::stage::{NAME, Stage};
use crate::command::verify;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::style::Tone;
use crate::output::table::{Cell, Column, Table};

/// What each story of the example is to come to, and what it is to meet on the way.
const ENDS: &[(&str, Phase, &[&str])] = &[
    ("1-1-count-books-by-decade", Phase::Merged, &[]),
    ("1-2-find-books-by-author", Phase::Merged, &["review:tests_failed"]),
    ("2-1-due-date-of-a-loan", Phase::Merged, &["spec:spec_ambiguous"]),
    ("2-2-list-overdue-loans", Phase::Merged, &[]),
    (
        "3-1-accept-books-without-a-title",
        Phase::Blocked,
        &["build:policy_violation", "build:policy_violation", "build:policy_violation"],
    ),
];

/// Shows the end; says how it went.
pub(super) async fn show(context: &Context, stage: &Stage, stop: &CancellationToken, began: Instant) -> Result<Exit> {
    let store = stage.store();
    let page = store.items(&ItemFilter { project: Some(stage.project), ..ItemFilter::default() }).await?;
    let mut details = Vec::new();
    for item in &page.items {
        details.push(store.item(item.id).await?);
    }
    let took = began.elapsed().as_secs_f64();
    context.out.line("")?;
    context.out.table(&table(&details), "there are no stories")?;
    context.out.line("")?;
    let project = store.project(NAME).await?;
    let audited = audit(&stage.workshop, &project, true, stop, |_| {})
        .await
        .map_err(|trouble| verify::failed(&project, trouble))?;
    context.out.line("verify --retest")?;
    verify::tell(context, &audited)?;
    let as_made = ENDS.len() == details.len() && ENDS.iter().all(|end| details.iter().any(|one| came_to(one, end)));
    let whole = as_made && audited.holds() && audited.foreign.is_empty();
    context.out.line("")?;
    next(context, stage, whole, took)?;
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// Whether a story came to its end by its way. A move of the base on the way is nobody's doing.
fn came_to(detail: &ItemDetail, (key, phase, met): &(&str, Phase, &[&str])) -> bool {
    let failed = detail.runs.iter().rev().filter_map(|run| {
        let verdict = run.verdict?.name();
        (!matches!(verdict, "pass" | "base_moved")).then(|| format!("{}:{verdict}", run.phase))
    });
    detail.item.key == *key && detail.item.phase == *phase && failed.eq(met.iter().copied())
}

fn table(details: &[ItemDetail]) -> Table {
    let mut table = Table::new(&[
        ("STORY", Column::Cut),
        ("END", Column::Left),
        ("ATTEMPTS", Column::Right),
        ("VERDICTS", Column::Cut),
        ("COST", Column::Right),
        ("LANDED", Column::Left),
    ]);
    for one in details {
        let tone = if one.item.phase == Phase::Merged { Tone::Good } else { Tone::Bad };
        let landed = one.landing.as_ref().map_or("", |landing| landing.landed_commit.get(..12).unwrap_or_default());
        // A pass leads from the last failed attempt to the end, so that one is not counted as used.
        let attempts = one.item.attempts_used + u16::from(one.item.phase == Phase::Merged);
        table.row([
            Cell::from(&one.item.key),
            Cell::toned(tone, one.item.phase.name()),
            Cell::from(format!("{attempts} of {}", one.item.attempts_granted)),
            Cell::from(verdicts(one)),
            Cell::from(dollars(one.cost.spent_microusd)),
            Cell::from(landed),
        ]);
    }
    table
}

/// The verdicts of all runs in order, each phase once while it stays the same.
fn verdicts(detail: &ItemDetail) -> String {
    let mut words = Vec::new();
    for run in detail.runs.iter().rev() {
        let verdict = run.verdict.map_or("–", |verdict| verdict.name());
        words.push(if verdict == "pass" { run.phase.name().to_owned() } else { format!("{}:{verdict}", run.phase) });
    }
    words.join(" → ")
}

fn dollars(amount: MicroUsd) -> String {
    format!("${:.2}", amount.0 as f64 / 1e6)
}

fn next(context: &Context, stage: &Stage, whole: bool, took: f64) -> Result<()> {
    if !whole {
        context.out.line(format_args!("The demo did not come to the end that it is made for, after {took:.1} s."))?;
        context.out.note("run it again with --keep DIR to look around; `damascus doctor` checks this machine");
        return Ok(());
    }
    context.out.line(format_args!(
        "Done in {took:.1} s. Four stories landed, each as the very commit that was tested. The fifth tried to weaken a test,\n\
         then to delete it, then to skip it: it was refused each time and waits for a person.\n"
    ))?;
    if let Some(kept) = stage.kept() {
        let kept = kept.display();
        context.out.line(format_args!(
            "Look around:\n  damascus --home {kept}/home item list --all\n  damascus --home {kept}/home issue list\n  \
             git -C {kept}/bookshelf.git log --oneline main\n"
        ))?;
    }
    context.out.line(
        "With your own repository:\n  damascus init\n  damascus project add NAME --repo /path/to/repository\n  \
         damascus project prove NAME\n  damascus import bmad /path/to/stories --project NAME\n  \
         DAMASCUS_GATEWAY_URL=… DAMASCUS_GATEWAY_MODEL=… damascus up",
    )?;
    Ok(())
}

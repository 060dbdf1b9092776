//! The table of transitions as Markdown, for `docs/transitions.md`.
//!
//! Invariant: every cell is read off what [`step`] answered; events and phases that it treats alike share a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroU16;

use super::{budgets, most_runs, rows};
use crate::policy::DEFAULT_ATTEMPTS;
use crate::transition::{Announcement, Effect, EventKind, step};
use crate::{BlockReason, Budget, IssueKind, ItemState, Named, Phase, Stage, Transition, WorkPhase};

/// The attempts that a retry grants in the table: more than the one that an answer grants, to tell the two apart.
const RETRY_GRANTS: NonZeroU16 = DEFAULT_ATTEMPTS;

/// What a line says of an event, beside its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cells {
    to: String,
    uses: String,
    limit: String,
    announced: &'static str,
    also: String,
}

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut text = introduction();
    let working: Vec<Vec<Stage>> = WorkPhase::ALL.iter().map(|&phase| vec![Stage::Working(phase)]).collect();
    text.push_str("\n## While it works\n\n");
    text.push_str(&lines(&working, "any working phase"));
    text.push_str("\n## While it waits for a person\n\n");
    let asking = WorkPhase::ALL.iter().map(|&resume| Stage::AwaitingHuman { resume }).collect();
    let stopped = WorkPhase::ALL
        .iter()
        .flat_map(|&resume| BlockReason::ALL.iter().map(move |&reason| Stage::Blocked { resume, reason }))
        .collect();
    text.push_str(&lines(&[asking, stopped], "any parked phase"));
    text.push_str("\n## Everything at a glance\n\n");
    text.push_str(&matrix());
    text
}

fn introduction() -> String {
    let (policy, fresh, _) = budgets();
    let runs = most_runs(&policy, fresh.attempts_granted);
    format!(
        "# Transitions\n\n\
         Generated from `step()`, the one function that decides every transition; do not edit.\n\
         `DAMASCUS_REGENERATE=1 cargo nextest run -p damascus-core table` writes it again.\n\n\
         An item works through `spec`, `build`, `review` and `merge`. It ends as `merged` or `cancelled`; it is parked as\n\
         `awaiting_human` or `blocked` until a person decides, and remembers in which phase it goes on.\n\
         What is not listed is refused and changes nothing.\n\n\
         | budget | default | starts again |\n|---|---|---|\n\
         | attempts | {} | never; a person grants more |\n\
         | infrastructure failures | {} | when a person grants attempts |\n\
         | moves of the head or the base | {} | when a person grants attempts |\n\
         | suspicions of tampering | {} | when a person grants attempts |\n\n\
         Whatever uses the last of a budget parks the item as `blocked`, announces `work.blocked` and opens an issue. So an item with\n\
         the default budgets ends, or waits for a person, after at most {runs} runs.\n",
        fresh.attempts_granted, policy.max_infra_failures, policy.max_moves, policy.max_tampers,
    )
}

/// The lines for some phases, each given as the stages that it has; `all` stands for all of them where they behave alike.
fn lines(phases: &[Vec<Stage>], all: &str) -> String {
    // By event and behaviour: the places, by number, of the phases that share it.
    let mut shared: BTreeMap<(EventKind, Cells), Vec<usize>> = BTreeMap::new();
    for (place, stages) in phases.iter().enumerate() {
        for event in EventKind::all() {
            if let Some(cells) = cells(stages, event) {
                shared.entry((event, cells)).or_default().push(place);
            }
        }
    }
    // By phases and behaviour: the events that share it.
    let mut grouped: BTreeMap<(Vec<usize>, Cells), Vec<EventKind>> = BTreeMap::new();
    for ((event, cells), places) in shared {
        grouped.entry((places, cells)).or_default().push(event);
    }
    // In the order of phases, with what holds in all of them at the end, and a pass before what fails.
    let mut ordered: Vec<_> = grouped.into_iter().collect();
    ordered.sort_by_key(|((places, _), events)| {
        (places.len() == phases.len(), places.first().copied(), events.first().copied())
    });
    let mut text = String::from(
        "| in | event | goes to | budget | when that was the last | announced as | and |\n|---|---|---|---|---|---|---|\n",
    );
    for ((places, Cells { to, uses, limit, announced, also }), events) in ordered {
        let names =
            |place: &usize| phases.get(*place).and_then(|stages| stages.first()).map(|stage| quoted(stage.phase()));
        let places = if places.len() == phases.len() {
            all.to_owned()
        } else {
            places.iter().filter_map(names).collect::<Vec<_>>().join(", ")
        };
        let events: Vec<String> = events.iter().map(|event| format!("`{}`", event.name())).collect();
        // Writing to a String can't fail.
        let _ =
            writeln!(text, "| {places} | {} | {to} | {uses} | {limit} | `{announced}` | {also} |", events.join(", "));
    }
    text
}

/// What an event does in stages that are one phase; nothing where it is refused.
fn cells(stages: &[Stage], event: EventKind) -> Option<Cells> {
    let (policy, fresh, last) = budgets();
    let ask = |stage: Stage, budget| step(&ItemState { stage, budget }, &event.event(RETRY_GRANTS), &policy).ok();
    let usual: Vec<(Stage, Transition)> =
        stages.iter().filter_map(|&stage| Some((stage, ask(stage, fresh)?))).collect();
    let &(first, ref done) = usual.first()?;
    let resumes = |(from, done): &(Stage, Transition)| from.resume().map(Stage::Working) == Some(done.to.stage);
    let to = if usual.iter().all(resumes) {
        "the phase it recorded".to_owned()
    } else if done.to.phase() == first.phase() {
        "the same phase".to_owned()
    } else {
        quoted(done.to.phase())
    };
    let limit = match ask(first, last).map(|at_last| at_last.to.phase()) {
        Some(phase) if phase != done.to.phase() => quoted(phase),
        _ => "–".to_owned(),
    };
    let also: Vec<&str> = done.effects.iter().filter_map(|&effect| also(effect)).collect();
    Some(Cells {
        to,
        uses: uses(fresh, done.to.budget),
        limit,
        announced: done.effects.iter().find_map(|&effect| announced(effect)).map_or("", Named::name),
        also: if also.is_empty() { "–".to_owned() } else { also.join(", ") },
    })
}

fn uses(before: Budget, after: Budget) -> String {
    let granted = after.attempts_granted.get() - before.attempts_granted.get();
    let granted = match granted {
        0 => None,
        1 => Some("grants an attempt"),
        _ => Some("grants the attempts that the person names"),
    };
    let used = [
        (after.attempts_used > before.attempts_used, "an attempt"),
        (after.infra_failures > before.infra_failures, "an infrastructure failure"),
        (after.moves > before.moves, "a move"),
        (after.tampers > before.tampers, "a suspicion of tampering"),
    ];
    let said: Vec<&str> =
        granted.into_iter().chain(used.iter().filter_map(|&(is_used, name)| is_used.then_some(name))).collect();
    if said.is_empty() { "–".to_owned() } else { said.join(", ") }
}

const fn announced(effect: Effect) -> Option<Announcement> {
    match effect {
        Effect::Announce(announcement) => Some(announcement),
        Effect::OpenIssue(_) | Effect::CloseIssues | Effect::BackOff { .. } | Effect::CloseLane => None,
    }
}

const fn also(effect: Effect) -> Option<&'static str> {
    match effect {
        Effect::Announce(_) => None,
        Effect::OpenIssue(IssueKind::Question) => Some("opens an issue with the question"),
        Effect::OpenIssue(IssueKind::Blocked | IssueKind::Gate) => Some("opens an issue"),
        Effect::CloseIssues => Some("closes its issues"),
        Effect::BackOff { .. } => Some("waits before the next run"),
        Effect::CloseLane => Some("closes the lane for every item"),
    }
}

/// Every event × every phase: where it leads.
fn matrix() -> String {
    let mut text = String::from(
        "Where each event leads. Two answers: the second when a budget is spent. `resume` is the phase that the item recorded. Empty: refused.\n\n| event |",
    );
    for phase in Phase::ALL {
        let _ = write!(text, " {} |", quoted(*phase));
    }
    text.push_str("\n|---|---|---|---|---|---|---|---|---|\n");
    let rows = rows();
    for event in EventKind::all() {
        let _ = write!(text, "| `{}` |", event.name());
        for &from in Phase::ALL {
            let targets: Vec<Phase> =
                rows.iter().filter(|row| row.from == from && row.event == event).map(|row| row.to).collect();
            // The working phases come first in the order of phases, so `blocked` comes second.
            let cell = match targets.len() {
                all if all == WorkPhase::ALL.len() => "resume".to_owned(),
                _ => targets.iter().map(|to| to.name()).collect::<Vec<_>>().join(" / "),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn quoted(phase: Phase) -> String {
    format!("`{phase}`")
}

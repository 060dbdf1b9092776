//! Testing a landed commit again.
//!
//! Invariant: it is tested as it was: by the rules of the commit that it landed on, with its spec's own command.

use std::sync::Arc;

use damascus_core::{Spec, TestReport};
use damascus_git::Mirror;
use damascus_store::landing::LandingRow;
use damascus_store::project::Project;
use tokio_util::sync::CancellationToken;

use crate::phases::{Trouble, Workshop};

/// Says what is wrong with the commit, if anything is.
pub(super) async fn retest(
    workshop: &Arc<Workshop>,
    mirror: &Mirror,
    project: &Project,
    landing: &LandingRow,
    cancelled: &CancellationToken,
) -> Result<Result<(), String>, Trouble> {
    let Some(stored) = workshop.parts.store.specs_of(landing.item).await?.into_iter().next() else {
        return Ok(Err("its spec is gone".to_owned()));
    };
    let spec: Spec = match serde_json::from_value(stored.body) {
        Ok(spec) => spec,
        Err(error) => return Ok(Err(format!("its spec can't be read: {error}"))),
    };
    let rules = match workshop.rules_at(mirror, &landing.base_commit).await? {
        Ok(rules) => rules,
        Err(problem) => return Ok(Err(format!("the rules of {} can't be read: {problem}", project.name))),
    };
    let tested = workshop
        .test_commit(mirror, &landing.landed_commit, &landing.base_commit, &rules, Some(&spec), cancelled)
        .await?;
    let counts = tested.evidence.as_ref().map(|evidence| evidence.report);
    Ok(match (tested.problem(), counts) {
        (Some(problem), _) => Err(format!("its tests do not pass any more: {problem}")),
        (None, Some(TestReport::Counted(counts))) if counts.passed < recorded(landing) => {
            Err(format!("{} tests pass where {} did when it landed", counts.passed, recorded(landing)))
        }
        (None, Some(TestReport::Counted(_) | TestReport::ExitCodeOnly)) => Ok(()),
        (None, Some(TestReport::Unreadable) | None) => Err("its tests left no report that could be read".to_owned()),
    })
}

/// How many tests passed when it landed; at least one.
fn recorded(landing: &LandingRow) -> u32 {
    match super::test_evidence(landing).map(|evidence| evidence.report) {
        Ok(TestReport::Counted(counts)) => counts.passed.max(1),
        Ok(TestReport::ExitCodeOnly | TestReport::Unreadable) | Err(_) => 1,
    }
}

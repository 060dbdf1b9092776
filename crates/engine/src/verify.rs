//! The audit of landings: whether the base branch holds what was tested, and nothing else since.
//!
//! Invariants: everything is read from the forge's repository now, nothing is believed because it was written down; what can't be looked at is
//! a fault, not a pass. Landings are read page by page, and of the branch's history at most `HISTORY_MAX` commits are held.

use std::collections::HashMap;
use std::sync::Arc;

use damascus_core::{CommitId, ItemId, TestEvidence, TestReport, display};
use damascus_store::landing::LandingRow;
use damascus_store::project::Project;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::phases::{Trouble, Workshop};

mod retest;

/// How many landings are read at once.
const PAGE: u32 = 200;
/// How many commits of the base branch are looked at.
const HISTORY_MAX: usize = 100_000;
/// How many faults and foreign commits are told of.
const TOLD_MAX: usize = 200;

/// What an audit found.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// The project.
    pub project: String,
    /// The base branch.
    pub base_branch: String,
    /// Where it is now; none when there is no such branch.
    pub tip: Option<CommitId>,
    /// How many landings were looked at.
    pub landings: u64,
    /// Of these, how many are as they were proven.
    pub proven: u64,
    /// Of these, how many rest on an exit code alone, as the project declares.
    pub exit_code_only: u64,
    /// How many were tested again now.
    pub retested: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Whether anything is wrong, told or not: the list is bounded.
    #[serde(skip)]
    faulty: bool,
    /// Commits on the base branch since the first landing that did not land through Damascus: told, not judged.
    pub foreign: Vec<Foreign>,
}

/// A landing that is not as it was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The item; none when it is about the branch as a whole.
    pub item: Option<ItemId>,
    /// Its story's name.
    pub key: String,
    /// The commit that should have landed.
    pub commit: Option<CommitId>,
    /// What is wrong.
    pub problem: String,
}

/// A commit that somebody else put on the base branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// The commit.
    pub commit: CommitId,
    /// The first line of its message, safe to show.
    pub subject: String,
}

/// Where an audit is, for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many landings were looked at.
    pub done: u64,
    /// The story that was looked at last.
    pub key: String,
}

impl Audit {
    /// Whether every landing is as it was proven.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.faults.is_empty() && !self.faulty && self.landings == self.proven
    }

    /// The audit of a project that could not be looked at: a fault, and no pass.
    #[must_use]
    pub fn not_looked_at(project: &Project, why: &str) -> Self {
        let mut audit =
            Self { project: project.name.clone(), base_branch: project.base_branch.clone(), ..Self::default() };
        audit.fault(None, format!("it could not be looked at: {}", display::many_lines(why, 2_000)));
        audit
    }

    fn fault(&mut self, landing: Option<&LandingRow>, problem: String) {
        self.faulty = true;
        if self.faults.len() < TOLD_MAX {
            self.faults.push(Fault {
                item: landing.map(|one| one.item),
                key: landing.map(|one| one.key.clone()).unwrap_or_default(),
                commit: landing.map(|one| one.landed_commit.clone()),
                problem,
            });
        }
    }
}

/// Audits the landings of a project; with `retest`, checks out each landed commit and runs its tests again.
///
/// # Errors
/// [`Trouble`] when the database or the repository can't be read.
pub async fn audit(
    workshop: &Arc<Workshop>,
    project: &Project,
    retest: bool,
    cancelled: &CancellationToken,
    mut progress: impl FnMut(Progress),
) -> Result<Audit, Trouble> {
    let mut audit =
        Audit { project: project.name.clone(), base_branch: project.base_branch.clone(), ..Audit::default() };
    let mirror = workshop.mirror_of(project).await?;
    audit.tip = mirror.tip(&project.base_branch).await?;
    let Some(tip) = audit.tip.clone() else {
        if !workshop.parts.store.landings(project.id, None, 1).await?.is_empty() {
            audit.fault(None, format!("the branch {} is gone from {}", project.base_branch, project.repo));
        }
        return Ok(audit);
    };
    // Every commit of the branch by its place, newest first: landings are looked up in it.
    let history = mirror.log(None, &tip, HISTORY_MAX).await?;
    let place: HashMap<&str, usize> = history.iter().enumerate().map(|(n, commit)| (commit.id.as_str(), n)).collect();
    let mut ours = vec![false; history.len()];
    let mut oldest = None;
    let mut after = None;
    loop {
        let page = workshop.parts.store.landings(project.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for landing in &page {
            audit.landings += 1;
            let before = std::mem::take(&mut audit.faulty);
            let found = place.get(landing.landed_commit.as_str()).copied();
            look(&mut audit, landing, found.map(|n| &history[n]));
            if let Some(n) = found {
                ours[n] = true;
                oldest = oldest.max(Some(n));
            }
            if retest && found.is_some() && !audit.faulty {
                match retest::retest(workshop, &mirror, project, landing, cancelled).await? {
                    Ok(()) => audit.retested += 1,
                    Err(problem) => audit.fault(Some(landing), problem),
                }
            }
            audit.proven += u64::from(!audit.faulty);
            audit.faulty |= before;
            progress(Progress { done: audit.landings, key: landing.key.clone() });
        }
    }
    if let Some(oldest) = oldest {
        let others = history[..oldest].iter().zip(&ours).filter(|(_, ours)| !**ours);
        audit.foreign = others
            .take(TOLD_MAX)
            .map(|(commit, _)| Foreign {
                commit: commit.id.clone(),
                subject: display::one_line(commit.message.lines().next().unwrap_or_default(), 120),
            })
            .collect();
    }
    Ok(audit)
}

/// Compares one landing with the commit on the branch.
fn look(audit: &mut Audit, landing: &LandingRow, found: Option<&damascus_git::Commit>) {
    let Some(commit) = found else {
        let branch = audit.base_branch.clone();
        audit.fault(Some(landing), format!("commit {} is not on {branch} any more", landing.landed_commit));
        return;
    };
    if commit.tree != landing.tree {
        audit.fault(Some(landing), format!("its tree is {}, tested was {}", commit.tree, landing.tree));
    }
    if commit.parents.first() != Some(&landing.base_commit) {
        audit.fault(Some(landing), format!("it was tested on {}, but landed on another commit", landing.base_commit));
    }
    match test_evidence(landing) {
        Err(problem) => audit.fault(Some(landing), format!("its evidence can't be read: {problem}")),
        Ok(evidence) => {
            if evidence.head != landing.landed_commit || evidence.tree != landing.tree {
                audit.fault(Some(landing), "its evidence is about another commit".to_owned());
            }
            match evidence.report {
                TestReport::Counted(counts) if counts.passed > 0 && counts.failed == 0 && evidence.exit_code == 0 => {}
                TestReport::ExitCodeOnly if evidence.exit_code == 0 => audit.exit_code_only += 1,
                TestReport::Counted(_) | TestReport::ExitCodeOnly | TestReport::Unreadable => {
                    audit.fault(Some(landing), "its evidence does not show that its tests passed".to_owned());
                }
            }
        }
    }
}

/// The test run that a landing rests on.
fn test_evidence(landing: &LandingRow) -> Result<TestEvidence, String> {
    let found = landing.evidence.pointer("/review/evidence").ok_or("it has no review")?;
    serde_json::from_value(found.clone()).map_err(|error| display::one_line(&error.to_string(), 200))
}
